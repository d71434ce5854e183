"""Fixtures of the body tests."""

import pytest

from tests.body.body_files import random_tables, write_pickle


@pytest.fixture
def smpl_tables():
    return random_tables()


@pytest.fixture
def smpl_pickle(tmp_path, smpl_tables, monkeypatch):
    return write_pickle(tmp_path / "model.pkl", smpl_tables, monkeypatch)
