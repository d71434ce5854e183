"""Fixtures shared by all tests."""

import os
import pathlib
import warnings

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

PROJECT_ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> pathlib.Path:
    """The folder with the public datasets; tests that need it are skipped, loudly, where it is absent."""
    path = pathlib.Path(os.environ.get("HPE_DATA", PROJECT_ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        message = f"no datasets at {path} (set HPE_DATA to their folder): this check did not run"
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    return path
