"""Recordings of every kind become SMPL poses; what is not one is skipped with a reason."""

import gzip
import pathlib
import pickle

import numpy as np
import pytest

from hpe.datasets import mocap
from hpe.datasets.sample import Skipped
from hpe.errors import UserError
from tests.datasets.test_cmu_bvh import rig_text


def poses(frames=12, size=72):
    return np.random.default_rng(0).normal(size=(frames, size))


def recording(path: pathlib.Path) -> mocap.Recording:
    return mocap.Recording(path.name, str(path), "CMU")


def write_pickle(path: pathlib.Path, content) -> mocap.Recording:
    path.write_bytes(pickle.dumps(content, protocol=2))
    return recording(path)


def write_npz(path: pathlib.Path, **content) -> mocap.Recording:
    np.savez(path, **content)
    return recording(path)


@pytest.mark.parametrize("key", ["poses", "new_poses"])
def test_pickle_of_hmr(tmp_path, key):
    content = {key: poses(), "betas": np.arange(10.0), "trans": np.zeros((12, 3))}
    sequence = mocap.load_sequence(write_pickle(tmp_path / "a.pkl", content), fps=30)
    np.testing.assert_allclose(sequence.pose, poses(), rtol=1e-6)
    np.testing.assert_array_equal(sequence.shape, np.arange(10))


@pytest.mark.parametrize("size", [156, 165])
def test_amass_keeps_the_body_and_opens_the_hands(tmp_path, size):
    content = {"poses": poses(size=size), "betas": np.arange(16.0), "mocap_framerate": 30.0}
    sequence = mocap.load_sequence(write_npz(tmp_path / "a.npz", **content), fps=30)
    assert sequence.pose.shape == (12, 72)
    np.testing.assert_allclose(sequence.pose[:, :66], content["poses"][:, :66], rtol=1e-6)
    np.testing.assert_array_equal(sequence.pose[:, 66:], 0)
    if size == 156:
        np.testing.assert_array_equal(sequence.shape, np.arange(10))
    else:  # the coefficients of SMPL-X are others
        assert sequence.shape is None


@pytest.mark.parametrize(
    ("rate", "fps", "kept"),
    [
        (120.0, 30, [0, 4, 8]),
        (100.0, 30, [0, 3, 7, 10]),
        (30.0, 30, range(12)),
        (20.0, 30, range(12)),
        (120.0, 0, range(12)),
    ],
)
def test_frame_rate(tmp_path, rate, fps, kept):
    path = write_npz(tmp_path / "a.npz", poses=poses(size=156), betas=np.zeros(16), mocap_framerate=rate)
    sequence = mocap.load_sequence(path, fps=fps)
    np.testing.assert_allclose(sequence.pose[:, :66], poses(size=156)[list(kept), :66], rtol=1e-6)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"betas": np.zeros(10)}, "holds no poses"),
        ({"poses": poses()}, "holds no betas"),
        ({"poses": poses(size=69), "betas": np.zeros(10)}, "poses are not Fx72, Fx156 or Fx165"),
        ({"poses": poses(), "betas": np.zeros(9)}, "betas are fewer than 10 numbers"),
        ({"poses": poses() * np.nan, "betas": np.zeros(10)}, "poses or betas are not finite"),
        (
            {"poses": np.degrees(np.linspace(-1, 1, 30 * 72).reshape(30, 72)), "betas": np.zeros(10)},
            "poses are no rotations in radians: are they in degrees?",
        ),
        ([1, 2], "holds no poses"),
    ],
)
def test_what_is_no_recording_is_skipped(tmp_path, content, reason):
    file = write_pickle(tmp_path / "a.pkl", content)
    assert mocap.load_sequence(file, fps=30) == Skipped("a.pkl", reason)


def test_recording_without_frames_is_skipped(tmp_path):
    file = write_npz(tmp_path / "a.npz", poses=poses(frames=0), betas=np.zeros(10))
    assert mocap.load_sequence(file, fps=30) == Skipped("a.npz", "holds no frames")


class _Malice:
    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path("owned"),)


def test_pickle_that_wants_to_run_code_is_skipped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = write_pickle(tmp_path / "a.pkl", {"poses": _Malice(), "betas": np.zeros(10)})
    assert mocap.load_sequence(file, fps=30).reason == "file cannot be read as plain arrays"
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["a.pkl", "a.npz"])
def test_damaged_file_is_skipped(tmp_path, name):
    (tmp_path / name).write_bytes(b"not at all")
    assert (
        mocap.load_sequence(recording(tmp_path / name), fps=30).reason
        == "file cannot be read as plain arrays"
    )


@pytest.mark.parametrize(
    ("path", "skipped"),
    [
        ("H3.6/S9/walk.pkl", True),
        ("neutrSMPL_H3.6/S11_Walking 1.pkl", True),
        ("H3.6/S1/walk.pkl", False),
        ("H3.6/S8_S90.pkl", False),
        ("CMU/S9/walk.pkl", False),
    ],
)
def test_test_subjects_of_h36m_are_skipped(tmp_path, path, skipped):
    # A parent folder of that name says nothing.
    root = tmp_path / "H3.6" / "S9" / "mocap"
    (root / path).parent.mkdir(parents=True)
    write_pickle(root / path, {"poses": poses(), "betas": np.zeros(10)})
    ((file,),) = mocap.find_recordings(root).sequences.values()
    assert isinstance(mocap.load_sequence(file, fps=30), Skipped) == skipped


