"""The layout of ECCV'18 as pose-hg-3d has it: pictures, labels and boxes belong together; what is odd is named."""

import os

import cv2
import numpy as np
import pytest

from hpe import datasets, skeletons
from hpe.datasets import WriteConfig
from hpe.datasets.entries.h36m_eccv18 import Eccv18Config
from hpe.datasets.human36m.eccv18 import h36m_eccv18, load
from hpe.datasets.sample import Sample, Skipped
from hpe.errors import UserError
from tests.people_folders import eccv18_person as person
from tests.people_folders import write_h36m_eccv18


def write(folder, people, **options):
    write_h36m_eccv18(folder, people, **options)
    return folder


def test_pictures_labels_and_boxes_belong_together(tmp_path):
    write(tmp_path, [person(number) for number in range(1, 6)], pictures=(1, 2, 3, 5))
    write(tmp_path, [person(7)], split="Val")
    train, val = h36m_eccv18(tmp_path)
    assert (train.name, val.name, len(train.items), len(val.items)) == (
        *("h36m_eccv18_train", "h36m_eccv18_val"),
        *(5, 1),
    )
    samples = [load(item) for item in train.items]
    # The fourth picture is missing: nobody else moves up.
    assert samples[3] == Skipped("00004.jpg", "image is missing")
    for number, sample in ((1, samples[0]), (5, samples[4])):
        truth = person(number)
        assert abs(int(cv2.imdecode(np.frombuffer(sample.image, np.uint8), 0)[0, 0]) - 10 * number) < 3
        np.testing.assert_allclose(sample.joints2d, truth["joints_3d"][:, :2], atol=1e-4)
        np.testing.assert_allclose(sample.joints3d, truth["joints_3d_relative"] / 1000, atol=1e-6)
        np.testing.assert_allclose(sample.center, [50 + number, 48])
        # Their box is the crop, of which ours is four fifths.
        assert sample.scale == pytest.approx(0.8 * 80)
        assert sample.skeleton == sample.skeleton3d == "h36m18"


def test_joints_become_mpii_s_as_published(tmp_path):
    sample = load(h36m_eccv18(write(tmp_path, [person(1)]))[0].items[0])
    table = [3, 2, 1, 4, 5, 6, 0, 7, 8, 10, 16, 15, 14, 11, 12, 13]
    source, target = skeletons.get("h36m18"), skeletons.MPII16
    found = skeletons.convert(source, target, table="pose_hg_3d").coordinates(sample.joints3d[None])[0]
    np.testing.assert_allclose(found, sample.joints3d[table], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"width": 0.0, "height": 0.0}, "box has no size"),
        ({"width": -3.0, "height": -1.0}, "box has no size"),
        ({"joints_3d": None}, "joints_3d is missing"),
        ({"joints_3d": np.zeros((17, 3))}, "joints_3d has another shape"),
        ({"center_x": np.nan}, "center_x is not finite"),
        ({"joints_3d_vis": "all"}, "joints_3d_vis is no array of numbers"),
        (
            {"joints_3d_vis": np.zeros((18, 3))},
            "3D joints without 2D joints or camera: where they are is not known",
        ),
    ],
)
def test_who_cannot_be_used_is_left_out_and_named(tmp_path, change, reason):
    source = h36m_eccv18(write(tmp_path, [person(1), person(2, **change)]))[0]
    assert isinstance(load(source.items[0]), Sample)
    assert load(source.items[1]) == Skipped("00002.jpg", reason)


@pytest.mark.parametrize("change", [{"joints_3d_relative": None}, {"joints_3d_relative": np.zeros((18, 3))}])
def test_people_without_3d_keep_their_2d_joints(tmp_path, change):
    sample = load(h36m_eccv18(write(tmp_path, [person(1, **change)]))[0].items[0])
    assert (sample.joints3d, sample.notes) == (None, ("no 3D joints",))
    assert sample.visibility.all()


class Evil:
    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.parametrize(
    ("people", "pictures", "message"),
    [
        (
            [person(1)],
            (1, 2, 3),
            r"has 1 people, but .*IMG a picture 00003.jpg; the two do not belong together",
        ),
        ([Evil()], (1,), "refused, because it holds .*system, which is no data and could run code"),
        ({"people": 3}, (1,), "holds no list of people"),
        ([person(1)], (), "holds no picture such as 00001.jpg"),
    ],
)
def test_files_that_do_not_fit_are_one_line(tmp_path, people, pictures, message):
    with pytest.raises(UserError, match=message) as caught:
        h36m_eccv18(write(tmp_path, people, pictures=pictures))
    assert "\n" not in str(caught.value)


def test_a_folder_without_either_says_what_belongs_there(tmp_path):
    entry = datasets.get("h36m_eccv18")
    with pytest.raises(UserError, match=r"has no split with both ECCV18_Challenge.*msra_cache"):
        entry.sources(Eccv18Config(h36m_eccv18=str(tmp_path)), WriteConfig())
    assert entry.sources(Eccv18Config(), WriteConfig()) == []
