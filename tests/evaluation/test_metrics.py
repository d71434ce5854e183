import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from hpe import skeletons
from hpe.evaluation import metrics

LSP14 = skeletons.LSP14
HIPS = [LSP14.index("right_hip"), LSP14.index("left_hip")]


def summed(hits, skeleton=LSP14):
    """Returns `pck_groups` of the hits of all samples."""
    judged = np.isfinite(hits)
    return metrics.pck_groups(np.where(judged, hits, 0).sum(0), judged.sum(0), skeleton=skeleton)


def _joints(seed, samples=3, joints=14, axes=3):
    return np.random.default_rng(seed).normal(size=(samples, joints, axes))


def test_mpjpe_of_a_hand_computed_case():
    target = np.zeros((1, 14, 3))
    predicted = target.copy()
    predicted[0, 13] = (3, 4, 0)  # head top: 5 away, the root has not moved
    assert metrics.mpjpe(predicted, target, root=HIPS) == pytest.approx([5 / 14])


def test_mpjpe_root_is_the_middle_of_the_hips():
    target = _joints(0)
    predicted = target.copy()
    predicted[:, skeletons.LSP14.index("right_hip")] += (2, 0, 0)
    # The root moves by 1: the hip is off by 1 and every other joint by 1.
    assert metrics.mpjpe(predicted, target, root=HIPS) == pytest.approx(np.ones(3))


def test_mpjpe_ignores_translation_but_not_rotation():
    target = _joints(1)
    assert metrics.mpjpe(target + np.array([1.0, -2.0, 3.0]), target, root=HIPS) == pytest.approx(
        np.zeros(3), abs=1e-12
    )
    turned = target @ Rotation.from_euler("y", 30, degrees=True).as_matrix().T
    assert (metrics.mpjpe(turned, target, root=HIPS) > 0.1).all()


def test_mpjpe_takes_only_known_joints_of_cocoplus():
    target, predicted = _joints(2, joints=19), _joints(3, joints=19)
    weights = np.ones((3, 19))
    weights[0, 0] = 0
    weights[1, skeletons.LSP14.index("left_hip")] = 0
    body = range(14)
    errors = metrics.mpjpe(predicted, target, weights, root=HIPS, joints=body)
    root = lambda joints: joints - (joints[2] + joints[3]) / 2  # noqa: E731
    distance = np.linalg.norm(root(predicted[0]) - root(target[0]), axis=1)
    assert errors[0] == pytest.approx(distance[1:14].mean())
    assert np.isnan(errors[1])
    assert errors[2] == pytest.approx(metrics.mpjpe(predicted, target, root=HIPS, joints=body)[2])


def test_pa_mpjpe_is_the_minimum_over_all_similarities():
    """Compared with a numerical search by scipy for the transform of least squares."""
    predicted, target = _joints(4, samples=1)[0], _joints(5, samples=1)[0]

    def moved(parameters):
        rotation = Rotation.from_rotvec(parameters[:3]).as_matrix()
        return np.exp(parameters[3]) * predicted @ rotation.T + parameters[4:]

    starts = np.random.default_rng(0).normal(size=(12, 7))
    fits = [minimize(lambda p: ((moved(p) - target) ** 2).sum(), start, tol=1e-12) for start in starts]
    best = min(fits, key=lambda fit: fit.fun)
    expected = np.linalg.norm(moved(best.x) - target, axis=1).mean()
    assert metrics.pa_mpjpe(predicted[None], target[None])[0] == pytest.approx(expected, abs=1e-4)


def test_pa_mpjpe_of_unknown_joints_aligns_with_the_known_ones():
    target = _joints(6, samples=1)
    predicted = 2 * target @ Rotation.random(rng=1).as_matrix().T + 5
    predicted[0, 4] = 1000
    weights = np.ones((1, 14))
    weights[0, 4] = 0
    assert metrics.pa_mpjpe(predicted, target, weights) == pytest.approx([0], abs=1e-9)
    weights[0, 2:] = 0
    assert np.isnan(metrics.pa_mpjpe(predicted, target, weights)[0])


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_pa_mpjpe_ignores_similarities_but_not_mirroring(seed, scale, shift):
    target, noise = _joints(seed, samples=1), _joints(seed + 1, samples=1)
    moved = scale * noise @ Rotation.random(rng=seed).as_matrix().T + shift
    plain = metrics.pa_mpjpe(noise, target)
    assert metrics.pa_mpjpe(moved, target) == pytest.approx(plain, rel=1e-6)
    assert metrics.pa_mpjpe(target * [-1, 1, 1], target)[0] > 1e-3


