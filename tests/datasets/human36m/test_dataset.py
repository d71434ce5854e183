"""Human3.6M in every layout becomes the same sequences; what is missing is noted, what is wrong is one line."""

import pickle
import re
import shutil

import numpy as np
import pytest

from hpe.datasets.human36m import cameras as h36m_cameras
from hpe.datasets.human36m.dataset import h36m
from hpe.datasets.human36m.names import CAMERAS, Trial, parse_trial
from hpe.datasets.pose_sequence import PoseSequence
from hpe.datasets.sample import Skipped
from hpe.errors import UserError
from tests import h36m_folders as folders
from tests.geometry.test_cameras import scalar_pixel

LAYOUTS = {"h5": folders.write_h5, "cdf": folders.write_cdf, "npz": folders.write_npz}


def read(root) -> dict[str, list[PoseSequence | Skipped]]:
    return {source.name: list(source.stream()) for source in h36m(root)}


def by_name(root) -> dict[str, PoseSequence | Skipped]:
    return {sequence.name: sequence for items in read(root).values() for sequence in items}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_sequences(tmp_path, layout):
    found = read(LAYOUTS[layout](tmp_path))
    assert list(found) == ["h36m_train", "h36m_val"]
    names = [sequence.name for sequence in found["h36m_val"]]
    assert names == [f"S9/{trial}/{camera}" for trial in folders.TRIALS["S9"] for camera in CAMERAS]
    for subject, items in (("S1", found["h36m_train"]), ("S9", found["h36m_val"])):
        for sequence in items:
            trial = sequence.name.split("/")[1]
            expected = folders.expected_joints3d(subject, trial, sequence.camera)
            np.testing.assert_allclose(sequence.joints3d, expected, atol=2e-6)
            assert sequence.joints3d.dtype == np.float32
            assert sequence.subject == subject
            assert sequence.action == trial.split()[0]
            assert sequence.frames_per_second == (0 if layout == "h5" else 50)
            assert sequence.image_size == CAMERAS[sequence.camera]
            assert list(sequence.keypoints) == (["gt"] if layout == "cdf" else ["gt", "sh"])
            if layout != "cdf":
                detected = folders.detected(subject, trial, sequence.camera)
                np.testing.assert_array_equal(sequence.keypoints["sh"].joints, detected)
                assert sequence.keypoints["sh"].skeleton == "mpii16"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ground_truth_is_the_projection_with_distortion(tmp_path, layout):
    sequence = by_name(LAYOUTS[layout](tmp_path))["S9/Photo 1/55011271"]
    taken = folders.camera("S9", "55011271")
    world = folders.raw_positions("S9", "Photo 1")[
        :, [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
    ]
    assert sequence.keypoints["gt"].skeleton == "h36m17"
    for frame, joint in ((0, 0), (2, 9), (5, 16)):
        expected = scalar_pixel(
            world[frame, joint], taken.rotation, taken.centre, taken.f, taken.c, taken.k, taken.p
        )
        np.testing.assert_allclose(sequence.keypoints["gt"].joints[frame, joint], expected, atol=1e-3)
    # What the record says of its camera leads from the world to the same pixels.
    again = scalar_pixel(
        world[0, 5] / 1000,
        sequence.rotation,
        sequence.translation,
        sequence.f,
        sequence.c,
        sequence.k,
        sequence.p,
    )
    np.testing.assert_allclose(sequence.keypoints["gt"].joints[0, 5], again, atol=1e-2)


@pytest.mark.parametrize(
    ("text", "trial"),
    [
        ("Sitting", ("Sitting", "")),
        ("Sitting 1", ("Sitting", "1")),
        ("SittingDown_2", ("SittingDown", "2")),
        ("WalkingDog 1", ("WalkDog", "1")),
        ("TakingPhoto", ("Photo", "")),
        ("WalkTogether_12", ("WalkTogether", "12")),
    ],
)
def test_names_of_trials(text, trial):
    assert parse_trial("S9", text) == Trial("S9", *trial)


@pytest.mark.parametrize(
    "text", ["_ALL", "Sitting1", "SittingDow", "walking", "Walking 1.54138969", "Walking  1", ""]
)
def test_names_that_are_no_trials(text):
    assert parse_trial("S9", text) is None


def test_cameras_of_both_files_agree(tmp_path):
    folders.write_cameras_h5(tmp_path)
    folders.write_metadata_xml(tmp_path)
    first, second = (
        h36m_cameras.read_h5(tmp_path / "cameras.h5"),
        h36m_cameras.read_xml(tmp_path / "metadata.xml"),
    )
    assert set(first) == {(subject, name) for subject in ("S1", "S9") for name in CAMERAS}
    assert len(second) == 44
    for key, camera in first.items():
        for field in ("rotation", "translation", "f", "c", "k", "p"):
            np.testing.assert_allclose(getattr(camera, field), getattr(second[key], field), atol=1e-9)


def test_what_is_missing_is_noted(tmp_path):
    root = folders.write_h5(tmp_path)
    folders.positions_h5(root, "S1", "Walking 1").unlink()
    folders.detections_h5(root, "S9", "Photo 1", "55011271").unlink()
    (folders.positions_h5(root, "S9", "_ALL")).write_bytes(b"")
    train, val = h36m(root)
    missing = train.notes["3D positions of a trial are missing"]
    assert missing[0] == "S1/Directions (2 of 2 trials)"
    # Walking 1 has detections: it is named; of the other actions it is not known what they were called.
    assert [name for name in missing if "Walking" in name] == ["S1/Walking 1"]
    assert [name for name in missing if "Sitting" in name] == [
        "S1/Sitting (1 of 2 trials)",
        "S1/SittingDown (1 of 2 trials)",
    ]
    assert train.notes["subject is missing"] == ["S5", "S6", "S7", "S8"]
    assert val.notes["subject is missing"] == ["S11"]
    assert val.notes["name of no known action: left out"] == ["S9/MyPoses/3D_positions/_ALL.h5"]
    sequences = {sequence.name: sequence for sequence in val.stream()}
    without = sequences["S9/Photo 1/55011271"]
    assert list(without.keypoints) == ["gt"]
    assert without.notes == ("detections sh are missing",)
    assert sequences["S9/Photo 1/54138969"].notes == ()


@pytest.mark.parametrize("detected", [folders.FRAMES - 2, folders.FRAMES + 3])
def test_a_few_frames_more_or_less_are_cut_and_noted(tmp_path, detected):
    root = folders.write_h5(tmp_path)
    path = folders.detections_h5(root, "S9", "Photo 1", "55011271")
    folders.write_h5_file(path, poses=folders.detected("S9", "Photo 1", "55011271", detected))
    sequence = by_name(root)["S9/Photo 1/55011271"]
    frames = min(detected, folders.FRAMES)
    assert len(sequence.joints3d) == len(sequence.keypoints["gt"].joints) == frames
    assert len(sequence.keypoints["sh"].joints) == frames
    assert sequence.notes == (
        "detections sh and 3D positions differ by a few frames: common first frames kept",
    )


def test_detections_of_quite_another_length_are_left_out(tmp_path):
    root = folders.write_h5(tmp_path)
    path = folders.detections_h5(root, "S9", "Photo 1", "55011271")
    folders.write_h5_file(path, poses=folders.detected("S9", "Photo 1", "55011271", folders.FRAMES + 11))
    sequence = by_name(root)["S9/Photo 1/55011271"]
    assert len(sequence) == folders.FRAMES
    assert list(sequence.keypoints) == ["gt"]
    assert sequence.notes == (
        "detections sh differ from the 3D positions by more than 5% of the frames: detections left out",
    )


def test_frames_that_are_not_finite_are_left_out_and_noted(tmp_path):
    root = folders.write_h5(tmp_path)
    values = folders.raw_positions("S9", "Photo 1")
    values[1, 3] = np.nan
    values[2, 4] = np.nan  # a joint of the 32 that is not one of the 17
    folders.write_h5_file(
        folders.positions_h5(root, "S9", "Photo 1"), **{"3D_positions": values.reshape(-1, 96).T}
    )
    folders.write_h5_file(
        folders.positions_h5(root, "S9", "Directions"), **{"3D_positions": np.full((96, 4), np.nan)}
    )
    found = by_name(root)
    sequence = found["S9/Photo 1/55011271"]
    assert len(sequence) == folders.FRAMES - 1
    assert sequence.notes == ("frames with joints that are not finite: these frames left out",)
    np.testing.assert_array_equal(
        sequence.keypoints["sh"].joints, np.delete(folders.detected("S9", "Photo 1", "55011271"), 1, axis=0)
    )
    assert isinstance(found["S9/Directions/54138969"], Skipped)


def test_a_person_behind_the_camera_has_no_projection(tmp_path):
    root = folders.write_h5(tmp_path)
    values = folders.raw_positions("S9", "Photo 1")
    values[0] += (2 * folders.camera("S9", "55011271").centre).astype(np.float32)
    folders.write_h5_file(
        folders.positions_h5(root, "S9", "Photo 1"), **{"3D_positions": values.reshape(-1, 96).T}
    )
    assert len(by_name(root)["S9/Photo 1/55011271"]) == folders.FRAMES - 1


def test_an_unknown_layout_lists_what_was_looked_for(tmp_path):
    with pytest.raises(
        UserError, match=r"no known layout of Human3\.6M; looked for S\*/MyPoses/3D_positions/"
    ) as caught:
        h36m(tmp_path)
    for name in ("*.cdf", "data_3d_h36m.npz", "annot/train.h5"):
        assert name in str(caught.value)


def assert_told(root, message):
    """Something of a folder is refused, left out or noted, in one line that matches."""
    try:
        told = [
            f"{result.name}: {remark}"
            for result in by_name(root).values()
            for remark in ([result.reason] if isinstance(result, Skipped) else result.notes)
        ]
    except UserError as error:
        told = [str(error)]
    assert any(re.search(message, line) for line in told), told
    assert not any("\n" in line for line in told)


def _h5(name, **arrays):
    def change(root):
        path = folders.positions_h5(root, "S9", "Photo 1") if name == "3D" else root / name
        if arrays:
            folders.write_h5_file(path, **arrays)
        else:
            path.write_bytes(b"not HDF5 at all")

    return change


def _endless(root):
    import h5py

    with h5py.File(folders.positions_h5(root, "S9", "Photo 1"), "w") as file:
        file.create_dataset("3D_positions", shape=(96, 10**13), dtype="f4", chunks=(96, 10))


def _detections(poses):
    return lambda root: folders.write_h5_file(
        folders.detections_h5(root, "S9", "Photo 1", "55011271"), poses=poses
    )


def _cameras(change):
    def write(root):
        import h5py

        with h5py.File(root / "cameras.h5", "a") as file:
            change(file)

    return write


def _replace(file, name, value):
    del file[name]
    file[name] = value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_h5("3D"), r"Photo 1.*is not a readable HDF5 file"),
        (_h5("3D", poses=np.zeros(3)), r"Photo 1.*has no dataset 3D_positions; it holds poses"),
        (_h5("3D", **{"3D_positions": np.zeros((51, 9))}), r"3D_positions must be 96xT. Received: 51x9"),
        (_h5("3D", **{"3D_positions": [b"a"]}), "3D_positions must be numbers"),
        (_endless, r"Photo 1.*refused, because 3D_positions of shape .* needs 3.84e\+06 GB"),
        (
            _detections(np.zeros((6, 17, 2))),
            r"Photo 1/55011271.*must hold Tx16x2 pixels. Received: 6x17x2",
        ),
        (lambda root: (root / "cameras.h5").unlink(), "has no cameras: neither cameras.h5"),
        (_h5("cameras.h5"), "cameras.h5: is not a readable HDF5 file"),
        (_cameras(lambda file: file.pop("subject9")), r"cameras\.h5: has no camera 54138969 of S9, whose 3D"),
        (_cameras(lambda file: file["subject1"].pop("camera3")), "has no camera 58860488 of S1"),
        (_cameras(lambda file: file.pop("subject9/camera1/k")), "subject9/camera1 is no camera"),
        (
            _cameras(lambda file: _replace(file, "subject9/camera2/R", np.ones((3, 3)))),
            "subject9/camera2 is no camera .the rotation is no rotation matrix",
        ),
        (
            _cameras(lambda file: _replace(file, "subject9/camera2/Name", np.array([[53.0]] * 8))),
            "subject9/camera2 must be 55011271. Received: Name=55555555",
        ),
        (lambda root: [shutil.rmtree(root / name) for name in folders.TRIALS], "no known layout"),
        (
            lambda root: [(root / s).rename(root / f"S{i}") for i, s in enumerate(folders.TRIALS, 2)],
            "has no subject of S1",
        ),
    ],
)
def test_bad_input_is_one_line(tmp_path, change, message):
    root = folders.write_h5(tmp_path)
    change(root)
    assert_told(root, message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<root><w0>[1 2 3]</w0></root>", "w0 must hold 300 numbers. Received: 3"),
        ("<root></root>", "has no element w0"),
        ("<root><w0>[1 a]</w0></root>", "w0 holds something that is no number"),
        ("<root>", "is not a readable XML file"),
    ],
)
def test_bad_metadata_is_one_line(tmp_path, text, message):
    (tmp_path / "metadata.xml").write_text(text)
    with pytest.raises(UserError, match=message):
        h36m_cameras.find_cameras(tmp_path)


