"""Errors of lifted poses: the protocols against their definitions, actions, and whole sources."""

import numpy as np
import pytest

from hpe.errors import UserError
from hpe.evaluation.lifting import evaluate_poses, pose_errors, summarize
from hpe.pipeline.pose_config import PosePipelineConfig
from hpe.pipeline.poses import PoseSource
from hpe.systems.prediction import Prediction
from tests.pipeline import poses


def random_poses(count, seed):
    return np.random.default_rng(seed).normal(size=(count, 17, 3))


def rotation():
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def test_mpjpe_is_the_mean_distance_of_all_17_joints_from_the_pelvis():
    predicted, target = random_poses(6, 0), random_poses(6, 1)
    difference = (predicted - predicted[:, :1]) - (target - target[:, :1])
    expected = 1000 * np.sqrt((difference**2).sum(axis=-1)).mean(axis=1)
    np.testing.assert_allclose(pose_errors(predicted, target)["mpjpe"], expected)


def test_protocols_forgive_what_they_align():
    target = random_poses(6, 1)
    similar = 1.7 * target @ rotation() + [1.0, 2.0, 3.0]
    scaled = 0.6 * (target - target[:, :1])
    assert pose_errors(similar, target)["pa_mpjpe"].max() < 1e-6
    assert pose_errors(similar, target)["n_mpjpe"].min() > 100
    assert pose_errors(scaled, target)["n_mpjpe"].max() < 1e-6
    assert pose_errors(scaled, target)["mpjpe"].min() > 100
    # The best reflection does not count.
    assert pose_errors(target * [-1, 1, 1], target)["pa_mpjpe"].min() > 100
    assert np.isfinite(pose_errors(np.zeros_like(target), target)["n_mpjpe"]).all()


def test_the_mean_over_actions_counts_every_action_once():
    errors = {name: np.array([10.0, 20.0, 60.0, 0.0]) for name in ("mpjpe", "pa_mpjpe", "n_mpjpe")}
    values = {m.name: m for m in summarize(errors, np.array(["Walking", "Walking", "Sitting", ""]))}
    assert values["mpjpe"].value == 22.5
    assert values["mpjpe_actions"].value == (15 + 60) / 2
    assert values["mpjpe_actions"].count == 3
    assert values["pa_mpjpe/Walking"].value == 15
    assert values["n_mpjpe/Sitting"].count == 1
    assert "mpjpe_actions" not in {m.name for m in summarize(errors, np.array([""] * 4))}


class Truth:
    """Predicts the truth that it was given, some millimetres off for one sequence."""

    def __init__(self, source, off=0.01):
        given = source.statistics()
        self._by_input = {
            joints2d.tobytes(): joints3d
            for joints2d, joints3d in zip(given["joints2d"], given["joints3d"], strict=True)
        }
        self._off = off

    def __call__(self, joints2d):
        found = [self._by_input.get(row.tobytes(), np.zeros((17, 3))) for row in joints2d]
        joints3d = np.array(found, np.float32)
        joints3d[:, 1:, 0] += self._off
        return Prediction("h36m16", joints2d, joints3d, skeleton3d="h36m17")


def source(**changes):
    sequences = [poses.sequence(5, 0), poses.sequence(4, 1, **changes)]
    return PoseSource.from_sequences(sequences, PosePipelineConfig())


@pytest.mark.parametrize("batch_size", [4, 20])
def test_every_frame_is_judged_once(batch_size):
    evaluation = evaluate_poses(Truth(source()), source(), batch_size=batch_size, show_progress=False)
    values = evaluation.values()
    assert values["poses"] == 9
    assert np.isclose(values["mpjpe"], 10 * 16 / 17, atol=1e-3)
    assert {"mpjpe/Walking", "mpjpe/Sitting", "pa_mpjpe_actions"} <= values.keys()
    assert [sample.index for sample in evaluation.samples] == list(range(9))
    assert evaluation.samples[5].name == "S1/Walking/cam#0"
    assert np.isclose(evaluation.samples[0].error, 10 * 16 / 17, atol=1e-3)


def test_frames_without_truth_are_left_out():
    mixed = source(joints3d=None)
    evaluation = evaluate_poses(Truth(mixed), mixed, batch_size=4, show_progress=False)
    assert evaluation.values()["poses"] == 5
    flat = PoseSource.from_sequences([poses.sequence(joints3d=None)], PosePipelineConfig())
    with pytest.raises(UserError, match="no frame has 3D"):
        evaluate_poses(Truth(mixed), flat, batch_size=4, show_progress=False)


def test_a_prediction_that_is_not_finite_is_named():
    with pytest.raises(UserError, match="S0/Walking/cam#0: its prediction is not finite"):
        evaluate_poses(Truth(source(), np.nan), source(), batch_size=4, show_progress=False)
