"""create_datasets of keypoint annotations in JSON: flags, what is counted, and records in their own joints."""

import json

import numpy as np
import pytest
import tensorflow as tf

from hpe.errors import UserError
from hpe.programs.create_datasets import create, settings
from hpe.programs.creation_summary import format_summary
from hpe.records.reading import find_shards
from hpe.records.schema import parse_examples
from tests.dataset_folders import write_image


def test_coco_and_mpii_become_records(tmp_path):
    joints = np.random.default_rng(0).uniform(5, 60, (16, 2))
    person = {"joints": joints.tolist(), "joints_vis": [1] * 16, "center": [30, 20], "scale": 0.25}
    keypoints = [value for x in range(17) for value in (x + 10, 2 * x + 10, 2)]
    image = {"id": 1, "file_name": "1.jpg", "height": 70, "width": 64}
    people = [
        {"image_id": 1, "keypoints": keypoints, "bbox": [5, 5, 40, 50], "segmentation": {"counts": "a"}},
        {"image_id": 1, "keypoints": keypoints, "bbox": [5, 5, 40, 50], "iscrowd": 1},
    ]
    for folder in ("mpii/images", "coco/val2017"):
        write_image(tmp_path / folder / "1.jpg", 70, 64)
    (tmp_path / "mpii" / "annot").mkdir()
    entries = [person | {"image": name} for name in ("1.jpg", "2.jpg")]
    (tmp_path / "mpii" / "annot" / "train.json").write_text(json.dumps(entries))
    content = {"images": [image], "annotations": people}
    (tmp_path / "coco" / "person_keypoints_val2017.json").write_text(json.dumps(content))
    write, configs = settings(
        mpii_json=str(tmp_path / "mpii"),
        coco=str(tmp_path / "coco"),
        data_dir=str(tmp_path / "records"),
        num_workers=1,
    )
    summaries = create(write, configs, progress=False)
    assert [(summary.name, summary.read, summary.kept) for summary in summaries] == [
        ("mpii_train", 2, 1),
        ("coco_val", 2, 1),
    ]
    text = format_summary(summaries)
    assert "mpii_train: skipped: 1 x image is missing (2.jpg#1)" in text
    assert "coco_val: note: 1 x segmentation is damaged: left out" in text
    (shards,) = find_shards(write.data_dir, ["mpii_train"], verify=True)
    (record,) = tf.data.TFRecordDataset(list(shards.files))
    parsed = parse_examples(record, ["joints2d"], skeleton2d="mpii16")
    np.testing.assert_allclose(parsed["joints2d"], joints - 1, rtol=1e-5)


def test_folders_that_are_not_there(tmp_path):
    for flag in ("coco", "mpii_json"):
        with pytest.raises(UserError, match=f"{flag}=.*nowhere: no such folder"):
            create(*settings(**{flag: str(tmp_path / "nowhere")}), progress=False)