def test_bad_cdf_is_one_line(tmp_path):
    root = folders.write_cdf(tmp_path)
    path = root / "S9" / "MyPoseFeatures" / "D3_Positions" / "Photo 1.cdf"
    path.write_bytes(b"not CDF at all")
    assert_told(root, "Photo 1.*not a readable CDF file")
    folders.write_cdf_file(path, np.zeros((1, 5, 51)))
    assert_told(root, r"Pose must be 96 numbers per frame\. Received: 1x5x51")
    folders.write_cdf_file(path, np.zeros((1, 5, 96)), variable="Angles")
    assert_told(root, "has no variable Pose; it holds Angles")


class _Malice:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("key", ["positions_3d", "positions_2d"])
def test_an_npz_that_wants_to_run_code_is_refused(tmp_path, key):
    root = folders.write_npz(tmp_path / "h36m", **{key: {"S1": _Malice(str(tmp_path / "was_here"))}})
    with pytest.raises(UserError, match=r"refused, because it holds (_?io\.)?open") as caught:
        h36m(root)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "was_here").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positions_3d": [1, 2]}, "data_3d_h36m.npz: has no dict positions_3d"),
        ({"positions_3d": {"S1": {"Walking": np.zeros((4, 16, 3))}}}, "must hold 32 or 17 joints .*4x16x3"),
        ({"positions_3d": {"S1": [1]}}, "must hold a dict of trials per subject. Received: 'S1'"),
        ({"positions_3d": {"S1": {"Walking": "far"}}}, "S1/Walking holds something that is no number"),
        ({"positions_2d": {"S1": {"Walking": [np.zeros((6, 16, 2))]}}}, "must be a list over 4 cameras"),
        ({"positions_2d": {"S1": {"Walking": np.array(3)}}}, "must be a list over 4 cameras"),
        ({"positions_2d": {"S1": {"Walking": [np.zeros((6, 17, 2))] * 4}}}, "must hold Tx16x2 pixels"),
        ({"metadata": {"layout_name": ["coco"]}}, "metadata do not say what the joints are"),
        ({"metadata": {"num_joints": 16}}, "metadata do not say what the joints are"),
        ({"metadata": {"num_joints": 9, "keypoints_symmetry": [[1], [2]]}}, "of no known set"),
    ],
)
def test_bad_npz_is_one_line(tmp_path, changes, message):
    assert_told(folders.write_npz(tmp_path, **changes), message)


