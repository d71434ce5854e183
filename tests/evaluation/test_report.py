import json
import os

import numpy as np
import pytest

from hpe.errors import UserError
from hpe.evaluation.report import Metric, to_json, to_text, write_json

METRICS = [
    Metric("images", 1000),
    Metric("mpjpe", 86.2041, "mm", 12),
    Metric("pve", float("nan"), "mm", 0, reason="no record has a body"),
    Metric("silhouette_iou", float("inf")),
]


def test_table_is_aligned():
    lines = to_text(METRICS).splitlines()
    assert len(lines) == 5
    assert lines[2].split() == ["mpjpe", "86.204", "mm", "12"]
    end = lines[0].index("value") + len("value")
    assert all(
        line[:end].rstrip()[-1] in "0123456789-e" and line[end : end + 2].strip() == "" for line in lines
    )
    assert lines[3].endswith("(no record has a body)")
    assert "-" in lines[4].split()


def test_table_of_nothing_is_its_head():
    assert to_text([]).split() == ["metric", "value", "unit", "samples"]


def test_json_has_null_and_a_reason_for_what_is_not_finite():
    content = json.loads(to_json(METRICS, details={"step": np.int64(7), "losses": [1.5, float("nan")]}))
    assert content["step"] == 7
    assert content["losses"] == [1.5, None]
    assert content["metrics"]["mpjpe"] == {"value": 86.2041, "unit": "mm", "count": 12}
    assert content["metrics"]["pve"]["value"] is None
    assert content["metrics"]["pve"]["reason"] == "no record has a body"
    assert content["metrics"]["silhouette_iou"]["reason"] == "not a finite number: inf"


def test_metrics_of_the_same_name_are_refused():
    with pytest.raises(ValueError, match="different names"):
        to_json([Metric("a", 1.0), Metric("a", 2.0)])


def test_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "deep" / "metrics.json"
    write_json(path, METRICS[:2])
    write_json(path, METRICS[:1])
    assert list(json.loads(path.read_text())["metrics"]) == ["images"]
    assert os.listdir(path.parent) == ["metrics.json"]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "metrics.json"
    write_json(path, METRICS[:1])
    before = path.read_text()

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(UserError, match=r"metrics\.json: cannot be written \(No space left on device\)"):
        write_json(path, METRICS)
    assert path.read_text() == before
    assert os.listdir(tmp_path) == ["metrics.json"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_json(tmp_path / "file" / "metrics.json", METRICS)
