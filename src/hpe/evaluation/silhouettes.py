"""Agreement of predicted silhouettes with true masks, as UP and SPIN measure it."""

from __future__ import annotations

import numpy as np


def silhouette_iou(predicted, target):
    """Intersection over union of predicted and true masks.

    Args:
        predicted: (..., H, W), not zero where the person is predicted.
        target: (..., H, W), not zero where the person is.

    Returns:
        (...) float64 in [0, 1]; NaN where both masks are empty.
    """
    predicted, target = _masks(predicted, target)
    intersection = (predicted & target).sum(axis=(-2, -1))
    union = (predicted | target).sum(axis=(-2, -1))
    return np.where(union > 0, intersection / np.maximum(union, 1), np.nan)


class SilhouetteAccumulator:
    """Pixel accuracy and F1 over all images together, as SPIN evaluates LSP's silhouettes.

    True and false positives and negatives are added up over all pixels of all images; F1 is the mean of that of
    the person and that of the background.
    """

    def __init__(self):
        self._both = self._predicted_only = self._target_only = self._neither = 0

    def add(self, predicted, target) -> None:
        """Counts the pixels of predicted and true masks (..., H, W), not zero where the person is."""
        predicted, target = _masks(predicted, target)
        self._both += int((predicted & target).sum())
        self._predicted_only += int((predicted & ~target).sum())
        self._target_only += int((~predicted & target).sum())
        self._neither += int((~predicted & ~target).sum())

    @property
    def accuracy(self) -> float:
        """The fraction of pixels that agree; NaN before the first image."""
        right, wrong = self._both + self._neither, self._predicted_only + self._target_only
        return right / (right + wrong) if right + wrong else float("nan")

    @property
    def f1(self) -> float:
        """The mean of 2TP / (2TP + FP + FN) of person and background; NaN if one of them never occurs."""
        wrong = self._predicted_only + self._target_only
        if not self._both + wrong or not self._neither + wrong:
            return float("nan")
        return sum(2 * right / (2 * right + wrong) for right in (self._both, self._neither)) / 2


def _masks(predicted, target):
    predicted, target = np.asarray(predicted) != 0, np.asarray(target) != 0
    if predicted.shape != target.shape or predicted.ndim < 2:
        raise ValueError(
            "masks must have the same shape (..., H, W). "
            f"Received: predicted={predicted.shape}, target={target.shape}"
        )
    return predicted, target
