"""A new system is one file, a new dataset one more: the programs take both as they take the package's own."""

import json
import os
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest

from tests.conftest import PROJECT_ROOT

HERE = pathlib.Path(__file__).parent
PLUGINS = f"--plugins={HERE / 'toy_system.py'},{HERE / 'toy_dataset.py'}"
TRAIN = ("--system=toy", "--batch_size=8", "--num_epochs=2", "--generator_lr=0.01", "--checkpoint_steps=3")


def programs(folder, *commands):
    """Runs commands of `hpe`, with the plugins, in one process."""
    commands = [[name, PLUGINS, *arguments] for name, *arguments in commands]
    paths = [str(PROJECT_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    result = subprocess.run(
        [sys.executable, "-m", "tests.house.in_turn", json.dumps(commands)],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": os.pathsep.join(paths)},
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_a_system_of_one_file_goes_through_all_programs(tmp_path):
    picture = np.full((40, 60, 3), 99, np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), picture)
    programs(
        tmp_path,
        ("create-datasets", "--toy=32", "--num_workers=1"),
        ("train", *TRAIN, "--max_steps=4", "--model_dir=whole"),
        # Stopped after 3 steps and resumed, it ends with the same weights.
        ("train", *TRAIN, "--max_steps=3", "--model_dir=parts"),
        ("train", "--resume", "--max_steps=4", "--model_dir=parts"),
    )
    # In a process that has read the plugins for no other program.
    programs(
        tmp_path,
        ("preview", "--checkpoint=whole", "--input=photo.png", "--output=out"),
        ("export", "--checkpoint=whole", "--format=saved_model", "--output=model"),
        ("validate", "--checkpoint=whole", "--output=whole_report"),
        ("validate", "--checkpoint=parts", "--output=parts_report"),
    )
    manifest = json.loads((tmp_path / "data/toy_train.manifest.json").read_text())
    assert manifest["fields"]["toy_distance"] == 32

    log = [json.loads(line) for line in (tmp_path / "whole/history.jsonl").read_text().splitlines()]
    assert any("loss/distance_loss" in str(line) for line in log)

    reports = [
        json.loads((tmp_path / f"{name}_report/metrics.json").read_text()) for name in ("whole", "parts")
    ]
    assert "keypoint_loss@lsp14" in json.dumps(reports[0])
    assert reports[0]["metrics"] == reports[1]["metrics"]
    assert cv2.imread(str(tmp_path / "out/photo.png")) is not None
    assert (tmp_path / "model/saved_model.pb").is_file()


def test_the_page_shows_the_files_as_they_are():
    page = (HERE.parent.parent / "docs/add_a_system.md").read_text()
    assert (HERE / "toy_system.py").read_text() in page
