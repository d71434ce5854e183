"""Metrics with their protocols, in NumPy, and one loop that judges any system: `judge`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpe.evaluation.judging import Evaluation, judge

__all__ = ["Evaluation", "judge"]


def __getattr__(name: str):
    # The loop stands on the pipeline and its TensorFlow, names of metrics do not.
    if name not in __all__:
        raise AttributeError(f"module 'hpe.evaluation' has no attribute {name!r}")
    from hpe.evaluation import judging

    return getattr(judging, name)
