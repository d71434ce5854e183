"""Own data: parts and splits, masks in files, and what is refused."""

import json

import cv2
import numpy as np
import pytest

from hpe.datasets.own import own
from hpe.datasets.sample import Sample, Skipped
from hpe.errors import UserError

KEYPOINTS = [10, 12, 2, 30, 14, 2, 20, 40, 1]
CATEGORY = {"id": 1, "name": "person", "keypoints": ["left shoulder", "right shoulder", "left hip"]}


def content(count, **changes):
    images = [{"id": n, "file_name": f"{n}.jpg", "height": 60, "width": 80} for n in range(count)]
    people = [
        {"id": n, "image_id": n // 2, "category_id": 1, "keypoints": KEYPOINTS} | changes
        for n in range(2 * count)
    ]
    return {"images": images, "annotations": people, "categories": [CATEGORY]}


@pytest.fixture
def folder(tmp_path, write_image):
    for number in range(6):
        write_image(tmp_path / "images" / f"{number}.jpg", 60, 80)
    return tmp_path


def test_one_file_is_one_dataset(folder):
    (folder / "annotations.json").write_text(json.dumps(content(6)))
    for path in (folder, folder / "annotations.json"):
        (source,) = own(path)
        samples = [source.load(item) for item in source.items]
        assert (source.name, source.skeleton, len(samples)) == ("own", "coco17", 12)
        assert all(isinstance(sample, Sample) and sample.visibility.sum() == 3 for sample in samples)
        assert source.provenance.source == f"own data: {path}"


def test_one_file_can_be_split_by_pictures(folder):
    (folder / "annotations.json").write_text(json.dumps(content(6)))
    train, val = own(folder, name="gym", val_share=0.34)
    assert (train.name, val.name) == ("gym_train", "gym_val")
    pictures = [{item.image for item in source.items} for source in (train, val)]
    assert [len(found) for found in pictures] == [4, 2]
    assert not pictures[0] & pictures[1]
    assert len(train.items) + len(val.items) == 12
    # The order in the file plays no part.
    shuffled = content(6)
    shuffled["images"].reverse()
    shuffled["annotations"].reverse()
    (folder / "annotations.json").write_text(json.dumps(shuffled))
    assert {item.image for item in own(folder, val_share=0.34)[1].items} == pictures[1]


def test_files_of_parts_keep_them(folder):
    (folder / "annotations").mkdir()
    for name in ("train", "instances_val2020"):
        (folder / "annotations" / f"{name}.json").write_text(json.dumps(content(6)))
    assert sorted(source.name for source in own(folder)) == ["own_train", "own_val"]
    with pytest.raises(UserError, match="holds own_val, own_train already, so that nothing is to be split"):
        own(folder, val_share=0.2)
    (folder / "annotations" / "training.json").write_text(json.dumps(content(6)))
    with pytest.raises(UserError, match="holds several files of the part own_train"):
        own(folder)


def test_masks_in_files_go_by_picture_or_by_annotation(folder):
    (folder / "masks").mkdir()
    mask = np.zeros((60, 80), np.uint8)
    mask[5:50, 5:40] = 255
    cv2.imwrite(str(folder / "masks" / "0.png"), mask)
    cv2.imwrite(str(folder / "masks" / "1_3.png"), mask[::-1])
    (folder / "annotations.json").write_text(json.dumps(content(2)))
    (source,) = own(folder, only_segmented=True)
    samples = [source.load(item) for item in source.items]
    assert [isinstance(sample, Sample) for sample in samples] == [True, True, False, True]
    assert samples[2] == Skipped("1.jpg#2", "no segmentation")
    decoded = cv2.imdecode(np.frombuffer(samples[3].mask, np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(decoded, mask[::-1])


def test_what_is_beside_the_annotations_and_who_has_few_joints_is_named(folder):
    (folder / "annotations.json").write_text(json.dumps(content(2)))
    (folder / "notes.json").write_text("{}")
    (source,) = own(folder)
    assert source.items[0] == Skipped("notes.json", "no COCO file of keypoints")
    with pytest.raises(UserError, match=r"no person that can be used \(4 x fewer than 5 labelled joints"):
        own(folder, min_joints=5)
    with pytest.raises(UserError, match="has 2 pictures, too few to be split"):
        own(folder, val_share=0.9)
