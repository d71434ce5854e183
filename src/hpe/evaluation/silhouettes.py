"""Metrics of silhouettes, of the whole picture and of the crop: accuracy, F1, intersection over union, distance."""

from __future__ import annotations

import numpy as np

from hpe.evaluation.judged import Judged
from hpe.evaluation.measure import Better, Family, MeanMeasure, Measure, Name, counted, unmeasured
from hpe.geometry.cameras import normalized_to_pixels, weak_perspective_project

PICTURE, CROP = "picture", "crop"
_PLACES = (PICTURE, CROP)
_FIELDS = ("silhouette", "silhouette_weight", "silhouette_file", "image_to_crop")

# Distances in pixels are reported for a crop of this size, whatever the network sees.
REPORTED_SIZE = 224.0


class _Pixels(Measure):
    """Numbers of pixels: person in both, predicted alone, true alone, in neither."""

    def __init__(self, name: Name):
        super().__init__()
        if name.protocol not in _PLACES:
            raise ValueError(
                f"{name.text}: silhouettes are compared @{' or @'.join(_PLACES)}. Received: {name.protocol}"
            )
        self._place = name.protocol

    def statistics(self, judged: Judged) -> np.ndarray:
        """Pixels (n, 4)."""
        needed = _FIELDS if self._place == PICTURE else _FIELDS[:2]
        if not judged.predicted_vertices() or not judged.has(*needed):
            return unmeasured(len(judged), 4)
        return judged.picture_overlaps if self._place == PICTURE else judged.crop_overlaps


class PixelAccuracy(_Pixels):
    """The fraction of the pixels of all pictures that agree."""

    def value(self, total: np.ndarray) -> float:
        """Pixels that agree by all pixels."""
        return float((total[0] + total[3]) / total.sum()) if total.sum() else float("nan")


class PixelF1(_Pixels):
    """The mean of 2TP / (2TP + FP + FN) of person and background over the pixels of all pictures together."""

    def value(self, total: np.ndarray) -> float:
        """NaN if person or background never occurs."""
        both, alone, missed, neither = total
        wrong = alone + missed
        if not both + wrong or not neither + wrong:
            return float("nan")
        return float(sum(2 * right / (2 * right + wrong) for right in (both, neither)) / 2)


class Overlap(_Pixels, MeanMeasure):
    """The mean over pictures of intersection over union."""

    def statistics(self, judged: Judged) -> np.ndarray:
        """The IoU of each picture and 1."""
        pixels = super().statistics(judged)
        return counted(pixels[:, 0] / pixels[:, :3].sum(axis=1))


class MeshLoss(MeanMeasure):
    """The mean over crops of the two-way distance between mesh and mask."""

    def __init__(self, name: Name):
        super().__init__()
        if name.protocol != CROP:
            raise ValueError(f"{name.text}: is measured @{CROP}. Received: {name.protocol}")

    def statistics(self, judged: Judged) -> np.ndarray:
        """Distances in pixels of a crop of 224, and 1."""
        if not judged.predicted_vertices() or not judged.has(*_FIELDS[:2]):
            return unmeasured(len(judged))
        import keras

        from hpe.losses.silhouette import mesh_reprojection

        masks = judged.batch["silhouette"] > 0
        usable = (judged.batch["silhouette_weight"] > 0) & masks.any(axis=(1, 2))
        projected = weak_perspective_project(judged.prediction.vertices, judged.prediction.camera)
        points = np.asarray(normalized_to_pixels(projected, judged.size), np.float32)
        _, distances = mesh_reprojection(
            *(keras.ops.convert_to_tensor(value) for value in (points, masks, usable.astype(np.float32)))
        )
        distances = keras.ops.convert_to_numpy(distances) * (REPORTED_SIZE / judged.size)
        return counted(np.where(usable, distances, np.nan))


FAMILIES = (
    Family(
        "silhouette_accuracy",
        "",
        Better.HIGHER,
        _FIELDS,
        _PLACES,
        "fraction of pixels that agree, over the pixels of all pictures",
        "SPIN's evaluation of UP-3D's masks of LSP: @picture, the whole picture as it is stored. @crop is that of "
        "the network's crop, whose wide border everybody gets right: not comparable with tables",
        PixelAccuracy,
    ),
    Family(
        "silhouette_f1",
        "",
        Better.HIGHER,
        _FIELDS,
        _PLACES,
        "mean of the F1 of person and background, over the pixels of all pictures",
        "as silhouette_accuracy",
        PixelF1,
    ),
    Family(
        "silhouette_iou",
        "",
        Better.HIGHER,
        _FIELDS,
        _PLACES,
        "mean over pictures of intersection over union of mesh and mask",
        "hybrid HMR",
        Overlap,
    ),
    Family(
        "mesh_loss",
        "px of 224",
        Better.LOWER,
        _FIELDS[:2],
        (CROP,),
        "mean over crops of the two-way distance between the projected mesh and the mask, pixels of a crop of 224",
        "hybrid HMR (its silhouette loss without its weight)",
        MeshLoss,
    ),
)
