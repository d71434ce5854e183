"""Encoders: preprocessing, weights from files and from nowhere, image sizes, batch normalisation."""

import time
import urllib.error

import keras
import numpy as np
import pytest
from keras import ops

from hpe.errors import UserError
from hpe.networks.backbones import Preprocessing, build_encoder, build_feature_maps, known_encoders

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("uint8")


def _run(model, images=IMAGES):
    return ops.convert_to_numpy(model(images))


@pytest.fixture(scope="module")
def mobilenet():
    return build_encoder("MobileNetV2", image_size=32, weights="none")


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [
        ("ResNet50", IMAGES[..., ::-1].astype("float32") - np.array([103.939, 116.779, 123.68], "float32")),
        ("ResNet50V2", IMAGES / np.float32(127.5) - 1),
        ("MobileNetV2", IMAGES / np.float32(127.5) - 1),
        ("DenseNet121", (IMAGES / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
        ("EfficientNetB0", IMAGES.astype("float32")),  # the model scales inside
        ("MobileNetV3Small", IMAGES.astype("float32")),
    ],
)
def test_each_backbone_sees_what_it_was_trained_on(backbone, expected):
    np.testing.assert_allclose(_run(Preprocessing(backbone)), expected, atol=1e-4)


def test_encoder_is_its_backbone_after_its_preprocessing(mobilenet):
    backbone = mobilenet.layers[-1]
    np.testing.assert_allclose(_run(mobilenet), _run(backbone, IMAGES / np.float32(127.5) - 1), atol=1e-5)


def test_bytes_and_floats_give_the_same_and_fractions_are_kept(mobilenet):
    encoder = build_encoder("small", image_size=32, weights="none")
    for model in (mobilenet, encoder):
        np.testing.assert_array_equal(_run(model), _run(model, IMAGES.astype("float32")))
        fractions = IMAGES.astype("float32") * 0.99
        assert not np.array_equal(_run(model, fractions), _run(model, np.floor(fractions)))


def test_resnets_by_name_in_any_case():
    encoder = build_encoder("RESNET50v2", image_size=32, weights="none")
    assert tuple(encoder.output.shape) == (None, 2048)


def test_every_model_of_keras_applications_is_known():
    assert {"ResNet50", "ResNet152V2", "EfficientNetV2S", "MobileNetV3Large", "ConvNeXtTiny"} < set(
        known_encoders()
    )


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(UserError, match=r"Unknown encoder 'resnet51'.*ResNet50,"):
        build_encoder("resnet51", image_size=32, weights="none")


@pytest.mark.parametrize("image_size", [(64, 32), (64, 64), 64.0, True])
@pytest.mark.parametrize("name", ["small", "MobileNetV2"])
def test_image_size_must_be_one_number(name, image_size):
    with pytest.raises(ValueError, match="Received: "):
        build_encoder(name, image_size=image_size, weights="none")


@pytest.mark.parametrize("image_size", [16, 8, 0, -224])
@pytest.mark.parametrize("name", ["small", "MobileNetV2", "InceptionV3"])
def test_a_size_that_does_not_suit_is_one_line_that_names_the_flag(name, image_size):
    with pytest.raises(UserError, match=f"^img_size={image_size}: does not suit the encoder {name}") as error:
        build_encoder(name, image_size=image_size, weights="none")
    assert "\n" not in str(error.value)


def test_small_encoder_is_small_and_knows_where_things_are():
    encoder = build_encoder("small", image_size=64, weights="none")
    assert 0.5e6 < encoder.count_params() < 1e6
    images = np.zeros((2, 64, 64, 3), "uint8")
    images[0, 8:24, 8:24] = 255
    images[1, 40:56, 40:56] = 255
    left, right = _run(encoder, images)[:, 128:]
    assert not np.allclose(left, right, atol=0.05 * np.abs(left).max())


@pytest.mark.parametrize("image_size", [32, 50, 64, 96, 224])
def test_small_encoder_features_have_one_length_at_all_sizes(image_size):
    assert tuple(build_encoder("small", image_size=image_size, weights="none").output.shape) == (None, 640)


def test_batch_norm_momentum_reaches_every_layer():
    for name in ("small", "MobileNetV2"):
        encoder = build_encoder(name, image_size=32, weights="none", batch_norm_momentum=0.6)
        momenta = [
            layer.momentum
            for layer in encoder._flatten_layers()
            if isinstance(layer, keras.layers.BatchNormalization)
        ]
        assert len(momenta) > 10
        assert set(momenta) == {0.6}
    with pytest.raises(ValueError, match=r"Received: batch_norm_momentum=1.5"):
        build_encoder("small", image_size=32, weights="none", batch_norm_momentum=1.5)


@pytest.mark.parametrize(
    ("part", "suffix"),
    [("encoder", ".weights.h5"), ("backbone", ".weights.h5"), ("encoder", ".keras"), ("backbone", ".h5")],
)
def test_weights_from_a_file_of_the_encoder_or_its_backbone(mobilenet, tmp_path, suffix, part):
    saved = mobilenet if part == "encoder" else mobilenet.layers[-1]
    path = tmp_path / f"saved{suffix}"
    saved.save_weights(path) if suffix == ".weights.h5" else saved.save(path)
    loaded = build_encoder("MobileNetV2", image_size=32, weights=str(path))
    np.testing.assert_array_equal(_run(loaded), _run(mobilenet))


def test_small_encoder_loads_its_own_weights(tmp_path):
    encoder = build_encoder("small", image_size=32, weights="none")
    encoder.save_weights(tmp_path / "small.weights.h5")
    loaded = build_encoder("small", image_size=32, weights=str(tmp_path / "small.weights.h5"))
    np.testing.assert_array_equal(_run(loaded), _run(encoder))


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "small.weights.h5"
    build_encoder("small", image_size=32, weights="none").save_weights(path)
    with pytest.raises(
        UserError, match=r"^encoder_weights=.*small.weights.h5: not the weights of this encoder"
    ):
        build_encoder("MobileNetV2", image_size=32, weights=str(path))


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras", ".h5"])
def test_damaged_weights_are_refused_in_one_line(tmp_path, suffix):
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(b"not a weights file" * 100)
    with pytest.raises(UserError, match="not the weights of this encoder") as caught:
        build_encoder("small", image_size=32, weights=str(path))
    assert "\n" not in str(caught.value)


def test_missing_and_misnamed_weights_are_named(tmp_path):
    with pytest.raises(UserError, match=r"encoder_weights=.*gone.keras: there is no such file"):
        build_encoder("small", image_size=32, weights=str(tmp_path / "gone.keras"))
    (tmp_path / "weights.pth").write_bytes(b"")
    with pytest.raises(UserError, match=r"expected a file name ending in \.weights\.h5"):
        build_encoder("small", image_size=32, weights=str(tmp_path / "weights.pth"))


def test_without_network_the_error_names_the_flag(monkeypatch, tmp_path):
    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", unreachable)
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    start = time.perf_counter()
    with pytest.raises(UserError, match=r"`encoder_weights=none` or `encoder_weights=PATH`") as caught:
        build_encoder("MobileNetV2", image_size=96, weights="imagenet")
    assert time.perf_counter() - start < 60  # a busy machine takes 13 s
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="img_size=16"):  # not a matter of the network
        build_encoder("MobileNetV2", image_size=16, weights="imagenet")