def test_pve_is_not_aligned():
    target = _joints(7, joints=100)
    assert metrics.pve(target + np.array([3.0, 0, 4.0]), target) == pytest.approx(np.full(3, 5))


def test_pck_counts_joints_within_a_fifth_of_the_torso():
    target = np.zeros((1, 14, 2))
    target[0, skeletons.LSP14.index("left_shoulder")] = (30, 0)
    target[0, skeletons.LSP14.index("right_hip")] = (0, 40)  # a torso of 50: joints may be off by 10
    predicted = target.copy()
    predicted[0, 0] += (10, 0)
    predicted[0, 1] += (7.1, 7.1)
    predicted[0, 5] += (500, 0)
    visibility = np.ones((1, 14))
    visibility[0, 5] = 0
    hits = metrics.pck_hits(predicted, target, visibility, skeleton=LSP14)
    assert hits[0, 0] == 1
    assert hits[0, 1] == 0
    assert np.isnan(hits[0, 5])
    assert summed(hits)["Mean"] == pytest.approx(12 / 13)


def test_pck_without_a_torso_is_not_judged():
    target = _joints(8, axes=2)
    visibility = np.ones((3, 14))
    visibility[0, skeletons.LSP14.index("left_shoulder")] = 0
    hits = metrics.pck_hits(target, target, visibility, skeleton=LSP14)
    assert np.isnan(hits[0]).all()
    assert (hits[1:] == 1).all()
    assert np.isnan(summed(hits[:1])["Mean"])


@pytest.mark.parametrize("name", ["mpii16", "coco17", "h36m17", "cocoplus19"])
def test_pck_of_any_skeleton_is_that_of_its_joints(name):
    skeleton = skeletons.get(name)
    rng = np.random.default_rng(0)
    lsp = rng.normal(size=(5, 14, 2))
    target = skeletons.convert(skeletons.LSP14, skeleton, missing=True).coordinates(lsp)
    target[:, [joint not in skeletons.LSP14.joints for joint in skeleton.joints]] = 0
    noise = rng.normal(scale=0.3, size=target.shape)
    hits = metrics.pck_hits(target + noise, target, np.ones(target.shape[:2]), skeleton=skeleton)
    back = skeletons.convert(skeleton, skeletons.LSP14, missing=True)
    shared = [j for j, joint in enumerate(skeletons.LSP14.joints) if joint in skeleton.joints]
    noise = back.coordinates(noise)
    expected = metrics.pck_hits(lsp + noise, lsp, np.ones((5, 14)), skeleton=LSP14)
    np.testing.assert_array_equal(back.coordinates(hits[..., None])[:, shared, 0], expected[:, shared])
    assert hits.shape == (5, len(skeleton))


def test_pckh_of_a_hand_computed_case():
    """Two heads of 20 and 40 px: half of them are 10 and 20, a tenth 2 and 4."""
    skeleton = skeletons.MPII16
    target = np.zeros((3, 16, 2))
    predicted = target.copy()
    predicted[:, skeleton.index("left_knee")] = (12, 16)
    predicted[:, skeleton.index("right_knee")] = (0, 3)
    predicted[:, skeleton.index("pelvis")] = (500, 0)
    visibility = np.ones((3, 16))
    visibility[1, skeleton.index("right_ankle")] = 0
    hits = metrics.pckh_hits(predicted, target, visibility, [20, 40, 0], skeleton=skeleton)
    assert np.isnan(hits[2]).all()
    assert np.isnan(hits[1, skeleton.index("right_ankle")])
    assert hits[:2, skeleton.index("left_knee")].tolist() == [0, 1]
    table = summed(hits, skeleton)
    assert table["Knee"] == pytest.approx(3 / 4)
    assert table["Ankle"] == table["Head"] == 1
    # 14 joints of two people, one of them without a label, one wrong; the pelvis does not count.
    assert table["Mean"] == pytest.approx(26 / 27)
    fine = metrics.pckh_hits(predicted, target, visibility, [20, 40, 0], fraction=0.1, skeleton=skeleton)
    assert summed(fine, skeleton)["Knee"] == pytest.approx(1 / 4)


