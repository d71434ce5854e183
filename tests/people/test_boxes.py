"""Boxes from files: for all, by name, by frame; anything else is told in one line."""

import json

import pytest

from hpe.errors import UserError
from hpe.people.boxes import Boxes


def boxes(tmp_path, content):
    (tmp_path / "b.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return Boxes(tmp_path / "b.json")


def test_the_three_forms(tmp_path):
    assert boxes(tmp_path, [[1, 2, 3, 4.5]]).of("any.jpg", 7) == [(1.0, 2.0, 3.0, 4.5)]
    named = boxes(tmp_path, {"a.jpg": [[1, 2, 3, 4], [5, 6, 7, 8]], "b": []})
    assert len(named.of("in/a.jpg")) == 2
    assert named.of("in/b.png") == []
    with pytest.raises(UserError, match=r"b\.json: lists no c\.jpg; give it \[\] if nobody is there"):
        named.of("c.jpg")
    frames = {"frames": [{"frame": 3, "people": [{"box": [1, 2, 3, 4]}]}, {"frame": 4, "people": []}]}
    by_frame = boxes(tmp_path, frames)
    assert [by_frame.of("v.mp4", frame) for frame in (0, 3, 4)] == [[], [(1, 2, 3, 4)], []]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[[1, 2", "is no JSON file"),
        ("[" * 100_000, "is no JSON file"),
        (7, "holds no boxes; wanted are"),
        ([1, 2, 3, 4], "holds no boxes"),
        ([[1, 2, 3]], "holds no boxes"),
        ([[1, 2, "3", True]], "holds no boxes"),
        ({"a.jpg": 3}, "a.jpg: holds no boxes"),
        ({"frames": [{"people": []}]}, "frames: holds no boxes"),
        ({"frames": [{"frame": 2, "people": [{}]}]}, "frame 2: holds no boxes"),
        ([[1, 2, 0, 4]], r"box \[1, 2, 0, 4\] has no positive width and height"),
        ("[[1, 2, NaN, 4]]", "has no positive width"),
    ],
)
def test_what_holds_no_boxes_is_one_line(tmp_path, content, message):
    with pytest.raises(UserError, match=message) as error:
        boxes(tmp_path, content)
    assert "\n" not in str(error.value)