def test_imagenet_weights_in_the_keras_cache_need_no_network(mobilenet, monkeypatch, tmp_path):
    """The file that Keras would download, of another origin here, is found where Keras keeps it."""
    (tmp_path / "models").mkdir()
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
    mobilenet.layers[-1].save(tmp_path / "models" / name)
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    with pytest.warns(UserWarning, match="input_shape"):
        encoder = build_encoder("mobilenetv2", image_size=32, weights="imagenet")
    np.testing.assert_array_equal(_run(encoder), _run(mobilenet))


@pytest.mark.parametrize("name", ["small", "MoveNet_Lightning"])
def test_encoders_of_the_package_have_no_imagenet_weights(name):
    expected = f"'{name.lower()}' has no ImageNet weights; use `encoder_weights=pretrained`"
    with pytest.raises(UserError, match=expected):
        build_encoder(name, image_size=64, weights="imagenet")


def test_the_weights_in_the_package_are_those_of_the_small_encoder():
    images = np.random.default_rng(0).integers(0, 255, (2, 96, 96, 3)).astype(np.uint8)
    trained = build_encoder("small", image_size=96, weights="synthetic")
    again = build_encoder("small", image_size=96)
    features = keras.ops.convert_to_numpy(trained(images))
    np.testing.assert_array_equal(features, keras.ops.convert_to_numpy(again(images)))
    assert np.isfinite(features).all()
    assert features.std() > 0.01
    for name in ("MobileNetV2", "movenet_thunder"):
        with pytest.raises(UserError, match="encoder_weights=synthetic"):
            build_encoder(name, image_size=96, weights="synthetic")


@pytest.mark.parametrize("content", [None, b"no npz"])
def test_a_package_without_its_weights_says_so(tmp_path, monkeypatch, content):
    path = tmp_path / "weights.npz"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr("hpe.networks.backbones.SYNTHETIC_WEIGHTS", path)
    with pytest.raises(UserError, match=r"encoder_weights=synthetic: .*weights\.npz .*cannot be read"):
        build_encoder("small", image_size=64, weights="synthetic")


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("small", 64, [(16, 32), (8, 64), (4, 128)]),
        ("MobileNetV2", 64, [(16, 144), (8, 192), (4, 576), (2, 1280)]),
        ("ResNet50", 64, [(16, 256), (8, 512), (4, 1024), (2, 2048)]),
        ("movenet_lightning", 64, [(16, 24 + 24), (8, 32 + 24), (4, 64 + 32), (2, 1280)]),
    ],
)
def test_maps_have_the_side_of_their_stride(name, size, expected):
    strides = [4, 8, 16, 32][: len(expected)]
    maps = build_feature_maps(name, image_size=size, strides=strides, weights="none")
    outputs = maps(np.zeros((1, size, size, 3), np.uint8))
    assert [tuple(outputs[f"stride_{stride}"].shape[1:]) for stride in strides] == [
        (n, n, width) for n, width in expected
    ]


def test_maps_are_those_that_the_features_are_made_of(mobilenet, tmp_path):
    mobilenet.save_weights(tmp_path / "all.weights.h5")
    maps = build_feature_maps(
        "MobileNetV2", image_size=32, strides=(32,), weights=str(tmp_path / "all.weights.h5")
    )
    last = maps(IMAGES)["stride_32"]
    np.testing.assert_allclose(ops.convert_to_numpy(last).mean(axis=(1, 2)), _run(mobilenet), atol=1e-5)


def test_a_stride_without_maps_is_one_line_that_names_those_there_are():
    with pytest.raises(UserError, match=r"^encoder=small: has no maps at stride 32 .* at 4, 8, 16 it has"):
        build_feature_maps("small", image_size=64, strides=(8, 32), weights="none")
