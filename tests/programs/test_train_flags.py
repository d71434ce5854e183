"""Flags of train that go by two names."""

import json
import subprocess
import sys

import pytest

_READ = """
import json, sys
from absl import flags
from hpe.programs import train
train.define_flags()
flags.FLAGS(sys.argv)
config = train.read_config()
print(json.dumps([config.model.smpl_model_path, flags.FLAGS["smpl_model_path"].present]))
"""


@pytest.mark.parametrize("name", ["smpl_model_path", "body_model"])
def test_the_body_model_goes_by_both_names(name):
    command = [sys.executable, "-c", _READ, f"--{name}=somewhere/model.pkl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == ["somewhere/model.pkl", 1]
