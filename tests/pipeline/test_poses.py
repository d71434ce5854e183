"""Poses become batches: what they hold, their order, how several readers share them, and what is refused."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from hpe import skeletons
from hpe.datasets.human36m.dataset import h36m
from hpe.datasets.pose_sequence import Keypoints
from hpe.errors import UserError
from hpe.geometry.cameras import perspective_project
from hpe.pipeline.pose_config import PosePipelineConfig
from hpe.pipeline.poses import PoseSource, shuffled_indices
from tests import h36m_folders as folders
from tests.pipeline import poses

H36M17 = skeletons.H36M17

PLAIN = PosePipelineConfig(flip=False)


def source(config=PLAIN, sequences=None):
    if sequences is None:
        sequences = [poses.sequence(5, 0), poses.sequence(8, 1), poses.sequence(4, 2)]
    return PoseSource.from_sequences(sequences, config)


def take(batches, count):
    return [{key: value.numpy() for key, value in batch.items()} for batch in batches.take(count)]


def test_batches_hold_pixels_from_the_principal_point_and_metres_from_the_pelvis():
    one = poses.sequence(3)
    (batch,) = take(source(sequences=[one]).evaluation_batches(batch_size=3), 1)
    kept = [joint for joint in range(17) if joint != 9]
    np.testing.assert_allclose(batch["joints2d"], (one.keypoints["gt"].joints - poses.C)[:, kept], atol=1e-4)
    np.testing.assert_allclose(batch["joints3d"], one.joints3d - one.joints3d[:, :1], atol=1e-6)
    assert not batch["joints3d"][:, 0].any()
    assert batch["joints3d_weight"].shape == (3, 17)
    assert batch["joints3d_weight"].all()
    assert list(batch["name"]) == [b"S0/Walking/cam#0", b"S0/Walking/cam#1", b"S0/Walking/cam#2"]


def test_a_single_pose_is_that_of_the_batch():
    (batch,) = take(source().evaluation_batches(batch_size=17), 1)
    one = source().samples([7, 3])
    assert list(one) == [7, 3]
    for key, values in batch.items():
        np.testing.assert_array_equal(one[7][key][0], values[7])


def test_evaluation_shows_every_frame_once_and_fills_up_with_zeros():
    batches = take(source().evaluation_batches(batch_size=7), 9)
    assert [int(batch["valid"].sum()) for batch in batches] == [7, 7, 3]
    names = np.concatenate([batch["name"] for batch in batches])
    assert len(set(names[:17])) == 17
    last = batches[-1]
    for key in ("joints2d", "joints3d", "joints3d_weight"):
        assert not last[key][3:].any()
    assert set(last["name"][3:]) == {b""}
    assert [*last["action"]] == [b"Walking"] * 3 + [b""] * 4
    assert source().actions[[0, 5, 13]].tolist() == ["Walking", "Sitting", "Walking"]


@pytest.mark.parametrize("batch_size", [3, 17])
def test_every_epoch_is_another_permutation(batch_size):
    count, epochs = 17, 6
    per_epoch = count // batch_size
    drawn = [
        shuffled_indices(tf.constant(k, tf.int64), batch_size, count, key=5).numpy()
        for k in range(epochs * per_epoch)
    ]
    drawn = np.reshape(drawn, (epochs, -1))
    assert all(len(set(row)) == batch_size * per_epoch for row in drawn)
    assert drawn.min() == 0
    assert drawn.max() == count - 1
    assert len({tuple(row) for row in drawn}) == epochs


def test_training_batches_are_a_function_of_seed_and_step_and_shared_by_rows():
    config = PosePipelineConfig(reproject=True, rotation_max=10)
    whole = take(source(config).training_batches(batch_size=6, seed=3), 5)
    later = take(source(config).training_batches(batch_size=6, seed=3, start_step=3), 2)
    other = take(source(config).training_batches(batch_size=6, seed=4), 1)
    for found, expected in zip(later, whole[3:], strict=True):
        for key in expected:
            np.testing.assert_array_equal(found[key], expected[key])
    assert (other[0]["joints2d"] != whole[0]["joints2d"]).any()
    shares = [
        take(source(config).training_batches(batch_size=6, seed=3, shard_index=index, num_shards=2), 1)[0]
        for index in range(2)
    ]
    for key, expected in whole[0].items():
        np.testing.assert_array_equal(np.concatenate([share[key] for share in shares]), expected)
    with pytest.raises(UserError, match="multiple of the 4"):
        source().training_batches(batch_size=6, seed=0, num_shards=4)
    with pytest.raises(UserError, match="only 17 frames"):
        source().training_batches(batch_size=18, seed=0)


def test_training_batches_have_static_shapes():
    spec = source().training_batches(batch_size=6, seed=0, num_shards=2).element_spec
    assert spec["joints2d"].shape == (3, 16, 2)
    assert spec["joints3d"].shape == (3, 17, 3)
    assert spec["joints3d_weight"].shape == (3, 17)
    assert spec["valid"].shape == spec["name"].shape == (3,)


def test_augmented_batches_do_not_touch_what_lies_in_memory():
    augmented = source(PosePipelineConfig(reproject=True))
    before = augmented.statistics()["joints3d"].copy()
    take(augmented.training_batches(batch_size=6, seed=3), 3)
    np.testing.assert_array_equal(augmented.statistics()["joints3d"], before)
    assert len(before) == 17


def test_detections_come_in_their_own_joint_set():
    one = poses.sequence(3)
    (batch,) = take(
        source(PosePipelineConfig(keypoints="sh", flip=False), [one]).evaluation_batches(batch_size=3), 1
    )
    np.testing.assert_allclose(batch["joints2d"], one.keypoints["sh"].joints - poses.C, atol=1e-4)


def test_sequences_without_3d_weigh_nothing_and_are_no_statistics():
    flat = poses.sequence(2, 1, joints3d=None)
    mixed = source(sequences=[poses.sequence(3), flat])
    (batch,) = take(mixed.evaluation_batches(batch_size=5), 1)
    assert batch["joints3d_weight"].sum(axis=1).tolist() == [17, 17, 17, 0, 0]
    assert not batch["joints3d"][3:].any()
    assert len(mixed.statistics()["joints2d"]) == 3
    with pytest.raises(UserError, match="no sequence has 3D"):
        source(sequences=[flat]).statistics()


def test_without_a_principal_point_pixels_count_from_the_middle_of_the_image():
    one = poses.sequence(2, c=None)
    (batch,) = take(source(sequences=[one]).evaluation_batches(batch_size=2), 1)
    np.testing.assert_allclose(
        batch["joints2d"][:, 0], one.keypoints["gt"].joints[:, 0] - [499.5, 500.5], atol=1e-4
    )


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (PosePipelineConfig(keypoints="cpn"), {}, "S0/Walking/cam: has no keypoints 'cpn', only gt, sh"),
        (PosePipelineConfig(keypoints="gt", input_skeleton="coco17"), {}, "lacks .*left_eye.*coco17"),
        (PLAIN, {"c": None, "image_size": None}, "principal point"),
        (PosePipelineConfig(reproject=True), {"f": None}, "`reproject=False`"),
        (PosePipelineConfig(reproject=True), {"joints3d": None}, "`reproject=False`"),
        (
            PosePipelineConfig(reproject=True),
            {"joints3d": poses.joints(6) - poses.joints(6)[:, :1]},
            "not before the camera",
        ),
    ],
)
def test_what_cannot_be_used_is_named(config, changes, message):
    with pytest.raises(UserError, match=message):
        source(config, [poses.sequence(**changes)]).training_batches(batch_size=2, seed=0)


def test_joints_that_the_3d_joints_lack_are_not_projected_again():
    one = poses.sequence()
    points = np.random.default_rng(0).uniform(0, 1000, (len(one), 17, 2)).astype(np.float32)
    one = dataclasses.replace(one, keypoints={"cpn": Keypoints("coco17", points)})
    config = PosePipelineConfig(keypoints="cpn", input_skeleton="coco17", reproject=True)
    with pytest.raises(
        UserError, match=r"^reproject: nose, left_eye, right_eye, left_ear, right_ear of coco17 "
    ):
        source(config, [one]).training_batches(batch_size=2, seed=0)
    source(dataclasses.replace(config, reproject=False), [one]).training_batches(batch_size=2, seed=0)


def test_no_sequences_are_refused():
    with pytest.raises(UserError, match="no pose sequences"):
        source(sequences=[])


def test_undistorted_joints_are_the_directions_of_the_3d_joints():
    sequences = [poses.sequence(seed=seed) for seed in range(2)]
    points = np.concatenate([one.joints3d for one in sequences])
    expected = points[..., :2] / points[..., 2:]
    config = PosePipelineConfig(undistort=True, flip=False, input_skeleton="h36m17")
    shown = source(config, sequences)
    (batch,) = shown.evaluation_batches(batch_size=12).as_numpy_iterator()
    np.testing.assert_allclose(batch["joints2d"], expected, atol=1e-4)
    np.testing.assert_allclose(shown.statistics()["joints2d"], expected, atol=1e-4)
    (trained,) = take(shown.training_batches(batch_size=12, seed=0), 1)
    rows = [6 * int(name[1:2]) + int(name.split(b"#")[1]) for name in trained["name"]]
    np.testing.assert_allclose(trained["joints2d"], expected[rows], atol=1e-4)


@pytest.mark.parametrize("undistorted", [True, False])
def test_mirrored_and_turned_people_are_what_the_camera_would_see_of_them(undistorted):
    """Mirrored before the lens is taken out, joints are up to 2 px off: a tangential lens has no mirror image."""
    one = poses.sequence(40)
    config = PosePipelineConfig(
        input_skeleton="h36m17", undistort=undistorted, flip=True, rotation_max=0 if undistorted else 20
    )
    (batch,) = take(source(config, [one]).training_batches(batch_size=40, seed=0), 1)
    frames = [int(name.split(b"#")[1]) for name in batch["name"]]
    # The pelvis in the camera frame is what the frame's own was, mirrored where the batch is, and turned as it is.
    were = one.joints3d[frames]
    turned = np.array([_turn(*pair) for pair in zip(were - were[:, :1], batch["joints3d"], strict=True)])
    seen = batch["joints3d"] + np.einsum("nij,nj->ni", turned, were[:, 0])[:, None]
    expected = (
        seen[..., :2] / seen[..., 2:]
        if undistorted
        else perspective_project(seen, poses.F, np.zeros(2), poses.K, poses.P)
    )
    np.testing.assert_allclose(batch["joints2d"], expected, atol=1e-5 if undistorted else 1e-2)
    assert 5 < (np.linalg.det(turned) < 0).sum() < 35


def _turn(before, after):
    """The rotation or reflection (3, 3) that best takes joints (17, 3) to others, left and right aside."""
    best = None
    for order in (np.arange(17), np.array(H36M17.flip)):
        u, _, v = np.linalg.svd(after.T @ before[order])
        found = u @ v
        error = np.abs(before[order] @ found.T - after).max()
        if best is None or error < best[0]:
            best = error, found
    return best[1]


def test_a_file_of_sequences_is_read_one_by_one_and_kept_once():
    config = PosePipelineConfig(undistort=True)
    one = source(config)
    views = one.statistics()["joints2d"], one.statistics()["joints2d"]
    assert np.shares_memory(*views)


def test_confidences_travel_with_their_joints():
    one = poses.sequence(30)
    weights = np.random.default_rng(0).uniform(size=(30, 16)).astype(np.float32)
    one = dataclasses.replace(
        one, keypoints={"sh": dataclasses.replace(one.keypoints["sh"], confidence=weights)}
    )
    given = source(PosePipelineConfig(keypoints="sh"), [one])
    (batch,) = take(given.evaluation_batches(batch_size=30), 1)
    np.testing.assert_allclose(batch["joints2d_weight"], weights, atol=1e-6)
    (batch,) = take(given.training_batches(batch_size=30, seed=0), 1)
    kinds = 0
    for name, weight in zip(batch["name"], batch["joints2d_weight"], strict=True):
        own = weights[int(name.split(b"#")[1])]
        mirrored = own[list(skeletons.MPII16.flip)]
        assert np.allclose(weight, own) or np.allclose(weight, mirrored)
        kinds += np.allclose(weight, mirrored)
    assert 5 < kinds < 25


def test_undistortion_needs_a_lens():
    config = PosePipelineConfig(undistort=True)
    with pytest.raises(
        UserError, match="S0/Walking/cam: its camera's lens is not known; use `undistort=False`"
    ):
        source(config, [poses.sequence(k=None)])


def test_detections_come_from_a_file(tmp_path):
    root = folders.write_npz(tmp_path / "npz")
    (sequences,) = ([*found.stream()] for found in h36m(root) if found.name == "h36m_train")
    path = str(root / "data_2d_h36m_sh_pt_mpii.npz")
    from_file = source(PosePipelineConfig(keypoints=path), sequences)
    from_records = source(PosePipelineConfig(keypoints="sh"), sequences)
    for ours, theirs in zip(*(one.statistics().values() for one in (from_file, from_records)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert from_file.config.skeleton == "mpii16"


def test_sequences_without_the_wanted_keypoints_are_left_out_and_named(caplog):
    whole, other = poses.sequence(), dataclasses.replace(poses.sequence(), name="S0/Sitting/cam")
    lacking = dataclasses.replace(other, keypoints={"gt": other.keypoints["gt"]})
    source = PoseSource.from_sequences([whole, lacking], PosePipelineConfig(keypoints="sh"))
    assert source.count == len(whole)
    assert "left out: 1 of 2 sequences without keypoints sh (S0/Sitting/cam)" in caplog.text


def test_a_file_of_other_detections_is_one_line(tmp_path):
    root = folders.write_npz(tmp_path / "npz")
    (sequences,) = ([*found.stream()] for found in h36m(root) if found.name == "h36m_train")
    path = str(root / "data_2d_h36m_sh_pt_mpii.npz")
    shorter = [sequences[0].frames(slice(0, 1)), *sequences[1:]]
    other = dataclasses.replace(sequences[0], camera="1234")
    for given, message in (
        ([poses.sequence()], "S0/Walking/cam: has no keypoints '.*sh_pt_mpii.npz', only gt, sh"),
        ([other], "has no keypoints "),
        (
            [dataclasses.replace(one, joints3d=np.repeat(one.joints3d, 30, axis=0)) for one in shorter[1:]],
            "the records have .*; both must be of the same frame rate",
        ),
    ):
        with pytest.raises(UserError, match=message):
            source(PosePipelineConfig(keypoints=path), given)
    with pytest.raises(UserError, match=r"keypoints=nowhere\.npz: no such file"):
        source(PosePipelineConfig(keypoints="nowhere.npz"), sequences)