def test_groups_without_their_joints_are_not_measured():
    hits = np.ones((2, 17))
    hits[0, skeletons.COCO17.index("nose")] = 0
    assert summed(hits, skeletons.COCO17)["Head"] == 0.5
    nobody = summed(np.full((2, 14), np.nan))
    assert list(nobody) == ["Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean"]
    assert np.isnan(list(nobody.values())).all()


def test_keypoint_loss_of_a_hand_computed_case():
    target = np.zeros((2, 19, 3))
    predicted = np.full((2, 19, 2), 7.0)  # counts only where visible
    target[0, 3] = (0.5, 0.5, 1)
    predicted[0, 3] = (0.6, 0.3)
    target[1, 0] = (0, 0, 1)
    predicted[1, 0] = (0, 0)
    target[1, 18] = (-1, 0, 1)
    predicted[1, 18] = (0, 0)
    sums, counts = metrics.keypoint_errors(predicted, target[..., :2], target[..., 2])
    assert sums == pytest.approx([0.3, 1.0])
    assert list(counts) == [2, 4]


def test_keypoint_errors_of_nothing_visible_are_zero():
    sums, counts = metrics.keypoint_errors(np.ones((2, 19, 2)), np.zeros((2, 19, 2)), np.zeros((2, 19)))
    assert not sums.any()
    assert not counts.any()


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="same shape"):
        metrics.mpjpe(np.zeros((1, 14, 3)), np.zeros((2, 14, 3)), root=HIPS)
    with pytest.raises(ValueError, match="known"):
        metrics.mpjpe(np.zeros((1, 14, 3)), np.zeros((1, 14, 3)), np.ones(14), root=HIPS)
    with pytest.raises(ValueError, match=r"joints of mpii16 must be \(N, 16, 2\)"):
        metrics.pck_hits(
            np.zeros((1, 14, 2)), np.zeros((1, 14, 2)), np.ones((1, 14)), skeleton=skeletons.MPII16
        )
    with pytest.raises(ValueError, match="head_size"):
        metrics.pckh_hits(np.zeros((1, 14, 2)), np.zeros((1, 14, 2)), np.ones((1, 14)), 3.0, skeleton=LSP14)
    with pytest.raises(ValueError, match="hits and judged must be"):
        metrics.pck_groups(np.zeros(16), np.zeros(16), skeleton=LSP14)


def test_errors_from_the_pelvis_and_of_chosen_joints():
    target, predicted = _joints(20, joints=17), _joints(21, joints=17)
    pelvis = [0]
    rooted = [poses - poses[:, :1] for poses in (predicted, target)]
    expected = np.linalg.norm(rooted[0] - rooted[1], axis=-1)
    np.testing.assert_allclose(metrics.mpjpe(predicted, target, root=pelvis), expected.mean(axis=1))
    some = [1, 4, 8]
    np.testing.assert_allclose(
        metrics.mpjpe(predicted, target, root=pelvis, joints=some), expected[:, some].mean(axis=1)
    )
    scaled = metrics.n_mpjpe(predicted, 3 * predicted + 7, root=pelvis)
    np.testing.assert_allclose(scaled, 0, atol=1e-9)
    # The best scale by search.
    scales = np.linspace(-2, 2, 40_001)[:, None, None]
    squares = ((scales * rooted[0][0] - rooted[1][0]) ** 2).sum(axis=(1, 2))
    best = scales[squares.argmin()] * rooted[0][0]
    error = np.linalg.norm(best - rooted[1][0], axis=-1).mean()
    assert metrics.n_mpjpe(predicted, target, root=pelvis)[0] == pytest.approx(error, rel=1e-3)
