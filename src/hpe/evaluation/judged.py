"""A batch and what a system says of it, side by side: what all measures look at, worked out once per batch."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from hpe.skeletons import Conversion, Skeleton, convert, get
from hpe.systems.prediction import Prediction


@dataclasses.dataclass(frozen=True)
class Judged:
    """The samples of a batch, without those that only fill it up, and the prediction of each.

    Attributes:
        batch: fields by key, NumPy; see docs/fields.md.
        prediction: with as many rows.
        system: that made it.
        skeleton2d: joint set of the batch's 2D joints.
        skeleton3d: joint set of its 3D joints.
        size: side of the crops in pixels; None without images.
    """

    batch: Mapping[str, np.ndarray]
    prediction: Prediction
    system: Any
    skeleton2d: str
    skeleton3d: str
    size: int | None = None

    def __len__(self) -> int:
        return len(self.batch["name"])

    def has(self, *keys: str) -> bool:
        """Whether the batch has these fields."""
        return all(key in self.batch for key in keys)

    def true_bodies(self, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        """Returns pose and shape of some rows and, for a system of several body models, the names of theirs."""
        several = len(self.system.body_models) > 1 and "body_model" in self.batch
        keys = ("pose", "shape", "body_model") if several else ("pose", "shape")
        return tuple(self.batch[key][rows] for key in keys)

    def predicted_vertices(self) -> bool:
        """Whether there are meshes that can be laid over the crops."""
        return self.prediction.vertices is not None and self.prediction.camera is not None

    @functools.cached_property
    def crop_masks(self) -> tuple[np.ndarray, np.ndarray]:
        """True and predicted masks of the crops, (n, S, S) bool each; empty where there is no true one."""
        from hpe.evaluation.masks import masks_of_crops

        return masks_of_crops(self)

    @functools.cached_property
    def crop_overlaps(self) -> np.ndarray:
        """Pixels of the crops (n, 4): person in both, predicted alone, true alone, in neither; else NaN."""
        from hpe.evaluation.masks import overlaps

        return np.stack([overlaps(*pair) for pair in zip(*self.crop_masks, strict=True)])

    @functools.cached_property
    def picture_overlaps(self) -> np.ndarray:
        """The same of the whole pictures as they are stored."""
        from hpe.evaluation.masks import overlaps_of_pictures

        return overlaps_of_pictures(self)


def conversion(source: str, target: Skeleton, *, stand_ins: bool) -> Conversion:
    """Returns how joints of a set become those of a protocol; what is missing has weight 0."""
    return convert(get(source), target, missing=True, stand_ins=stand_ins)


def sliced(prediction: Prediction, count: int) -> Prediction:
    """Returns the first predictions of a batch that was filled up."""
    per_sample = ("joints2d", "joints3d", "camera", "vertices", "pose", "shape", "confidence")
    values = {name: getattr(prediction, name) for name in per_sample}
    maps = {name: layers[:count] for name, layers in prediction.maps.items()}
    return dataclasses.replace(
        prediction, maps=maps, **{name: value[:count] for name, value in values.items() if value is not None}
    )
