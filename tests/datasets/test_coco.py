"""COCO's keypoints: who is kept, boxes and masks, and one line for every kind of damage."""

import json
import math

import cv2
import numpy as np
import pytest

from hpe import skeletons
from hpe.datasets.coco import coco, polygon_mask
from hpe.datasets.sample import Sample, Skipped
from hpe.errors import UserError

IMAGES = [
    {"id": 3, "file_name": "000003.jpg", "height": 60, "width": 80},
    {"id": 4, "file_name": "000004.jpg", "height": 60, "width": 80},
]
SQUARE = [[10, 10, 30, 10, 30, 40, 10, 40]]


def _annotation(number, **changes):
    rng = np.random.default_rng(number)
    keypoints = np.concatenate([rng.integers(5, 50, (17, 2)), np.arange(17)[:, None] % 3], axis=1)
    entry = {
        "id": 100 + number,
        "image_id": 3,
        "keypoints": keypoints.ravel().tolist(),
        "num_keypoints": 11,
        "bbox": [10.0, 20.0, 30.0, 20.0],
        "iscrowd": 0,
        "segmentation": SQUARE,
    }
    return entry | changes


def write(folder, annotations, *, images=IMAGES, name="person_keypoints_val2017", text=None):
    path = folder / "annotations" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text or json.dumps({"images": images, "annotations": annotations}))


@pytest.fixture
def folder(tmp_path, write_image):
    """One image of two."""
    write_image(tmp_path / "val2017" / "000003.jpg", 60, 80)
    return tmp_path


def read(folder, **options):
    (source,) = coco(folder, **options)
    return source, [source.load(item) for item in source.items]


def test_labelled_joints_count_and_boxes_are_square(folder):
    write(folder, [_annotation(0)])
    source, (person,) = read(folder)
    assert (source.name, source.skeleton) == ("coco_val", "coco17")
    assert isinstance(person, Sample)
    assert person.name == "000003.jpg#100"
    keypoints = np.reshape(_annotation(0)["keypoints"], (17, 3))
    assert person.visibility.tolist() == (keypoints[:, 2] > 0).tolist()
    labelled = keypoints[:, 2] > 0
    np.testing.assert_array_equal(person.joints2d[labelled], keypoints[labelled, :2])
    np.testing.assert_array_equal(person.joints2d[~labelled], 0)
    assert person.scale == 30
    assert person.center.tolist() == [24.5, 29.5]
    assert person.notes == ()


def test_boxes_end_where_the_image_ends(folder):
    write(folder, [_annotation(0, bbox=[-10, 40, 30, 40]), _annotation(1, bbox=[90, 10, 5, 5])])
    _, (person, outside) = read(folder)
    assert person.scale == 20
    assert person.center.tolist() == [9.5, 49.5]
    assert outside == Skipped("000003.jpg#101", "box is empty")


def test_who_is_skipped_is_counted(folder):
    nobody = [0] * 51
    annotations = [
        _annotation(0, iscrowd=1),
        _annotation(1, keypoints=nobody, num_keypoints=0),
        _annotation(2, image_id=4),
        _annotation(3),
    ]
    write(folder, annotations)
    _, people = read(folder)
    reasons = [getattr(person, "reason", None) for person in people]
    assert reasons == ["crowd", "no labelled joint", "image is missing", None]


def test_an_image_of_another_size_is_not_that_of_the_annotation(folder, write_image):
    write_image(folder / "val2017" / "000004.jpg", 61, 80)
    write(folder, [_annotation(0), _annotation(1, image_id=4)])
    _, people = read(folder)
    assert people[1].reason == "image has another size than its annotation says"


@pytest.mark.parametrize(
    ("segmentation", "note"),
    [
        ({"counts": "abc", "size": [60, 80]}, "segmentation is run-length encoded: left out"),
        ([], "no segmentation: left out"),
        ([[1, 2, 3]], "segmentation is damaged: left out"),
        ([[1, 2, 3, math.nan, 4, 5]], "segmentation is damaged: left out"),
        (["abc"], "segmentation is damaged: left out"),
        ([[500, 500, 600, 500, 600, 600]], "segmentation is empty: left out"),
    ],
)
def test_what_is_no_polygon_is_left_out_with_a_note(folder, segmentation, note):
    write(folder, [_annotation(0, segmentation=segmentation)])
    _, (person,) = read(folder)
    assert person.mask is None
    assert person.notes == (note,)
    _, (person,) = read(folder, only_segmented=True)
    assert isinstance(person, Skipped)


