"""What 2D joints are measured by, summed up over a dataset: keypoint loss, PCK and PCKh."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hpe import skeletons
from hpe.evaluation import metrics
from hpe.evaluation.report import Metric
from hpe.systems.prediction import Prediction

_PCK = "pck_0.2_torso"
_PCKH = {"pckh_0.5": 0.5, "pckh_0.1": 0.1}
_MEAN = "Mean"


class KeypointAccumulator:
    """Takes batches, and gives their metrics at the end; what no sample can be measured by is left out."""

    def __init__(self):
        self._sum = self._count = 0.0
        self._measured = 0
        self._hits: dict[str, list[np.ndarray]] = {}
        self._skeleton = None
        self._by_joint = False

    def add(self, batch: Mapping[str, np.ndarray], prediction: Prediction) -> np.ndarray:
        """Measures the people of a batch; the prediction may have more rows than the batch has people.

        Returns:
            (N,) keypoint loss of every person, NaN without a label.
        """
        truth, weight = batch["joints2d"], batch["joints2d_weight"]
        joints2d = prediction.joints2d[: len(truth)]
        sums, counts = metrics.keypoint_errors(joints2d, truth, weight)
        self._sum += float(sums.sum())
        self._count += float(counts.sum())
        self._measured += int((counts > 0).sum())
        # Faces do not count in the published tables of the 19 keypoints.
        whole = prediction.skeleton != skeletons.COCOPLUS19.name
        self._skeleton = skeletons.get(prediction.skeleton) if whole else skeletons.LSP14
        # Where 2D joints are all there is to be seen, every kind of joint is told apart.
        self._by_joint = prediction.confidence is not None
        judged = (joints2d, truth, weight)
        skeleton = self._skeleton if whole else None
        self._add_hits(_PCK, metrics.pck_hits(*judged, skeleton=skeleton))
        if "head_size" in batch:
            # In pixels there, and coordinates span 2.
            heads = batch["head_size"] * 2.0 / batch["image"].shape[1]
            for name, fraction in _PCKH.items():
                hits = metrics.pckh_hits(*judged, heads, fraction=fraction, skeleton=skeleton)
                self._add_hits(name, hits)
        return metrics.KEYPOINT_LOSS_SCALE * np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)

    def _add_hits(self, name: str, hits: np.ndarray) -> None:
        self._hits.setdefault(name, []).append(hits)

    def metrics(self) -> list[Metric]:
        """Returns the keypoint loss, one mean over all coordinates, and the fractions of correct joints."""
        summary = []
        if self._count:
            loss = metrics.KEYPOINT_LOSS_SCALE * self._sum / self._count
            summary.append(Metric("keypoint_loss", loss, "60 x mean |x|", self._measured))
        for name, parts in self._hits.items():
            hits = np.concatenate(parts)
            judged = int(np.isfinite(hits).any(axis=1).sum())
            if not judged:
                continue
            groups = metrics.pck_groups(hits, self._skeleton)
            summary.append(Metric(name, groups.pop(_MEAN), "", judged))
            if self._by_joint:
                summary += [
                    Metric(f"{name}/{group}", value, "", judged)
                    for group, value in groups.items()
                    if np.isfinite(value)
                ]
        return summary
