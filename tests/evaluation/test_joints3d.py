"""pose-hg-3d's protocol: MPII's joints as Human3.6M's, and all bones together 4 m long."""

import numpy as np
import pytest

from hpe import skeletons
from hpe.evaluation import registry
from hpe.evaluation.judged import Judged
from hpe.systems.prediction import Prediction

# Written down apart from the package, by the numbers of Human3.6M's joints from the right.
TO_H36M = [6, 2, 1, 0, 3, 4, 5, 7, 8, 9, 9, 13, 14, 15, 12, 11, 10]
EDGES = [(3, 2), (2, 1), (1, 0), (0, 4), (4, 5), (5, 6), (0, 7), (7, 8), (8, 10)]
EDGES += [(16, 15), (15, 14), (14, 8), (8, 11), (11, 12), (12, 13)]


def published(predicted, truth):
    """The errors of MPII's joints (N, 16, 3) against Human3.6M's (N, 17, 3), as the published code has them."""
    errors = []
    for pose, goal in zip(predicted, truth, strict=True):
        joints = (pose - pose[6])[TO_H36M]
        joints[7], joints[9] = (joints[0] + joints[8]) / 2, (joints[8] + joints[10]) / 2
        joints = joints * (4000 / sum(np.linalg.norm(joints[a] - joints[b]) for a, b in EDGES))
        errors.append(np.linalg.norm(1000 * (goal - goal[0]) - joints, axis=1).mean())
    return errors


def measured(name, predicted, truth):
    count = len(truth)
    batch = {
        "name": np.array([b"a"] * count),
        "joints3d": truth,
        "joints3d_weight": np.ones((count, 17), np.float32),
    }
    joints2d = np.zeros((count, 16, 2), np.float32)
    prediction = Prediction(skeleton="mpii16", joints2d=joints2d, joints3d=predicted)
    measure = registry.measure(name)
    measure.add(Judged(batch, prediction, None, skeleton2d="h36m17", skeleton3d="h36m17"))
    return measure.of_samples(measure.rows())


def test_bones4000_is_the_published_error():
    rng = np.random.default_rng(0)
    predicted, truth = rng.normal(size=(3, 16, 3)) + 5, rng.normal(scale=0.4, size=(3, 17, 3))
    found = measured("mpjpe@bones4000", predicted, truth)
    np.testing.assert_allclose(found, published(predicted, truth), rtol=1e-6)
    # Neither its size nor its place counts.
    np.testing.assert_allclose(measured("mpjpe@bones4000", 7 * predicted - 2, truth), found, rtol=1e-6)


def test_a_perfect_pose_errs_by_its_size():
    """The truth is of a person whose bones are 4.4 m long, as Human3.6M's are longer than 4 m."""
    predicted = np.random.default_rng(1).normal(scale=0.4, size=(1, 16, 3))
    truth = skeletons.convert(skeletons.MPII16, skeletons.H36M17).coordinates(predicted)
    truth = truth - truth[:, :1]
    truth *= 4.4 / sum(np.linalg.norm(truth[0, a] - truth[0, b]) for a, b in EDGES)
    error = measured("mpjpe@bones4000", predicted, truth)[0]
    assert error == pytest.approx(1000 * 0.4 / 4.4 * np.linalg.norm(truth[0], axis=1).mean(), rel=1e-6)
    with pytest.raises(ValueError, match="bones5000"):
        registry.parse("mpjpe@bones5000")