def test_polygons_are_filled_and_may_overlap(folder):
    write(folder, [_annotation(0)])
    _, (person,) = read(folder)
    mask = cv2.imdecode(np.frombuffer(person.mask, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert mask.shape == (60, 80)
    assert mask[10:40, 10:30].all()
    assert 600 <= (mask > 0).sum() <= 660  # OpenCV draws the outline too
    both, _ = polygon_mask([*SQUARE, [20, 10, 50, 10, 50, 40, 20, 40]], 60, 80)
    assert both[10:40, 10:50].all()


def test_names_have_their_year_where_they_would_repeat(folder, write_image):
    write(folder, [_annotation(0)])
    write(folder, [_annotation(0)], name="person_keypoints_val2014")
    write_image(folder / "images" / "val2014" / "000003.jpg", 60, 80)
    assert [source.name for source in coco(folder)] == ["coco_val2014", "coco_val2017"]


def test_the_same_file_in_two_places_would_be_written_over(folder):
    write(folder, [_annotation(0)])
    (path,) = (folder / "annotations").glob("*.json")
    (folder / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="holds val2017 twice, at its top and in annotations/"):
        coco(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": "{"}, r"val2017\.json: is no valid JSON \(.*\); it should be COCO's keypoints"),
        ({"text": "[]"}, "is not COCO's keypoints: .*: its top level is of type list"),
        ({"text": "{}"}, r"val2017\.json has no field `images`"),
        ({"text": '{"images": 3, "annotations": []}'}, "both lists"),
        ({"images": [{"id": 3}]}, "image 0 has no field `file_name`"),
        ({"images": [{**IMAGES[0], "id": "3"}]}, "image 0: `id` must be a whole number"),
        ({"images": [{**IMAGES[0], "height": "tall"}]}, "image 0: `height` must be a number"),
        ({"annotations": [7]}, "annotation 0 is no object with fields"),
        ({"annotations": [_annotation(0, image_id=9)]}, "annotation 0: `image_id` 9 is not that of an image"),
        ({"annotations": [{"image_id": 3}]}, "annotation 0 has no field `keypoints`"),
        (
            {"annotations": [_annotation(0, keypoints=[1] * 50)]},
            "`keypoints` must be 51 numbers. Received: 50",
        ),
        (
            {"annotations": [_annotation(0, keypoints=[math.nan] * 51)]},
            "`keypoints` holds numbers that are not",
        ),
        ({"annotations": [_annotation(0, bbox=[1, 2, 3])]}, "`bbox` must be 4 numbers. Received: 3"),
        ({"annotations": [_annotation(0, image_id=4)]}, "holds no image of a person with keypoints"),
    ],
)
def test_damage_is_told_in_one_line(folder, options, message):
    write(folder, **({"annotations": [_annotation(0)]} | options))
    with pytest.raises(UserError, match=message) as error:
        read(folder)
    assert "\n" not in str(error.value)


def test_a_folder_without_annotations(tmp_path):
    with pytest.raises(UserError, match=r"has no person_keypoints_\*\.json"):
        coco(tmp_path)


@pytest.mark.data
def test_people_of_coco(data_dir):
    source, people = read(data_dir / "samples" / "coco")
    assert source.name == "coco_test_coco"
    kept = [person for person in people if isinstance(person, Sample)]
    assert (len(people), len(kept)) == (14, 12)
    nose = skeletons.COCO17.index("nose")
    for person in kept:
        mask = cv2.imdecode(np.frombuffer(person.mask, np.uint8), cv2.IMREAD_GRAYSCALE)
        seen = np.rint(person.joints2d[person.visibility > 0]).astype(int)
        assert np.mean(mask[seen[:, 1], seen[:, 0]] > 0) > 0.5
        assert abs(person.joints2d[nose] - person.center).max() < person.scale or not person.visibility[nose]
