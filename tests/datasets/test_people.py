"""What is checked of every person in a picture, whatever the dataset."""

import numpy as np
import pytest

from hpe.datasets.people import LabelledPerson, load_person
from hpe.datasets.sample import Sample, Skipped
from tests.dataset_folders import write_image

_JOINTS = np.array([[20, 10], [30, 12], [24, 40], [28, 60], [22, 61]] + [[0, 0]] * 9, float)


def load(tmp_path, **changes):
    write_image(tmp_path / "a.png", 80, 64)
    fields = {
        "name": "a.png",
        "image": str(tmp_path / "a.png"),
        "mask": None,
        "skeleton": "lsp14",
        "joints2d": _JOINTS,
        "visibility": np.array([1] * 5 + [0] * 9, np.float32),
    }
    return load_person(LabelledPerson(**(fields | changes)), only_segmented=False)


@pytest.mark.parametrize("origin", [0, 1])
def test_shares_of_the_picture_are_no_pixels(tmp_path, origin):
    shares = np.where(_JOINTS != 0, _JOINTS / [64, 80] - origin, 0)
    assert load(tmp_path, joints2d=shares) == Skipped(
        "a.png", "all joints lie within one pixel: are coordinates shares of the image?"
    )


def test_a_box_that_is_elsewhere(tmp_path):
    assert isinstance(load(tmp_path, center=np.array([25, 36]), scale=60), Sample)
    assert load(tmp_path, center=np.array([25, 36]), scale=1e6) == Skipped(
        "a.png", "box is many times as large as the image"
    )
    assert load(tmp_path, center=np.array([2500, 36]), scale=60) == Skipped(
        "a.png", "all joints lie outside of the box"
    )


def test_joints_that_are_no_numbers_are_not_labelled(tmp_path):
    joints = _JOINTS.copy()
    joints[1, 0] = np.nan
    joints[7] = 1e30
    sample = load(tmp_path, joints2d=joints)
    assert sample.notes == ("joints that are not finite or far outside: left out",)
    assert sample.visibility.tolist() == [1, 0, 1, 1, 1] + [0] * 9
    assert np.isfinite(sample.joints2d).all()
    np.testing.assert_array_equal(sample.center, [24, 35.5])
    assert load(tmp_path, joints2d=np.full((14, 2), np.nan)) == Skipped("a.png", "no visible joint")