@pytest.mark.parametrize(
    ("metadata", "skeleton"),
    [
        ({"layout_name": "coco"}, "coco17"),
        ({"layout_name": "h36m"}, "h36m17"),
        ({"num_joints": 17, "keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]}, "h36m17"),
        ({"num_joints": 17, "keypoints_symmetry": [[*range(1, 17, 2)], [*range(2, 17, 2)]]}, "coco17"),
    ],
)
def test_detections_of_other_joint_sets_and_with_confidence(tmp_path, metadata, skeleton):
    views = [folders.detected("S1", "Walking", name, skeleton=skeleton) for name in CAMERAS]
    scored = [
        np.concatenate([view, np.full((*view.shape[:2], 1), 0.5, np.float32)], axis=2) for view in views
    ]
    scored[1] = None
    root = folders.write_npz(tmp_path, positions_2d={"S1": {"Walking": scored}}, metadata=metadata)
    (root / "data_2d_h36m_sh_pt_mpii.npz").rename(root / "data_2d_h36m_cpn_dbb.npz")
    found = by_name(root)
    points = found["S1/Walking/54138969"].keypoints["cpn_dbb"]
    assert points.skeleton == skeleton
    np.testing.assert_array_equal(points.joints, views[0])
    np.testing.assert_array_equal(points.confidence, np.full((folders.FRAMES, 17), 0.5))
    assert found["S1/Walking/55011271"].notes == ("detections cpn_dbb are missing",)


def test_npz_detections_serve_beside_other_positions(tmp_path):
    root = folders.write_npz(tmp_path)
    (root / "data_3d_h36m.npz").unlink()
    folders.write_h5(root, detections=False)
    sequence = by_name(root)["S1/Walking/55011271"]
    np.testing.assert_array_equal(
        sequence.keypoints["sh"].joints, folders.detected("S1", "Walking", "55011271")
    )


@pytest.mark.data
def test_projections_meet_the_genuine_detections(data_dir):
    """Medians, because detectors fail at times and some recordings of S9 are known to be out of place."""
    _, val = h36m(data_dir / "h36m")
    assert val.notes["3D positions of a trial are missing"] == ["S9/Discussion 1"]
    # Limbs mean the same in both joint sets: ankles, knees, hips, wrists, elbows, shoulders.
    ours, theirs = [3, 2, 1, 4, 5, 6, 16, 15, 14, 11, 12, 13], [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15]
    distances = []
    for sequence in val.stream():
        gap = sequence.keypoints["gt"].joints[:, ours] - sequence.keypoints["sh"].joints[:, theirs]
        distances.append(np.linalg.norm(gap, axis=-1))
        assert len(sequence) > 100
        assert 2 < sequence.joints3d[..., 2].min() < sequence.joints3d[..., 2].max() < 9
    assert len(distances) == 116
    assert 8 < np.median(np.concatenate(distances)) < 11


def test_nothing_here_is_unpickled_without_the_list(tmp_path, monkeypatch):
    root = folders.write_npz(tmp_path)

    def refuse(*_, **__):
        raise AssertionError("pickle.load was called")

    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(np.lib.format, "pickle", None, raising=False)
    assert len(by_name(root)) == 24
