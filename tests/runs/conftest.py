"""The records, examples and small system of the tests of training."""

from tests.training.conftest import data, examples

__all__ = ["data", "examples"]
