"""hpe.load from a run of the trainer: what it brings along, and what it knows."""

import subprocess
import sys

import numpy as np

import hpe

_COUNT = """
import sys
import hpe
model = hpe.load(sys.argv[1])
model.predict(__import__("numpy").zeros((60, 50, 3), "uint8"))
print(*sorted(name for name in sys.modules if name.startswith("hpe.")))
"""


def test_loading_imports_nothing_that_trains(trained):
    """A service that predicts carries no pipeline, no datasets and no trainer with it."""
    done = subprocess.run(
        [sys.executable, "-c", _COUNT, str(trained.run)], capture_output=True, text=True, check=True
    )
    modules = done.stdout.split()
    above = {"training", "pipeline", "datasets", "synthetic", "records", "evaluation", "programs"}
    assert not [name for name in modules if name.split(".")[1] in above]
    assert len(modules) < 100, len(modules)


def test_a_run_is_loaded_and_predicts(trained):
    model = hpe.load(trained.run)
    assert (model.name, model.step, model.box_share) == ("hybrid_hmr", 2, 0.8)
    assert repr(model) == "<hpe.Model hybrid_hmr at step 2>"
    (person,) = model.predict(np.zeros((60, 50, 3), np.uint8))
    assert person.vertices.shape == (6000, 3)
    assert isinstance(hpe.list_models(), list)
