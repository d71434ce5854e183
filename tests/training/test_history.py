"""The history file: what is appended comes back, and what a kill leaves behind does not."""

import json

import pytest

from hpe.errors import UserError
from hpe.training.history import TRAIN, VALIDATION, Entry, History, finite, read_history


def entry(step, kind=TRAIN, **values):
    return Entry(step, step / 4, kind, values)


@pytest.fixture
def path(tmp_path):
    """A history of three steps, validated after the second."""
    path = tmp_path / "run" / "history.jsonl"
    path.parent.mkdir()
    history = History(path, step=0)
    assert not path.exists()
    for line in (entry(1, loss=0.1), entry(2, loss=1 / 3), entry(2, VALIDATION, iou=0.5), entry(3, loss=2.0)):
        history.append(line)
    return path


def test_lines_are_json_and_come_back_exactly(path):
    first = json.loads(path.read_text().splitlines()[0])
    assert first == {"step": 1, "epoch": 0.25, "kind": "train", "values": {"loss": 0.1}}
    entries = read_history(path)
    assert [(e.step, e.kind) for e in entries] == [(1, TRAIN), (2, TRAIN), (2, VALIDATION), (3, TRAIN)]
    assert entries[1].values["loss"] == 1 / 3


def test_resuming_drops_later_steps_and_knows_the_validations(path):
    history = History(path, step=2)
    assert [e.step for e in read_history(path)] == [1, 2, 2]
    assert history.validations == [entry(2, VALIDATION, iou=0.5)]
    history.append(entry(4, VALIDATION, iou=0.6))
    assert [e.values["iou"] for e in history.validations] == [0.5, 0.6]
    assert read_history(path)[-1] == entry(4, VALIDATION, iou=0.6)
    assert [p.name for p in path.parent.iterdir()] == ["history.jsonl"]
    assert History(path, step=1).validations == []
    History(path, step=0)
    assert path.read_text() == ""


@pytest.mark.parametrize(
    "rest",
    [
        '{"step": 3, "epo',
        "garbage\n",
        "[3]\n",
        "\x00\x00",
        '{"step": 3}\n',
        "[" * 100_000,
        '{"step": 3, "epoch": NaN, "kind": "train", "values": {}}\n',
        '{"step": 3, "epoch": 1, "kind": "validation", "values": {"iou": "high"}}\n',
        '{"step": 3, "epoch": 1, "kind": "t',
    ],
)
def test_half_a_line_is_dropped(path, rest):
    whole = path.read_text()
    path.write_text(whole + rest)
    History(path, step=3).append(entry(4, loss=1.0))
    assert [e.step for e in read_history(path)] == [1, 2, 2, 3, 4]
    assert path.read_text().startswith(whole)


def test_a_last_line_without_its_end_is_mended(path):
    path.write_text(path.read_text().rstrip("\n"))
    History(path, step=3).append(entry(4, loss=1.0))
    assert [e.step for e in read_history(path)] == [1, 2, 2, 3, 4]


def test_what_is_not_finite_is_null(path):
    values = finite({"a": float("nan"), "b": float("inf"), "c": 2})
    assert values == {"a": None, "b": None, "c": 2.0}
    history = History(path, step=3)
    history.append(Entry(4, 1.0, TRAIN, values))
    assert read_history(path)[-1].values == values


def test_a_disk_that_refuses_is_named(tmp_path):
    (tmp_path / "history.jsonl").mkdir()
    with pytest.raises(UserError, match=r"history\.jsonl: cannot be read"):
        History(tmp_path / "history.jsonl", step=0)
    gone = History(tmp_path / "gone" / "history.jsonl", step=0)
    with pytest.raises(UserError, match=r"history\.jsonl: the history cannot be kept .*go on with `resume`"):
        gone.append(entry(1))
