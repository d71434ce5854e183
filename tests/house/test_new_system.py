"""A new system is one file, a new dataset one more: the programs take both as they take the package's own."""

import json
import os
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest

HERE = pathlib.Path(__file__).parent
PLUGINS = f"--plugins={HERE / 'toy_system.py'},{HERE / 'toy_dataset.py'}"
TRAIN = ("--system=toy", "--batch_size=8", "--num_epochs=2", "--generator_lr=0.01", "--checkpoint_steps=3")


def program(name, *arguments, folder):
    result = subprocess.run(
        [sys.executable, "-m", f"hpe.programs.{name}", PLUGINS, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1"},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.slow
def test_a_system_of_one_file_goes_through_all_programs(tmp_path):
    program("create_datasets", "--toy=32", "--num_workers=1", folder=tmp_path)
    manifest = json.loads((tmp_path / "data/toy_train.manifest.json").read_text())
    assert manifest["fields"]["toy_distance"] == 32

    program("train", *TRAIN, "--max_steps=4", "--model_dir=whole", folder=tmp_path)
    log = [json.loads(line) for line in (tmp_path / "whole/history.jsonl").read_text().splitlines()]
    assert any("loss/distance_loss" in str(line) for line in log)

    # Stopped after 3 steps and resumed, it ends with the same weights.
    program("train", *TRAIN, "--max_steps=3", "--model_dir=parts", folder=tmp_path)
    program("train", "--resume", "--max_steps=4", "--model_dir=parts", folder=tmp_path)
    for name in ("whole", "parts"):
        program("validate_checkpoint", f"--checkpoint={name}", f"--output={name}_report", folder=tmp_path)
    reports = [
        json.loads((tmp_path / f"{name}_report/metrics.json").read_text()) for name in ("whole", "parts")
    ]
    assert "keypoint_loss@lsp14" in json.dumps(reports[0])
    assert reports[0]["metrics"] == reports[1]["metrics"]

    picture = np.full((40, 60, 3), 99, np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), picture)
    program("preview", "--checkpoint=whole", "--input=photo.png", "--output=out", folder=tmp_path)
    assert cv2.imread(str(tmp_path / "out/photo.png")) is not None
    program("export", "--checkpoint=whole", "--format=saved_model", "--output=model", folder=tmp_path)
    assert (tmp_path / "model/saved_model.pb").is_file()


def test_the_page_shows_the_files_as_they_are():
    page = (HERE.parent.parent / "docs/add_a_system.md").read_text()
    assert (HERE / "toy_system.py").read_text() in page
