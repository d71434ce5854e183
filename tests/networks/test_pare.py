"""PARE's networks: what attention gathers, whose weights are whose, and where the heads start."""

import numpy as np
import pytest
from keras import ops

from hpe.networks.pare import (
    LocallyConnected,
    MeanBody,
    MeanForParts,
    PartAttention,
    attention_of,
    build_baseline,
    build_pare_head,
    build_up_fusion,
)

RNG = np.random.default_rng(0)
numpy = ops.convert_to_numpy


def features(*shape):
    return RNG.normal(size=shape).astype("f4")


def test_even_attention_is_the_mean_and_a_peak_is_its_cell():
    maps = features(2, 4, 5, 6)
    everywhere = numpy(PartAttention()([maps, np.zeros((2, 4, 5, 25), "f4")]))
    assert everywhere.shape == (2, 24, 6)
    np.testing.assert_allclose(everywhere, np.repeat(maps.mean(axis=(1, 2))[:, None], 24, 1), atol=1e-6)
    np.testing.assert_allclose(numpy(MeanForParts(24)(maps)), everywhere, atol=1e-6)

    peaks = np.zeros((2, 4, 5, 25), "f4")
    peaks[:, 1, 3, 1 + 7] = 100.0
    peaks[:, 2, 0, 0] = 100.0  # the background's, which nobody looks at
    gathered = numpy(PartAttention()([maps, peaks]))
    np.testing.assert_allclose(gathered[:, 7], maps[:, 1, 3], atol=1e-5)
    np.testing.assert_allclose(gathered[:, 6], everywhere[:, 6], atol=1e-6)


def test_attention_shares_one_or_lets_each_cell_have_its_own():
    logits = features(1, 3, 4, 25)
    np.testing.assert_allclose(numpy(attention_of(logits)).sum(axis=(1, 2)), 1, atol=1e-6)
    alone = numpy(attention_of(logits, "sigmoid"))
    np.testing.assert_allclose(alone, 1 / (1 + np.exp(-logits[..., 1:])), atol=1e-6)
    with pytest.raises(ValueError, match="softmax or sigmoid"):
        PartAttention("none")


def test_parts_share_no_weights():
    layer = LocallyConnected(6)
    x = features(2, 24, 5)
    before = numpy(layer(x))
    kernel = numpy(layer.kernel.value)
    np.testing.assert_allclose(before, np.einsum("bpf,pfu->bpu", x, kernel), atol=1e-5)
    changed = kernel.copy()
    changed[7] += 1.0
    layer.kernel.assign(changed)
    moved = np.abs(numpy(layer(x)) - before).max(axis=(0, 2)) > 0
    assert np.flatnonzero(moved).tolist() == [7]


def test_branches_are_joined_with_their_own_channels():
    branches = [features(1, 8 // 2**k, 8 // 2**k, 2 * 2**k) for k in range(4)]
    joined = numpy(build_up_fusion(2, cells=8)(branches))
    assert joined.shape == (1, 8, 8, 30)
    np.testing.assert_array_equal(joined[..., :2], branches[0])
    plain = numpy(build_up_fusion(2, cells=8, interpolate=True)(branches))
    np.testing.assert_allclose(plain[0, 0, 0], np.concatenate([b[0, 0, 0] for b in branches]), atol=1e-6)
    np.testing.assert_allclose(plain[0, 7, 7], np.concatenate([b[0, -1, -1] for b in branches]), atol=1e-6)


@pytest.fixture(scope="module")
def mean():
    return MeanBody(features(24, 6), features(10), features(3))


@pytest.mark.parametrize("attention", [True, False])
def test_heads_start_at_the_mean(mean, attention):
    head = build_pare_head((4, 4, 8), filters=4, num_layers=2, upsampled=1, attention=attention, mean=mean)
    outputs = {key: numpy(value) for key, value in head(features(2, 4, 4, 8)).items()}
    for key in ("rot6d", "shape", "camera"):
        assert np.abs(outputs[key] - getattr(mean, key)).max() < 0.1
    assert ("part_logits" in outputs) == attention
    if attention:
        assert outputs["part_logits"].shape == (2, 8, 8, 25)
    assert len(head.trainable_variables) == len({v.path for v in head.trainable_variables})


def test_heads_without_a_mean_are_those_of_the_reference():
    head = build_pare_head((4, 4, 8), filters=16, num_layers=1)
    assert not [layer.name for layer in head.layers if layer.name.startswith("mean_")]
    assert numpy(head.get_layer("pose_mlp").kernel.value).std() == pytest.approx(1.0, abs=0.05)


def test_baseline_sees_means_of_the_picture():
    network = build_baseline(16)
    picture = RNG.integers(0, 256, (1, 16, 16, 3)).astype("f4")
    coarse = picture.reshape(1, 8, 2, 8, 2, 3).mean(axis=(2, 4)).repeat(2, 1).repeat(2, 2)
    for key, value in network(picture).items():
        np.testing.assert_allclose(numpy(value), numpy(network(coarse)[key]), atol=1e-5)
    assert sum(variable.shape[0] == 192 for variable in network.trainable_variables) == 3
