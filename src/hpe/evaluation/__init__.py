"""Metrics with their protocols, in NumPy, and one loop that judges any system: `judge`."""

from hpe.evaluation.judging import Evaluation, judge

__all__ = ["Evaluation", "judge"]
