"""The crops of Human3.6M: labels, names and statistics must belong together; images are optional."""

import numpy as np
import pytest

from hpe.datasets.human36m.dataset import h36m
from hpe.datasets.pose_sequence import SequenceSource
from hpe.datasets.sample import Sample, Skipped
from hpe.datasets.source import Source
from hpe.errors import UserError
from tests import h36m_folders as folders
from tests.dataset_folders import write_image


@pytest.fixture
def root(tmp_path):
    return folders.write_course(tmp_path)


def labels(root):
    import h5py

    with h5py.File(root / "annot" / "train.h5") as file:
        return file["pose2d"][()], file["pose3d"][()]


def rewrite(root, pose2d=None, pose3d=None):
    first, second = labels(root)
    folders.write_h5_file(
        root / "annot" / "train.h5",
        pose2d=first if pose2d is None else pose2d,
        pose3d=second if pose3d is None else pose3d,
    )


def test_rows_become_sequences_in_the_order_of_their_frames(root):
    poses, *_ = h36m(root)
    assert isinstance(poses, SequenceSource)
    assert (poses.name, poses.notes) == ("h36m_course_poses", {})
    sequences = {sequence.name: sequence for sequence in poses.stream()}
    assert list(sequences) == [
        "S1/Sitting/60457274",
        "S1/SittingDown/60457274",
        "S1/Walking 1/54138969",
        "S6/Directions/55011271",
    ]
    walking = sequences["S1/Walking 1/54138969"]
    pose2d, pose3d = labels(root)
    np.testing.assert_allclose(walking.keypoints["gt"].joints, pose2d[[1, 0]], rtol=1e-6)
    np.testing.assert_allclose(walking.joints3d, pose3d[[1, 0]] / 1000, rtol=1e-6)
    assert (walking.subject, walking.action, walking.camera) == ("S1", "Walking", "54138969")
    assert (walking.image_size, walking.frames_per_second, walking.f) == ((256, 256), 10.0, None)


def test_images_become_samples(root):
    _, train, valid = h36m(root)
    assert (train.name, valid.name) == ("h36m_course_train", "h36m_course_valid")
    assert isinstance(train, Source)
    assert train.skeleton == "h36m17"
    samples = [train.load(item) for item in train.items]
    assert samples[-1] == Skipped(folders.COURSE_NAMES[-1], "image is missing")
    pose2d, pose3d = labels(root)
    for row, sample in enumerate(samples[:-1]):
        assert isinstance(sample, Sample)
        assert sample.name == folders.COURSE_NAMES[row]
        np.testing.assert_allclose(sample.joints2d, pose2d[row], rtol=1e-6)
        np.testing.assert_allclose(sample.joints3d, pose3d[row] / 1000, rtol=1e-6)
        np.testing.assert_array_equal(sample.visibility, 1)
        np.testing.assert_array_equal(sample.center, 127.5)
        assert (sample.height, sample.skeleton3d) == (256, "h36m17")
        # What a box fills of a crop: the picture is taken as it is.
        assert sample.scale == pytest.approx(0.8 * 256)
    for item in valid.items:
        sample = valid.load(item)
        np.testing.assert_array_equal(sample.visibility, 0)
        assert sample.joints3d is None


def test_without_images_there_are_poses_alone(tmp_path):
    (poses,) = h36m(folders.write_course(tmp_path, images=False))
    assert poses.count == 4


def test_images_of_another_size_do_not_fit_their_labels(root):
    write_image(root / "images" / folders.COURSE_NAMES[0], 250, 256)
    write_image(root / "images" / folders.COURSE_VALID[0], 250, 256)
    _, train, valid = h36m(root)
    assert train.load(train.items[0]).reason == "image is not 256x256, which its labels refer to"
    assert valid.load(valid.items[0]).height == 250


def test_labels_that_are_not_finite_are_left_out(root):
    pose2d, _ = labels(root)
    pose2d[0, 3, 1] = np.nan
    rewrite(root, pose2d=pose2d)
    poses, train, _ = h36m(root)
    sequences = {sequence.name: sequence for sequence in poses.stream()}
    assert len(sequences["S1/Walking 1/54138969"]) == 1
    assert sequences["S1/Walking 1/54138969"].notes == (
        "frames with joints that are not finite: these frames left out",
    )
    assert train.load(train.items[0]) == Skipped(folders.COURSE_NAMES[0], "labels are not finite")


def test_statistics_of_other_labels_or_none_are_noted(root):
    (root / "annot" / "mean.txt").unlink()
    np.savetxt(root / "annot" / "std.txt", np.full((17, 3), 50.0))
    poses, *_ = h36m(root)
    assert poses.notes == {
        "file is missing": ["annot/mean.txt"],
        "statistics are not those of train.h5": ["annot/std.txt"],
    }


def _text(name, text):
    return lambda root: (root / "annot" / name).write_text(text)


def _zero_deviation(root):
    values = np.loadtxt(root / "annot" / "std.txt")
    values[4, 1] = 0
    np.savetxt(root / "annot" / "std.txt", values)


_NAMES = "".join(f"{name}\n" for name in folders.COURSE_NAMES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _text("train_images.txt", _NAMES + "S1_Eating.54138969_000001.jpg\n"),
            "names 6 images, but .* has 5 rows",
        ),
        (_text("train_images.txt", _NAMES.replace("Sitting.", "Dancing.")), "line 3 must be like .*Dancing"),
        (_text("train_images.txt", _NAMES.replace("54138969", "54138960")), "line 1 must be like"),
        (_text("train_images.txt", _NAMES.replace("S6_", "../S6_")), "must hold base names"),
        (
            lambda root: (root / "annot" / "train_images.txt").unlink(),
            "train_images.txt: is no readable list",
        ),
        (_zero_deviation, r"std\.txt: the deviation of joint 4 along y is 0; only the root's may be 0"),
        (_text("mean.txt", "1 2 3"), r"mean\.txt: must hold 17x3 finite numbers. Received: 3 numbers"),
        (_text("std.txt", "nan " * 51), r"std\.txt: must hold 17x3 finite numbers"),
        (_text("std.txt", "a " * 51), r"std\.txt: holds something that is no number"),
        (lambda root: rewrite(root, pose2d=np.zeros((5, 16, 2))), "pose2d must be Nx17x2. Received: 5x16x2"),
        (lambda root: rewrite(root, pose3d=np.zeros((4, 17, 3))), "pose2d has 5 rows, but pose3d 4"),
        (lambda root: (root / "annot" / "train.h5").write_bytes(b"no"), "is not a readable HDF5 file"),
    ],
)
def test_bad_input_is_one_line(root, change, message):
    change(root)
    with pytest.raises(UserError, match=message) as caught:
        h36m(root)
    assert "\n" not in str(caught.value)
