"""docs/own_data.md does what it says: its Python draws the data, its commands turn it into records and a run."""

import contextlib
import importlib
import json
import pathlib
import re
import shlex

import cv2
import numpy as np

from tests.programs.running import run

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "own_data.md"
PROGRAMS = {"create_datasets", "train", "preview", "show_records"}
# Eager, so that nothing compiles; deterministic kernels would stay switched on for all tests to come.
QUICK = ("--eager", "--nodeterministic", "--nocompile_body")


def test_the_page_on_own_data_is_true(tmp_path, capsys):
    blocks = re.findall(r"```(python|console)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    ran = []
    with contextlib.chdir(tmp_path):
        for language, text in blocks:
            if language == "python":
                exec(compile(text, str(PAGE), "exec"), {})
                continue
            for line in text.strip().splitlines():
                python, option, module, *flags = shlex.split(line)
                assert (python, option) == ("python", "-m")
                name = module.rpartition(".")[2]
                flags += QUICK if name == "train" else ()
                run(importlib.import_module(f"hpe.programs.{name}"), *flags)
                ran.append(name)
        out = capsys.readouterr().out
        assert set(ran) == PROGRAMS
        assert re.search(r"own_train +16 +16 +16 +0", out)
        assert re.search(r"own_val +4 +4 +4 +0", out)
        assert len(list((tmp_path / "mydata" / "preview").glob("*.png"))) == 20
        assert cv2.imread("mydata/records.png") is not None
        annotations = json.loads((tmp_path / "mydata" / "annotations.json").read_text())["annotations"]
        assert np.reshape(annotations[0]["keypoints"], (-1, 3)).shape == (19, 3)
