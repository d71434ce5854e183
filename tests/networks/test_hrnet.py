"""HRNet: sizes of the published networks, exact padding and statistics, and its parts."""

import keras
import numpy as np
import pytest
from keras import ops

from hpe.errors import UserError
from hpe.networks.hrnet import build_heatmap_head, build_hrnet
from tests.networks.hrnet_names import published_shapes

numpy = ops.convert_to_numpy
IMAGES = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def backbone():
    return build_hrnet(32, image_size=64, multi_scale=True)


@pytest.fixture(scope="module")
def narrow():
    """For what does not depend on the width."""
    return build_hrnet(2, image_size=64, multi_scale=True)


def parameters(layers):
    return sum(int(np.prod(v.shape)) for layer in layers for v in layer.trainable_variables)


def is_of_coarse_outputs(layer):
    """Whether only networks have it that end in all branches."""
    return layer.name.startswith(tuple(f"stage4_2_fuse_layers_{target}" for target in (1, 2, 3)))


def test_published_shapes_add_up_to_the_published_sizes():
    """28.5 M and 63.6 M parameters, as the paper says, without building the large networks."""
    for width, expected in ((32, 28_536_113), (48, 63_595_745)):
        shapes = published_shapes(width, 17)
        trained = [shape for name, shape in shapes.items() if name.endswith(("weight", "bias"))]
        assert sum(int(np.prod(shape)) for shape in trained) == expected


def test_w32_has_28_5_million_parameters_and_maps_at_a_quarter(backbone):
    head = build_heatmap_head(32, 17)
    layers = [layer for layer in backbone.layers if not is_of_coarse_outputs(layer)]
    assert parameters([*layers, *head.layers]) == 28_536_113
    assert tuple(head(backbone.outputs[0]).shape) == (None, 16, 16, 17)


def test_branches_halve_in_size_and_double_in_width(narrow):
    shapes = [tuple(branch.shape) for branch in narrow.outputs]
    assert shapes == [(None, 16, 16, 2), (None, 8, 8, 4), (None, 4, 4, 8), (None, 2, 2, 16)]


def test_layers_bear_the_published_names(backbone):
    names = {layer.name for layer in backbone.layers if layer.variables and not is_of_coarse_outputs(layer)}
    published = {name.rpartition(".")[0].replace(".", "_") for name in published_shapes(32, 17)}
    assert names == published - {"final_layer"}


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
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 64)).astype("float32")
    narrow.get_layer("conv1").set_weights([kernel])
    found = numpy(stem(IMAGES))
    x = (IMAGES[0] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    for row, column in ((0, 0), (0, 31), (31, 0), (7, 20)):
        window = padded[2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        expected = np.einsum("yxi,yxio->o", window, kernel)
        np.testing.assert_allclose(found[0, row, column], expected, rtol=1e-4, atol=1e-4)
    assert found.shape[1:3] == (32, 32)


def test_it_starts_as_the_paper_says(backbone):
    convolutions = [layer for layer in backbone.layers if isinstance(layer, keras.layers.Conv2D)]
    assert not any(layer.use_bias for layer in convolutions)
    for layer in convolutions[::20]:
        kernel = layer.get_weights()[0]
        assert kernel.std() == pytest.approx(0.001, rel=0.1)
        assert abs(kernel.mean()) < 1e-4
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert (layer.epsilon, layer.momentum) == (1e-5, 0.9)


def test_half_precision_keeps_pixels_and_weights_whole_and_training_moves_the_statistics():
    network = build_hrnet(1, image_size=32, dtype="mixed_bfloat16")
    assert network.get_layer("normalization").compute_dtype == "float32"
    assert network.get_layer("stage4_2_branches_0_3_conv2").compute_dtype == "bfloat16"
    assert {str(v.dtype) for v in network.variables} == {"float32"}
    statistics = network.get_layer("bn1")
    images = IMAGES[:, :32, :32]
    features = network(images, training=False)
    assert tuple(features.shape) == (1, 8, 8, 1)
    assert keras.backend.standardize_dtype(features.dtype) == "bfloat16"
    assert not statistics.get_weights()[2].any()
    network(images, training=True)
    assert statistics.get_weights()[2].any()
