"""convert_body_model: a SMPL pickle becomes an npz of the same body."""

import os
import subprocess
import sys

import numpy as np
import pytest

from hpe.body.data import load_body_model
from hpe.errors import UserError
from hpe.programs.convert_body_model import ConvertConfig, convert
from tests.body.body_files import random_tables, write_pickle
from tests.conftest import PROJECT_ROOT


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "hpe.programs.convert_body_model", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT_ROOT,
        env=dict(os.environ, PYTHONPATH=str(PROJECT_ROOT / "src")),
    )


def test_the_command_converts_a_pickle(tmp_path, monkeypatch):
    pickle_file = write_pickle(tmp_path / "model.pkl", random_tables(), monkeypatch)
    done = run(f"--input={pickle_file}", f"--output={tmp_path / 'model.npz'}")
    assert done.returncode == 0, done.stderr
    assert "60 vertices, 80 faces, 10 shape components, 207 pose correctives" in done.stdout
    before, after = load_body_model(pickle_file), load_body_model(tmp_path / "model.npz")
    np.testing.assert_array_equal(after.shape_dirs, before.shape_dirs)
    np.testing.assert_array_equal(
        after.keypoint_regressors["cocoplus19"], before.keypoint_regressors["cocoplus19"]
    )


def test_the_command_refuses_a_pickle_that_runs_code_in_one_line(tmp_path):
    (tmp_path / "evil.pkl").write_bytes(b"cos\nsystem\n(S'touch was_here'\ntR.")
    done = run(f"--input={tmp_path / 'evil.pkl'}", f"--output={tmp_path / 'model.npz'}")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path / 'evil.pkl'}: refused, because it holds os.system")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "model.npz").exists()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ConvertConfig(output="a.npz"), "input: is missing"),
        (ConvertConfig(input="a.pkl", output="b.pkl"), "output=b.pkl: must name a file ending in .npz"),
        (ConvertConfig(input="none.pkl", output="b.npz"), "none.pkl: no such body model file"),
    ],
)
def test_wrong_flags_say_which(config, message):
    with pytest.raises(UserError, match=message):
        convert(config)
