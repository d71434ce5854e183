"""The search for the nearest pose against a search that tries all."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe.evaluation.nearest_poses import NearestPose


def random_rotmats(seed, *shape, scale=1.0):
    vectors = np.random.default_rng(seed).normal(scale=scale, size=(int(np.prod(shape)), 3))
    return Rotation.from_rotvec(vectors).as_matrix().reshape(*shape, 3, 3)


def all_distances(first, second):
    """(N, M) mean angles, by the traces of the relative rotations."""
    traces = np.einsum("njab,mjab->nmj", first, second)
    return np.arccos(np.clip((traces - 1) / 2, -1, 1)).mean(axis=-1)


@pytest.mark.parametrize("scale", [0.2, 1.0, 3.0])
@pytest.mark.parametrize("size", [1, 40, 1500])
def test_the_search_is_exact(scale, size):
    poses, queries = random_rotmats(0, size, 5, scale=scale), random_rotmats(1, 70, 5, scale=scale)
    expected = all_distances(queries, poses).min(axis=1)
    np.testing.assert_allclose(NearestPose(poses).distances(queries), expected, atol=1e-7)


def test_the_search_is_exact_among_poses_that_hardly_differ():
    base = random_rotmats(0, 1, 5)
    poses = base @ random_rotmats(1, 500, 5, scale=1e-3)
    queries = base @ random_rotmats(2, 30, 5, scale=1e-3)
    expected = all_distances(queries, poses).min(axis=1)
    # The arc cosine of the reference loses half of its digits near 0.
    np.testing.assert_allclose(NearestPose(poses).distances(queries), expected, atol=1e-7)


def test_a_pose_of_the_set_is_at_distance_0_in_float32_too():
    poses = random_rotmats(0, 300, 23)
    search = NearestPose(poses)
    assert search.distances(poses).max() < 1e-12
    assert search.distances(poses.astype(np.float32)).max() < 1e-6


def test_a_half_turn_is_the_greatest_distance():
    turned = Rotation.from_rotvec([[np.pi, 0, 0]]).as_matrix()[None]
    np.testing.assert_allclose(NearestPose(np.eye(3)[None, None]).distances(turned), np.pi)


def test_no_pose_to_ask_about_and_none_to_compare_with():
    assert NearestPose(random_rotmats(0, 3, 5)).distances(np.zeros((0, 5, 3, 3))).shape == (0,)
    with pytest.raises(ValueError, match="at least one pose"):
        NearestPose(np.zeros((0, 5, 3, 3)))
    with pytest.raises(ValueError, match=r"rotmats must be \(N, 5, 3, 3\)"):
        NearestPose(random_rotmats(0, 3, 5)).distances(np.eye(3)[None, None])
