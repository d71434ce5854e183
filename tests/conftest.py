"""Fixtures shared by all tests."""

import os
import pathlib
import warnings

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

PROJECT_ROOT = pathlib.Path(__file__).resolve().parent.parent
# Seconds that a process may take which trains or compiles: many times what it needs, for a machine that is busy.
PATIENCE = 1800

# `make test` runs several processes, one per core; what they start inherits these settings.
WORKER = os.environ.get("PYTEST_XDIST_WORKER")
if WORKER:
    # Else each would start as many threads as there are cores, which then wait for one another.
    for name in (
        "TF_NUM_INTRAOP_THREADS",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "OPENCV_FOR_THREADS_NUM",
    ):
        os.environ.setdefault(name, "1")
    # Numba numbers the files of its cache without a lock: processes that compile a function for different types
    # at the same time could take the same number, and one would load the code of the other.
    os.environ.setdefault("NUMBA_CACHE_DIR", str(PROJECT_ROOT / ".pytest_cache" / f"numba-{WORKER}"))

# Half a minute and more of computing each: most start other processes that compile, one builds dozens of pipelines.
LONGEST = (
    "training/test_distribution.py",
    "test_on_jax.py",
    "pipeline/test_images.py",
    "training/test_resume.py",
    "systems/test_on_jax.py",
    "house/test_new_system.py",
)


def pytest_collection_modifyitems(config, items):
    """Puts the longest files first where processes share the files: none is left over at the end."""
    if hasattr(config, "workerinput"):
        longest = [PROJECT_ROOT / "tests" / path for path in LONGEST]
        items.sort(key=lambda item: longest.index(item.path) if item.path in longest else len(longest))


@pytest.fixture(scope="session")
def data_dir() -> pathlib.Path:
    """The folder with the public datasets; tests that need it are skipped, loudly, where it is absent."""
    path = pathlib.Path(os.environ.get("HPE_DATA", PROJECT_ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        message = f"no datasets at {path} (set HPE_DATA to their folder): this check did not run"
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    return path
