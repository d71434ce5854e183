"""A small trained run for the programs that need one."""

from __future__ import annotations

import types

import pytest

from hpe.programs import train
from tests.programs.running import run
from tests.written_people import write_people

# Compact, and eager so that nothing compiles; deterministic kernels would stay switched on for all tests to come.
SMALL = (
    "--datasets=people",
    "--val_datasets=people",
    "--mocap_datasets=random",
    "--encoder=small",
    "--encoder_weights=none",
    "--img_size=48",
    "--batch_size=4",
    "--eager",
    "--nodeterministic",
    "--nocompile_body",
)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """`data` and `run`: twelve box people, and a run of two steps over them with everything on."""
    folder = tmp_path_factory.mktemp("trained")
    write_people(folder / "data")
    run(
        train,
        *SMALL,
        f"--data_dir={folder / 'data'}",
        f"--model_dir={folder / 'run'}",
        "--use_mesh_repro_loss",
        "--max_steps=2",
        "--checkpoint_steps=1",
    )
    return types.SimpleNamespace(data=folder / "data", run=folder / "run")
