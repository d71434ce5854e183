import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe.geometry.alignment import procrustes_align


def _points(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_a_similarity_transform_is_undone_exactly():
    target = _points(2, 4, 14, 3)
    rotmat = Rotation.from_rotvec([0.4, -2.0, 1.0]).as_matrix()
    moved = 0.3 * target @ rotmat.T + [1.0, -2.0, 5.0]
    np.testing.assert_allclose(procrustes_align(moved, target), target, atol=1e-12)


def test_without_scale_the_rotation_agrees_with_scipy():
    predicted, target = _points(14, 3), _points(14, 3, seed=1)
    centred = predicted - predicted.mean(0)
    rotation, _ = Rotation.align_vectors(target - target.mean(0), centred)
    expected = rotation.apply(centred) + target.mean(0)
    np.testing.assert_allclose(procrustes_align(predicted, target, scale=False), expected, atol=1e-9)


def test_no_similarity_near_the_answer_is_better():
    predicted, target = _points(14, 3, seed=2), _points(14, 3, seed=3)
    aligned = procrustes_align(predicted, target)
    best = ((aligned - target) ** 2).sum()
    generator = np.random.default_rng(4)
    centre = aligned.mean(0)
    for _ in range(50):
        turn = Rotation.from_rotvec(0.05 * generator.normal(size=3)).as_matrix()
        other = np.exp(0.05 * generator.normal()) * (aligned - centre) @ turn.T + centre
        assert ((other - target) ** 2).sum() >= best - 1e-12


def test_a_mirror_image_is_not_aligned_by_reflection():
    target = _points(14, 3, seed=5)
    mirrored = target * [-1.0, 1.0, 1.0]
    assert np.abs(procrustes_align(mirrored, target) - target).max() > 0.1


def test_coinciding_points_go_to_the_centre():
    target = _points(5, 3)
    aligned = procrustes_align(np.ones((5, 3)), target)
    np.testing.assert_allclose(aligned, np.broadcast_to(target.mean(0), (5, 3)))


def test_unequal_shapes_are_refused():
    with pytest.raises(ValueError, match=r"Received: predicted=\(4, 3\), target=\(5, 3\)"):
        procrustes_align(_points(4, 3), _points(5, 3))
