"""MoveNet's encoders: what the published graph computes, at every stride, by name."""

import pathlib

import numpy as np
import pytest
from keras import ops

from hpe.errors import UserError
from hpe.networks.backbones import build_encoder, build_feature_maps
from hpe.networks.movenet import SIZES, MoveNet
from tests.networks.test_movenet import pattern


@pytest.mark.parametrize("version", SIZES)
def test_last_map_is_that_of_the_published_graph(version):
    recorded = np.load(pathlib.Path(__file__).parent / "movenet_recorded.npz")
    size = SIZES[version].picture
    maps = build_feature_maps(f"movenet_{version}", image_size=size, strides=(32,))
    last = maps(pattern(size)[None])["stride_32"]
    found = ops.convert_to_numpy(last)[0, ::3, ::3, ::16]
    np.testing.assert_allclose(found, recorded[f"{version}_features"], atol=1e-3)


def test_pyramid_is_the_one_that_the_heat_maps_are_made_of():
    size = SIZES["lightning"].picture
    picture = pattern(size)[None]
    maps = build_feature_maps("movenet_lightning", image_size=size, strides=(4, 8))(picture)
    movenet = MoveNet("lightning").maps
    heads = movenet(picture.astype(np.float32) / 127.5 - 1.0)
    x = maps["stride_4"][..., 24:]
    for layer in ("heatmaps_inner_depthwise", "heatmaps_inner_pointwise", "heatmaps"):
        x = movenet.get_layer(layer)(x)
    np.testing.assert_allclose(
        ops.convert_to_numpy(x), ops.convert_to_numpy(heads["heatmaps"]), rtol=1e-4, atol=1e-3
    )


def test_features_are_the_average_and_a_grid():
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3)).astype(np.uint8)
    encoder = build_encoder("movenet_lightning", image_size=96)
    last = build_feature_maps("movenet_lightning", image_size=96, strides=(32,))(images)["stride_32"]
    features = ops.convert_to_numpy(encoder(images))
    assert features.shape == (2, 1280 + 6 * 6 * 64)
    np.testing.assert_allclose(
        features[:, :1280], ops.convert_to_numpy(last).mean(axis=(1, 2)), rtol=1e-4, atol=1e-4
    )


def test_weights_of_a_file_are_loaded(tmp_path):
    images = np.zeros((1, 32, 32, 3), np.uint8)
    encoder = build_encoder("movenet_lightning", image_size=32)
    encoder.save_weights(tmp_path / "trained.weights.h5")
    again = build_encoder("movenet_lightning", image_size=32, weights=str(tmp_path / "trained.weights.h5"))
    np.testing.assert_array_equal(ops.convert_to_numpy(again(images)), ops.convert_to_numpy(encoder(images)))


@pytest.mark.parametrize("size", [16, 100, 0])
def test_sizes_are_multiples_of_32(size):
    with pytest.raises(UserError, match=f"^img_size={size}: does not suit the encoder movenet_thunder"):
        build_encoder("movenet_thunder", image_size=size)
