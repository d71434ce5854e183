"""HRNet: sizes of the published networks, exact padding and statistics, and its parts."""

import keras
import numpy as np
import pytest
from keras import ops

from hpe.errors import UserError
from hpe.networks import hrnet
from hpe.networks.hrnet import build_heatmap_head, build_hrnet
from tests.networks.hrnet_names import published_shapes

numpy = ops.convert_to_numpy
IMAGES = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def narrow():
    """The width changes nothing but numbers of channels."""
    return build_hrnet(2, image_size=64, multi_scale=True)


def is_of_coarse_outputs(layer):
    """Whether only networks have it that end in all branches."""
    return layer.name.startswith(tuple(f"stage4_2_fuse_layers_{target}" for target in (1, 2, 3)))


def test_published_shapes_add_up_to_the_published_sizes():
    """28.5 M and 63.6 M parameters, as the paper says, without building the large networks."""
    for width, expected in ((32, 28_536_113), (48, 63_595_745)):
        shapes = published_shapes(width, 17)
        trained = [shape for name, shape in shapes.items() if name.endswith(("weight", "bias"))]
        assert sum(int(np.prod(shape)) for shape in trained) == expected


def test_layers_have_the_published_names_and_shapes(narrow):
    head = build_heatmap_head(2, 17)
    layers = [layer for layer in narrow.layers if not is_of_coarse_outputs(layer)]
    trained = {v.path: tuple(v.shape) for layer in [*layers, *head.layers] for v in layer.trainable_variables}
    published = {}
    for name, shape in published_shapes(2, 17).items():
        layer, _, kind = name.rpartition(".")
        if len(shape) == 4:
            published[f"{layer.replace('.', '_')}/kernel"] = (*shape[2:], shape[1], shape[0])
        elif kind in ("weight", "bias"):
            own = "bias" if layer == "final_layer" else {"weight": "gamma", "bias": "beta"}[kind]
            published[f"{layer.replace('.', '_')}/{own}"] = shape
    assert trained == published
    assert tuple(head(narrow.outputs[0]).shape) == (None, 16, 16, 17)


def test_branches_halve_in_size_and_double_in_width(narrow):
    shapes = [tuple(branch.shape) for branch in narrow.outputs]
    assert shapes == [(None, 16, 16, 2), (None, 8, 8, 4), (None, 4, 4, 8), (None, 2, 2, 16)]


@pytest.mark.parametrize("size", [0, 31, 100, 225])
def test_a_size_that_does_not_suit_is_one_line_that_names_the_flag(size):
    with pytest.raises(UserError, match=f"^img_size={size}: HRNet takes multiples of 32"):
        build_hrnet(2, image_size=size)


def test_bytes_and_floats_are_normalised_by_imagenet(narrow):
    layer = narrow.get_layer("normalization")
    expected = (IMAGES / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    for images in (IMAGES, IMAGES.astype("float32")):
        np.testing.assert_allclose(numpy(layer(images)), expected, atol=1e-5)


def test_strided_convolutions_pad_one_pixel_on_every_side(narrow):
    """Cell c lies on pixel 2 c after one of them, and on 4 c after two."""
    stem = keras.Model(narrow.input, narrow.get_layer("conv1").output)
    (kernel,) = narrow.get_layer("conv1").get_weights()
    found = numpy(stem(IMAGES))
    x = (IMAGES[0] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    for row, column in ((0, 0), (0, 31), (31, 0), (7, 20)):
        window = padded[2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        expected = np.einsum("yxi,yxio->o", window, kernel)
        np.testing.assert_allclose(found[0, row, column], expected, rtol=1e-4, atol=1e-7)
    assert found.shape[1:3] == (32, 32)


def test_it_starts_as_the_paper_says(narrow):
    convolutions = [layer for layer in narrow.layers if isinstance(layer, keras.layers.Conv2D)]
    assert not any(layer.use_bias for layer in convolutions)
    kernels = [layer.get_weights()[0].ravel() for layer in convolutions]
    assert min(kernel.std() for kernel in kernels) > 0.0004
    assert max(kernel.std() for kernel in kernels) < 0.0018
    assert np.concatenate(kernels).std() == pytest.approx(0.001, rel=0.02)
    assert abs(np.concatenate(kernels).mean()) < 1e-5
    for layer in narrow.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert (layer.epsilon, layer.momentum) == (1e-5, 0.9)


def test_half_precision_keeps_pixels_and_weights_whole_and_training_moves_the_statistics(monkeypatch):
    # One module a stage and one block a branch: the same code in a fifth of the time.
    monkeypatch.setattr(hrnet, "MODULES", {2: 1, 3: 1, 4: 1})
    monkeypatch.setattr(hrnet, "BLOCKS", 1)
    network = build_hrnet(1, image_size=32, dtype="mixed_bfloat16")
    assert network.get_layer("normalization").compute_dtype == "float32"
    assert network.get_layer("stage4_0_branches_0_0_conv2").compute_dtype == "bfloat16"
    assert {str(v.dtype) for v in network.variables} == {"float32"}
    statistics = network.get_layer("bn1")
    images = IMAGES[:, :32, :32]
    features = network(images, training=False)
    assert tuple(features.shape) == (1, 8, 8, 1)
    assert keras.backend.standardize_dtype(features.dtype) == "bfloat16"
    assert not statistics.get_weights()[2].any()
    network(images, training=True)
    assert statistics.get_weights()[2].any()