def test_test_subjects_are_skipped_whatever_the_folders_are_called(tmp_path):
    (tmp_path / "S9").mkdir()
    write_pickle(tmp_path / "S9" / "walk.pkl", {"poses": poses(), "betas": np.zeros(10)})
    (file,) = mocap.find_recordings(tmp_path, set_name="H3.6").sequences["H3.6"]
    assert mocap.load_sequence(file, fps=30).reason == "test subject of Human3.6M"


def test_sets_are_named_after_folders(tmp_path):
    for path in ("CMU/01/b.pkl", "CMU/01/a.pkl", "neutrSMPL_jointLim/c.pkl", "ACCAD/x/y.npz", "loose.pkl"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "neutrSMPL_H3.6_000.tfrecord").touch()
    found = mocap.find_recordings(tmp_path)
    assert sorted(found.sequences) == sorted(["CMU", "jointLim", "ACCAD", tmp_path.name])
    assert [file.name for file in found.sequences["CMU"]] == ["CMU/01/a.pkl", "CMU/01/b.pkl"]
    assert found.sequences["CMU"][0].path == str(tmp_path / "CMU/01/a.pkl")
    assert found.records == {"H3.6": [str(tmp_path / "neutrSMPL_H3.6_000.tfrecord")]}
    assert list(mocap.find_recordings(tmp_path, set_name="all").sequences) == ["all"]


def test_folder_without_recordings(tmp_path):
    with pytest.raises(UserError, match="holds no"):
        mocap.find_recordings(tmp_path)


@pytest.mark.data
def test_real_recordings(data_dir):
    found = mocap.find_recordings(data_dir / "mocap")
    assert sorted(found.records) == ["CMU", "jointLim"]
    amass = mocap.load_sequence(found.sequences["amass"][0], fps=30)
    assert amass.pose.shape == (151, 72)
    cmu = mocap.load_sequence(found.sequences["pkl"][0], fps=30)
    assert cmu.pose.shape == (2751, 72)
    for sequence in (amass, cmu):
        # Bodies stand more or less at ease: no joint but the root turns by more than about 170 degrees.
        angles = np.linalg.norm(sequence.pose.reshape(-1, 24, 3)[:, 1:], axis=2)
        assert 0.1 < angles.mean() < 0.6
        assert angles.max() < 3


@pytest.mark.parametrize(
    ("gender", "expected"),
    [
        (np.array("male"), "male"),
        (np.array(b"female"), "female"),
        (np.array(["neutral"]), "neutral"),
        (np.array("robot"), "unknown"),
        (np.array({}, object), "unknown"),
        (None, ""),
    ],
)
def test_shapes_of_men_and_women_are_not_those_of_the_neutral_body(tmp_path, gender, expected):
    content = {"poses": poses(size=156), "betas": np.arange(16.0)}
    if gender is not None:
        content["gender"] = gender
    sequence = mocap.load_sequence(write_npz(tmp_path / "a.npz", **content), fps=30)
    assert (sequence.gender, sequence.body_model) == (expected, "smplh")
    assert (sequence.shape is not None) == (expected in ("", "neutral"))


@pytest.mark.parametrize(
    ("rate", "frames"),
    [
        (np.array([60.0]), 6),
        (np.array(60), 6),
        (np.array("unknown"), 12),
        (np.array(np.nan), 12),
        (np.zeros(3), 12),
    ],
)
def test_a_rate_that_is_no_number_is_unknown(tmp_path, rate, frames):
    content = {"poses": poses(size=156), "betas": np.arange(16.0), "mocap_framerate": rate}
    sequence = mocap.load_sequence(write_npz(tmp_path / "a.npz", **content), fps=30)
    assert len(sequence.pose) == frames
    assert sequence.frames_per_second == (30 if frames == 6 else 0)


def test_hidden_files_are_passed_over(tmp_path):
    (tmp_path / "CMU").mkdir()
    write_npz(tmp_path / "CMU" / "a.npz", poses=poses(), betas=np.arange(10.0))
    (tmp_path / "CMU" / "._a.npz").write_bytes(b"Mac OS X")
    (tmp_path / ".cache").mkdir()
    write_npz(tmp_path / ".cache" / "b.npz", poses=poses(), betas=np.arange(10.0))
    found = mocap.find_recordings(tmp_path).sequences
    assert [recording.name for recording in found["CMU"]] == ["CMU/a.npz"]
    assert set(found) == {"CMU"}


def test_clips_of_a_rig_are_recordings_like_others(tmp_path):
    frames = np.random.default_rng(0).uniform(-20, 20, size=(7, 72))
    frames[0] = 0.0
    (tmp_path / "cmu").mkdir()
    (tmp_path / "cmu" / "b.bvh.gz").write_bytes(gzip.compress(rig_text(frames).encode()))
    (tmp_path / "cmu" / "c.bvh").write_text("HIERARCHY")
    found = mocap.find_recordings(tmp_path)
    assert list(found.sequences) == ["cmu"]
    sequence, broken = (mocap.load_sequence(recording, fps=30) for recording in found.sequences["cmu"])
    assert sequence.shape is None
    assert sequence.up == "y"
    assert sequence.frames_per_second == 30
    assert "no shape coefficients" in sequence.remark
    assert isinstance(broken, Skipped)
