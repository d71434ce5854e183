"""MoveNet's encoders: what the published graph computes, at every stride, by name."""

import pathlib

import numpy as np
import pytest
from keras import ops

from hpe.errors import UserError
from hpe.networks.backbones import build_encoder, build_feature_maps
from hpe.networks.movenet import SIZES, MoveNet
from tests.networks.test_movenet import pattern

PICTURES = {version: pattern(size.picture)[None] for version, size in SIZES.items()}


@pytest.fixture(scope="module")
def maps():
    """What the encoders say of the picture, by their versions: at three strides, and at the last alone."""
    found = {}
    for version, strides in (("lightning", (4, 8, 32)), ("thunder", (32,))):
        size = SIZES[version].picture
        found[version] = build_feature_maps(f"movenet_{version}", image_size=size, strides=strides)(
            PICTURES[version]
        )
        assert sorted(found[version]) == sorted(f"stride_{stride}" for stride in strides)
    return found


@pytest.mark.parametrize("version", SIZES)
def test_last_map_is_that_of_the_published_graph(maps, version):
    recorded = np.load(pathlib.Path(__file__).parent / "movenet_recorded.npz")
    found = ops.convert_to_numpy(maps[version]["stride_32"])[0, ::3, ::3, ::16]
    np.testing.assert_allclose(found, recorded[f"{version}_features"], atol=1e-3)


def test_pyramid_is_the_one_that_the_heat_maps_are_made_of(maps):
    movenet = MoveNet("lightning").maps
    heads = movenet(PICTURES["lightning"].astype(np.float32) / 127.5 - 1.0)
    x = maps["lightning"]["stride_4"][..., 24:]
    for layer in ("heatmaps_inner_depthwise", "heatmaps_inner_pointwise", "heatmaps"):
        x = movenet.get_layer(layer)(x)
    np.testing.assert_allclose(
        ops.convert_to_numpy(x), ops.convert_to_numpy(heads["heatmaps"]), rtol=1e-4, atol=1e-3
    )


def test_features_are_the_average_and_a_grid_and_weights_of_a_file_are_loaded(maps, tmp_path):
    images = PICTURES["lightning"]
    encoder = build_encoder("movenet_lightning", image_size=192)
    last = maps["lightning"]["stride_32"]
    features = ops.convert_to_numpy(encoder(images))
    assert features.shape == (1, 1280 + 6 * 6 * 64)
    np.testing.assert_allclose(
        features[:, :1280], ops.convert_to_numpy(last).mean(axis=(1, 2)), rtol=1e-4, atol=1e-4
    )
    encoder.save_weights(tmp_path / "trained.weights.h5")
    again = build_encoder("movenet_lightning", image_size=192, weights=str(tmp_path / "trained.weights.h5"))
    np.testing.assert_array_equal(ops.convert_to_numpy(again(images)), features)


@pytest.mark.parametrize("size", [16, 100, 0])
def test_sizes_are_multiples_of_32(size):
    with pytest.raises(UserError, match=f"^img_size={size}: does not suit the encoder movenet_thunder"):
        build_encoder("movenet_thunder", image_size=size)
