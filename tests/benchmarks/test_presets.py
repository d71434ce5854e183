"""The table of the presets: who is judged, and what a missed target looks like."""

from benchmarks import presets
from hpe.evaluation import registry


def test_every_row_is_a_metric_with_the_direction_of_its_target():
    for _, place, metric, _, targets, sign in presets.ROWS:
        assert place in presets.PLACES
        assert len(targets) == len(presets.PRESETS)
        assert registry.better(metric).value == ("higher" if sign > 0 else "lower")


def test_large_people_with_joints_are_kept():
    boxes = [(96, 10), (95, 95), (200, 50), (10, 300)]
    annotations = [
        {"bbox": [0, 0, *box], "num_keypoints": count, "iscrowd": crowd}
        for box, count, crowd in zip(boxes, (5, 5, 0, 3), (0, 0, 0, 1), strict=True)
    ]
    content = {"images": [{"file_name": "a.jpg"}], "annotations": annotations, "categories": []}
    assert presets.large_people(content) == content | {"annotations": annotations[:1]}


def test_the_pictures_that_no_training_has_seen_are_a_fifth():
    content = {
        "images": [{"id": number} for number in (3, 4, 5, 14)],
        "annotations": [{"image_id": number} for number in (3, 4, 4, 5)],
    }
    found = presets.set_aside(content)
    assert [image["id"] for image in found["images"]] == [4, 14]
    assert found["annotations"] == [{"image_id": 4}, {"image_id": 4}]


def test_a_missed_target_is_marked():
    assert presets.target_cell(0.7, 0.8, 1, ".2f") == ">= 0.80, **missed**"
    assert presets.target_cell(2.0, 2.8, -1, ".1f") == "<= 2.8"
    assert presets.target_cell(None, None, 1, ".1f") == "-"
