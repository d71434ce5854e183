"""COCO's keypoints: who is kept, boxes and masks, and one line for every kind of damage."""

import json
import math

import cv2
import numpy as np
import pytest

from hpe import skeletons
from hpe.datasets.coco import coco
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
    categories = [{"id": 1, "name": "person", "keypoints": list(skeletons.COCO17.joints)}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(text or json.dumps(content))


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
        ({"counts": "abc", "size": [60, 80]}, "segmentation is damaged: left out"),
        ({"counts": [4800], "size": [80, 60]}, "segmentation is damaged: left out"),
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


def category(joints, *, number=1, name="person", **fields):
    return {"id": number, "name": name, "keypoints": joints} | fields


def write_with(folder, annotations, categories, images=IMAGES):
    write(
        folder,
        None,
        text=json.dumps({"images": images, "annotations": annotations, "categories": categories}),
    )


def spelled(name, spelling):
    side, _, part = name.partition("_")
    spellings = {
        "hyphens": name.replace("_", "-"),
        "blanks": name.replace("_", " ").title(),
        "camel": (side[0].upper() + part.capitalize()) if part else name.capitalize(),
        "behind": f"{part}_{side[0]}" if part else name,
        "short": f"{side[0]}{part[:3]}" if part in ("shoulder", "elbow", "wrist", "knee", "ankle") else name,
    }
    return spellings[spelling]


@pytest.mark.parametrize("spelling", ["hyphens", "blanks", "camel", "behind", "short"])
def test_joints_are_found_by_their_names(folder, spelling):
    order = sorted(skeletons.COCO17.joints)
    keypoints = np.concatenate([np.arange(34).reshape(17, 2) + 5, np.full((17, 1), 2)], axis=1)
    names = [spelled(name, spelling) for name in order]
    write_with(
        folder, [_annotation(0, category_id=1, keypoints=keypoints.ravel().tolist())], [category(names)]
    )
    source, (person,) = read(folder)
    assert source.skeleton == "coco17"
    for joint, place in zip(order, keypoints, strict=True):
        assert person.joints2d[skeletons.COCO17.index(joint)].tolist() == place[:2].tolist()


def test_any_subset_of_joints_goes_into_the_set_that_has_them(folder):
    names = ["head top", "head_bottom", "kpt: L hip", "Right Hip Joint"]
    keypoints = [10, 11, 2, 12, 13, 1, 14, 15, 2, 0, 0, 0]
    write_with(folder, [_annotation(0, category_id=1, keypoints=keypoints)], [category(names)])
    source, (person,) = read(folder)
    assert source.skeleton == "lsp14"
    assert person.visibility.sum() == 3
    assert person.joints2d[skeletons.LSP14.index("head_top")].tolist() == [10, 11]
    assert person.joints2d[skeletons.LSP14.index("left_hip")].tolist() == [14, 15]


def test_a_file_with_a_joint_that_is_not_known_is_refused_with_both_lists(folder):
    names = ["nose", "tail"]
    write_with(folder, [_annotation(0, category_id=1, keypoints=[1] * 6)], [category(names)])
    with pytest.raises(
        UserError, match=r"the joint 'tail' is not known\. The file has nose, tail; known are nose"
    ):
        coco(folder)
    write_with(folder, [_annotation(0, category_id=1)], [category(["nose", "Nose"])])
    with pytest.raises(UserError, match="'nose' and 'Nose' are both the joint nose"):
        coco(folder)


def test_other_categories_are_left_out_counted_and_named(folder):
    joints = list(skeletons.COCO17.joints)
    write_with(
        folder,
        [_annotation(number, category_id=number) for number in range(1, 4)],
        [
            category(joints, number=1, name="dog"),
            category(joints, number=2),
            category(["hoof"], number=3, name="Horse", supercategory="animal"),
        ],
    )
    _, (dog, person, horse) = read(folder)
    assert dog == Skipped("000003.jpg#101", "category dog is no person")
    assert isinstance(person, Sample)
    assert horse.reason == "category Horse is no person"


def test_a_category_of_any_name_counts_if_it_has_the_joints_of_people(folder):
    joints = list(skeletons.COCO17.joints)
    categories = [{"id": 0, "name": "people-pose", "supercategory": "none"}, category(joints, name="pose")]
    write_with(folder, [_annotation(0, category_id=1), _annotation(1, category_id=7)], categories)
    _, (person, unlisted) = read(folder)
    assert isinstance(person, Sample)
    assert unlisted.reason == "category of the annotation is not listed"


def test_one_odd_entry_among_many_is_left_out_and_named(folder):
    broken = _annotation(1)
    del broken["keypoints"]
    annotations = [
        _annotation(0),
        broken,
        7,
        _annotation(2, image_id=9),
        _annotation(3, image_id=None),
        _annotation(4, keypoints=None),
        _annotation(5, keypoints=[1] * 50),
        _annotation(6, keypoints=[math.nan, 1, 2] * 17),
        _annotation(7, keypoints=["a"] * 51),
        _annotation(8, image_id="3", id="x"),
        _annotation(9, image_id=3.0),
    ]
    write(folder, annotations, images=[*IMAGES, 5, {"id": 8}, {"id": [], "file_name": "a.jpg"}])
    _, results = read(folder)
    reasons = [getattr(result, "reason", None) for result in results]
    assert reasons == [
        None,
        "annotation has no keypoints",
        "annotation is no object with fields",
        "image of the annotation is not listed",
        "image of the annotation is not listed",
        "annotation has no keypoints",
        "keypoints are not 3 numbers for each of 17 joints",
        "keypoints are not finite",
        "keypoints are no numbers",
        None,
        None,
    ]
    assert results[1].name == "000003.jpg#101"
    assert results[9].name == "000003.jpg#x"


def test_a_joint_without_a_place_is_not_labelled(folder):
    keypoints = _annotation(0)["keypoints"]
    keypoints[3:5] = [math.nan, math.nan]
    write(folder, [_annotation(0, keypoints=keypoints)])
    _, (person,) = read(folder)
    assert person.visibility.tolist() == [n % 3 > 0 and n != 1 for n in range(17)]
    assert person.notes == ("joints without a place: left out",)


def test_names_count_where_annotations_leave_their_only_category_out(folder):
    joints = list(skeletons.COCO17.joints)
    write_with(folder, [_annotation(0)], [category(joints[::-1])])
    _, (person,) = read(folder)
    assert person.visibility.tolist() == [n % 3 > 0 for n in range(17)][::-1]


def test_a_file_that_does_not_name_its_joints_says_so(folder):
    note = "file does not name its joints: taken for COCO's 17 in COCO's order"
    for categories in ([], [{"id": 1, "name": "person"}]):
        write_with(folder, [_annotation(0, category_id=1)], categories)
        assert note in read(folder)[1][0].notes


@pytest.mark.parametrize("box", [None, [], [1, 2, 3], [0, 0, 0, 0], ["a"] * 4, [math.nan] * 4])
def test_a_missing_box_is_made_from_the_joints(folder, box):
    write(folder, [_annotation(0, bbox=box)])
    _, (person,) = read(folder)
    seen = person.joints2d[person.visibility > 0]
    assert person.notes == ("no box: made from the joints",)
    assert person.scale >= np.ptp(seen, axis=0).max()
    assert (np.abs(seen - person.center) <= person.scale).all()


@pytest.mark.parametrize(
    ("file_name", "place"),
    [
        ("train/a.jpg", "images/train/a.jpg"),
        ("train\\a.jpg", "images/a.jpg"),
        ("./a.jpg", "images/a.jpg"),
        ("/home/me/project/images/a.jpg", "images/a.jpg"),
        ("C:\\Users\\me\\a.jpg", "a.jpg"),
        ("../../upload/1/a.jpg", "data/a.jpg"),
        ("/data/local-files/?d=set%201/a.jpg", "set 1/a.jpg"),
        ("https://host.org/set/a.jpg?token=1&of=/b/c.jpg", "images/a.jpg"),
        ("A.jpg", "images/a.JPG"),
        ("caf\u00e9.jpg", "images/cafe\u0301.jpg"),
    ],
)
def test_pictures_are_found_wherever_tools_put_them(tmp_path, write_image, file_name, place):
    write_image(tmp_path / place, 60, 80)
    path = tmp_path / "annotations.json"
    path.write_text(
        json.dumps({"images": [IMAGES[0] | {"file_name": file_name}], "annotations": [_annotation(0)]})
    )
    _, (person,) = read(tmp_path)
    assert isinstance(person, Sample)
    assert isinstance(read(path)[1][0], Sample)


def test_a_file_that_several_names_end_with_is_nobodys(tmp_path, write_image):
    write_image(tmp_path / "images" / "a.jpg", 60, 80)
    write_image(tmp_path / "images" / "cam3" / "a.jpg", 60, 80)
    images = [IMAGES[0] | {"id": n, "file_name": f"cam{n}/a.jpg"} for n in (1, 2, 3)]
    annotations = [_annotation(n, image_id=n) for n in (1, 2, 3)]
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    _, (first, second, own) = read(tmp_path)
    assert first.reason == second.reason == "file of the picture is that of other names, too"
    assert isinstance(own, Sample)
    # Where the name is that of a file, that is meant, whatever else ends like it.
    images[0]["file_name"] = "a.jpg"
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    _, (first, second, own) = read(tmp_path)
    assert isinstance(first, Sample)
    assert second.reason == "file of the picture is that of other names, too"


def test_a_name_that_leads_out_of_the_folder_is_not_followed(tmp_path, write_image):
    write_image(tmp_path / "secret" / "a.jpg", 60, 80)
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("../secret/a.jpg", str(tmp_path / "secret" / "a.jpg")):
        content = {"images": [IMAGES[0] | {"file_name": name}], "annotations": [_annotation(0)]}
        (folder / "annotations.json").write_text(json.dumps(content))
        with pytest.raises(UserError, match="none of its images is there"):
            coco(folder)


def test_people_of_an_id_that_several_files_have_are_left_out(folder, write_image):
    write_image(folder / "val2017" / "000004.jpg", 60, 80)
    write(
        folder,
        [_annotation(0), _annotation(1, image_id=4)],
        images=[*IMAGES, {**IMAGES[0], "file_name": "other.jpg"}, IMAGES[1]],
    )
    _, (doubtful, person) = read(folder)
    assert doubtful.reason == "image id is that of several files"
    assert isinstance(person, Sample)


def test_shares_of_the_picture_are_read_as_such(folder):
    keypoints = np.reshape(_annotation(0)["keypoints"], (17, 3))
    shares = (keypoints / [80, 60, 1]).ravel().tolist()
    annotation = _annotation(
        0,
        keypoints=shares,
        bbox=[10 / 80, 20 / 60, 30 / 80, 20 / 60],
        segmentation=[[10 / 80, 10 / 60, 30 / 80, 10 / 60, 30 / 80, 40 / 60]],
    )
    write(folder, [annotation])
    _, (person,) = read(folder)
    labelled = keypoints[:, 2] > 0
    np.testing.assert_allclose(person.joints2d[labelled], keypoints[labelled, :2], atol=1e-4)
    assert person.scale == pytest.approx(30)
    assert person.mask is not None
    assert person.notes == ("coordinates are shares of the image, not pixels: read as such",)


def _large(folder, write_image, change):
    """Writes three people of a picture of 240 x 480 pixels; returns their joints as annotated before a change."""
    write_image(folder / "val2017" / "000003.jpg", 240, 480)
    annotations, sound = [], []
    for number in range(3):
        rng = np.random.default_rng(number)
        joints = rng.uniform((40, 20), (420, 220), (17, 2))
        low, high = joints.min(axis=0), joints.max(axis=0)
        changed, box = change(joints), np.concatenate([change(low), change(high) - change(low)])
        annotations.append(
            _annotation(
                number,
                keypoints=np.column_stack([changed, np.full(17, 2)]).ravel().tolist(),
                bbox=box.tolist(),
                segmentation=[],
            )
        )
        sound.append(joints)
    write(folder, annotations, images=[IMAGES[0] | {"width": 480, "height": 240}])
    return sound


def test_percent_of_the_picture_are_read_as_such(folder, write_image):
    sound = _large(folder, write_image, lambda points: points / [4.8, 2.4])
    for person, joints in zip(read(folder)[1], sound, strict=True):
        np.testing.assert_allclose(person.joints2d, joints, atol=1e-3)
        assert person.scale == pytest.approx(np.ptp(joints, axis=0).max())
        assert "coordinates are percent of the image, not pixels: read as such" in person.notes


def test_exchanged_coordinates_are_refused(folder, write_image):
    _large(folder, write_image, lambda points: points[..., ::-1])
    with pytest.raises(UserError, match=r"val2017.json: \d+% of the joints lie outside .* Write x first"):
        coco(folder)


def test_corners_in_place_of_sizes_are_read_as_such(folder):
    rng = np.random.default_rng(0)
    annotations, sound = [], []
    for number in range(5):
        low = np.array([30 + 2 * number, 25])
        keypoints = np.concatenate([low + rng.integers(2, 20, (17, 2)), np.full((17, 1), 2)], axis=1)
        values = {"keypoints": keypoints.ravel().tolist()}
        annotations.append(_annotation(number, bbox=[*low.tolist(), *(low + 22).tolist()], **values))
        sound.append(_annotation(number, bbox=[*low.tolist(), 22, 22], **values))
    write(folder, annotations)
    _, corners = read(folder)
    write(folder, sound)
    _, sizes = read(folder)
    for found, expected in zip(corners, sizes, strict=True):
        assert (found.scale, *found.center) == (expected.scale, *expected.center)
        assert found.notes == ("boxes are corners x1, y1, x2, y2: read as such",)


def test_boxes_that_begin_at_their_centre_are_read_as_such(folder):
    keypoints = np.concatenate(
        [np.random.default_rng(0).integers(10, 30, (17, 2)), np.full((17, 1), 2)], axis=1
    )
    values = {"keypoints": keypoints.ravel().tolist()}
    write(folder, [_annotation(number, bbox=[20, 20, 24, 24], **values) for number in range(3)])
    _, people = read(folder)
    assert people[0].notes == ("boxes begin at their centre: read as such",)
    assert (people[0].scale, *people[0].center) == (24, 19.5, 19.5)


def test_a_box_without_any_joint_is_made_from_them(folder):
    keypoints = np.concatenate(
        [np.random.default_rng(0).integers(10, 30, (17, 2)), np.full((17, 1), 2)], axis=1
    )
    values = {"keypoints": keypoints.ravel().tolist()}
    write(
        folder,
        [_annotation(0, bbox=[8, 8, 24, 24], **values), _annotation(1, bbox=[60, 40, 10, 10], **values)],
    )
    _, (sound, beside) = read(folder)
    assert sound.notes == ()
    assert beside.notes == ("box holds no joint: made from the joints",)
    assert (np.abs(beside.center - 20) < 3).all()


def test_other_files_beside_the_annotations_are_passed_over(tmp_path, write_image):
    write_image(tmp_path / "images" / "000003.jpg", 60, 80)
    (tmp_path / "._labels.json").write_bytes(b"\x00\x05\x16\x07")
    (tmp_path / "captions.json").write_text('{"images": [], "annotations": [{"caption": "a"}]}')
    (tmp_path / "settings.json").write_text("[1]")
    (tmp_path / "labels.json").write_text(json.dumps({"images": IMAGES, "annotations": [_annotation(0)]}))
    _, results = read(tmp_path)
    assert [getattr(result, "reason", None) for result in results] == [
        "annotations without keypoints",
        "no COCO file of keypoints",
        None,
    ]


def test_splits_in_folders_as_roboflow_has_them(tmp_path, write_image):
    for split in ("train", "valid"):
        write_image(tmp_path / split / "000003.jpg", 60, 80)
        content = {"images": IMAGES, "annotations": [_annotation(0)]}
        (tmp_path / split / "_annotations.coco.json").write_text(json.dumps(content))
    sources = coco(tmp_path)
    assert [source.name for source in sources] == ["coco_train", "coco_valid"]
    assert all(isinstance(source.load(source.items[0]), Sample) for source in sources)


def test_people_with_few_joints_are_left_out_on_demand(folder):
    everything = np.full((17, 3), 20).ravel().tolist()
    write(folder, [_annotation(0), _annotation(1, keypoints=everything)])
    _, (few, person) = read(folder, min_joints=12)
    assert few.reason == "fewer than 12 labelled joints"
    assert isinstance(person, Sample)


def test_joints_beside_the_picture_are_told(folder):
    keypoints = np.concatenate([np.full((17, 2), 400), np.full((17, 1), 2)], axis=1).ravel().tolist()
    write(folder, [_annotation(0, keypoints=keypoints)])
    _, (person,) = read(folder)
    assert person.reason == "most joints lie outside of the image"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": "{"}, r"val2017\.json: is no valid JSON \(.*\); it should be COCO's keypoints"),
        ({"text": "[" * 100_000}, r"val2017\.json: is no valid JSON"),
        ({"text": "[]"}, "is not COCO's keypoints: .*: its top level is of type list"),
        ({"text": "{}"}, r"val2017\.json has no field `images`"),
        ({"text": '{"images": 3, "annotations": []}'}, "both lists"),
        ({"annotations": []}, "holds no annotations"),
        ({"annotations": [7]}, "holds no person that can be used .1 x annotation is no object"),
        ({"annotations": [_annotation(0, image_id=4)]}, r"none of its images is there, such as 000004\.jpg"),
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
