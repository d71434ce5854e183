"""MPII in MSRA's JSON: MATLAB's pixels, HRNet's boxes, PCKh's heads, and one line for every kind of damage."""

import json

import numpy as np
import pytest
import scipy.io

from hpe.datasets.mpii_json import mpii_json
from hpe.datasets.sample import Sample, Skipped
from hpe.errors import UserError


def _entry(number, **changes):
    rng = np.random.default_rng(number)
    entry = {
        "image": f"{number:05d}.jpg",
        "joints": rng.uniform(5, 60, (16, 2)).tolist(),
        "joints_vis": [1] * 15 + [0],
        "center": [30.0, 20.0],
        "scale": 0.25,
    }
    return entry | changes


@pytest.fixture
def folder(tmp_path, write_image):
    """Three people to train with, the second without an image, and two in one image to validate with."""
    for number in (0, 2, 7):
        write_image(tmp_path / "images" / f"{number:05d}.jpg", 70, 64)
    (tmp_path / "annot").mkdir()
    write(tmp_path, "train", [_entry(0), _entry(1), _entry(2, center=[-1, -1], scale=-1)])
    write(tmp_path, "valid", [_entry(7), _entry(7, joints_vis=[0] * 16)])
    boxes = np.zeros((2, 2, 2))
    boxes[1, :, 0] = (30, 40)  # a diagonal of 50
    scipy.io.savemat(tmp_path / "annot" / "gt_valid.mat", {"headboxes_src": boxes})
    return tmp_path


def write(folder, split, content):
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "annot" / f"{split}.json").write_text(text)


def read(folder):
    return {source.name: [source.load(item) for item in source.items] for source in mpii_json(folder)}


def test_people_are_placed_as_hrnet_places_them(folder):
    people = read(folder)
    assert list(people) == ["mpii_train", "mpii_valid"]
    first, missing, _ = people["mpii_train"]
    assert missing == Skipped("00001.jpg#1", "image is missing")
    entry = _entry(0)
    np.testing.assert_allclose(first.joints2d[:15], np.array(entry["joints"])[:15] - 1, rtol=1e-6)
    np.testing.assert_array_equal(first.joints2d[15], 0)
    assert first.visibility.tolist() == entry["joints_vis"]
    assert first.skeleton == "mpii16"
    # The crop, 1.25 of the box, is 250 scale.
    assert first.scale == 50
    np.testing.assert_allclose(first.center, [29, 20 + 15 * 0.25 - 1])
    assert first.head_size is None


def test_people_without_a_box_are_found_by_their_joints(folder):
    person = read(folder)["mpii_train"][2]
    visible = person.joints2d[:15]
    np.testing.assert_allclose(person.center, (visible.min(axis=0) + visible.max(axis=0)) / 2, rtol=1e-6)
    assert person.scale > 30


def test_heads_of_the_validation_set(folder):
    first, second = read(folder)["mpii_valid"]
    assert isinstance(first, Sample)
    assert first.head_size == pytest.approx(0.6 * 50)
    assert second == Skipped("00007.jpg#1", "no visible joint")
    (folder / "annot" / "gt_valid.mat").unlink()
    assert read(folder)["mpii_valid"][0].head_size is None


def test_train_and_valid_in_one_file(folder):
    for split in ("train", "valid"):
        (folder / "annot" / f"{split}.json").unlink()
    with pytest.raises(UserError, match=r"has neither annot/train\.json nor annot/valid\.json"):
        read(folder)
    write(folder, "trainval", [_entry(0)])
    assert list(read(folder)) == ["mpii_trainval"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"image": ', r"train\.json: is no valid JSON \(.*\); it should be a list of people"),
        ({"people": []}, "is not a list of people .*: its top level is of type dict"),
        ([3], "annotation.*is no object with fields, but of type int"),
        ([{"image": "a"}], "annotation.*has no field `joints`"),
        ([_entry(0, image=3)], "annotation.*`image` must be the name of a file. Received: 3"),
        ([_entry(0, joints=[[1, 2]] * 14)], "annotation.*`joints` must be 16x2 numbers. Received: 14x2"),
        ([_entry(0, joints="many")], "annotation.*`joints` must be 16x2 numbers"),
        ([_entry(0, joints=[[1, 2]] * 15 + [[1]])], "annotation.*`joints` must be 16x2 numbers"),
        ([_entry(0, joints_vis=[1] * 3)], "annotation.*`joints_vis` must be 16 numbers. Received: 3"),
        (
            [_entry(0, joints=[[1, float("nan")]] * 16)],
            "annotation.*`joints` holds labelled joints that are not",
        ),
        ([_entry(0, scale=float("inf"))], "annotation.*`scale` holds numbers that are not finite"),
        ([_entry(0, center=[1])], "annotation.*`center` must be 2 numbers. Received: 1"),
        ([_entry(5)], r"images: holds none of the images of train\.json"),
    ],
)
def test_damage_is_told_in_one_line(folder, content, message):
    write(folder, "train", content)
    with pytest.raises(UserError, match=message) as error:
        read(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"headboxes_src": np.zeros((2, 2, 3))}, "has 3 heads, but valid.json 2 people"),
        ({"headboxes_src": np.zeros((2, 3))}, "`headboxes_src` must be 2x2xN numbers. Received: 2x3"),
        ({"headboxes_src": np.full((2, 2, 2), np.nan)}, "holds numbers that are not finite"),
        ({"boxes": np.zeros((2, 2, 2))}, "holds no variable `headboxes_src`"),
    ],
)
def test_heads_of_another_kind(folder, content, message):
    scipy.io.savemat(folder / "annot" / "gt_valid.mat", content)
    with pytest.raises(UserError, match=message):
        read(folder)


def test_one_odd_entry_among_many_is_left_out_and_named(folder):
    write(folder, "train", [_entry(0), {"image": "a"}, 7])
    source = next(source for source in mpii_json(folder) if source.name == "mpii_train")
    results = [source.load(item) for item in source.items]
    assert isinstance(results[0], Sample)
    assert results[1:] == [
        Skipped("train.json entry 1", "annotation has no field `joints`"),
        Skipped("train.json entry 2", "annotation is no object with fields, but of type int"),
    ]


def test_a_damaged_file_of_heads(folder):
    (folder / "annot" / "gt_valid.mat").write_bytes(b"no MATLAB file")
    with pytest.raises(UserError, match=r"gt_valid\.mat: not a readable MATLAB file"):
        read(folder)
