"""Measures a predictor over whole datasets, without augmentation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import keras
import numpy as np
from tqdm import tqdm

from hpe.evaluation import metrics
from hpe.evaluation.silhouettes import SilhouetteAccumulator, silhouette_iou
from hpe.geometry.cameras import normalized_to_pixels, weak_perspective_project
from hpe.inference.predictor import Predictor
from hpe.losses.silhouette import mesh_reprojection
from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.damage import translate_errors
from hpe.pipeline.images import evaluation_batches
from hpe.prediction import Prediction
from hpe.records.reading import DatasetShards
from hpe.visualization.rasterizer import render, weak_perspective_camera

# Distances in pixels are reported for a crop of this size, whatever the network sees.
_REPORTED_SIZE = 224.0
_MILLIMETRES = 1000.0


@dataclasses.dataclass(frozen=True)
class SampleResult:
    """How well one person was recovered; None where the record has no such truth.

    Attributes:
        index: position in the datasets, in the order of their records.
        name: of the record.
        keypoint_loss: 60 times the mean absolute coordinate difference, normalised coordinates.
        mesh_loss: bidirectional mean distance between mesh and mask, pixels of a 224-pixel crop.
        iou: intersection over union of the rendered mesh and the mask.
        mpjpe: root-aligned joint error, mm.
    """

    index: int
    name: str
    keypoint_loss: float | None = None
    mesh_loss: float | None = None
    iou: float | None = None
    mpjpe: float | None = None


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Means over all samples by metric, and the result of every sample."""

    metrics: dict[str, float]
    samples: list[SampleResult]


def evaluate_dataset(
    predictor: Predictor,
    shards: Sequence[DatasetShards],
    pipeline: PipelineConfig,
    *,
    batch_size: int,
    show_progress: bool = True,
) -> Evaluation:
    """Predicts every record of the datasets once and compares with all truth that it has.

    Args:
        predictor: the system to measure.
        shards: datasets of `hpe.records.reading.find_shards`.
        pipeline: crop size; augmentation is not used.
        batch_size: images per step; changes speed, not results.
        show_progress: draw a progress bar on stderr.

    Returns:
        An Evaluation. Metrics whose truth no record has are left out.
    """
    count = sum(dataset.count for dataset in shards)
    collected = _Collector(predictor)
    bar = tqdm(total=count, unit="image", disable=not show_progress, dynamic_ncols=True, leave=False)
    with bar, translate_errors(shards):
        for batch in evaluation_batches(shards, pipeline, batch_size=batch_size).as_numpy_iterator():
            valid = int(batch["valid"].sum())
            prediction = predictor(batch["image"])
            collected.add({key: value[:valid] for key, value in batch.items()}, prediction)
            bar.update(valid)
    return Evaluation(collected.metrics(), collected.samples)


def crops_by_index(
    shards: Sequence[DatasetShards], pipeline: PipelineConfig, indices: Iterable[int]
) -> dict[int, np.ndarray]:
    """Returns the crops (S, S, 3), uint8 RGB, of the records at some positions of the datasets."""
    wanted = set(indices)
    crops = {}
    if not wanted:
        return crops
    for index, batch in enumerate(evaluation_batches(shards, pipeline, batch_size=1)):
        if index in wanted:
            crops[index] = batch["image"][0].numpy()
        if len(crops) == len(wanted):
            break
    return crops


class _Collector:
    """Measures batch by batch; NaN stands for what a sample has no truth for."""

    def __init__(self, predictor: Predictor):
        self._system = predictor.system
        self._size = predictor.image_size
        self._pixels = SilhouetteAccumulator()
        self._columns: dict[str, list[np.ndarray]] = {}
        self._hits: list[np.ndarray] = []
        self._visible: list[np.ndarray] = []
        self.samples: list[SampleResult] = []

    def add(self, batch: dict, prediction: Prediction) -> None:
        """Measures the people of a batch; the prediction may have more rows than the batch has people."""
        count = len(batch["name"])
        columns = {
            "keypoint_loss": self._keypoints(batch, prediction.joints2d[:count]),
            **self._joints3d(batch, prediction.joints3d[:count]),
        }
        if prediction.vertices is not None:
            columns["mesh_loss"], columns["iou"] = self._silhouettes(batch, prediction)
            columns["pve"] = self._vertices(batch, prediction.vertices[:count])
        for name, values in columns.items():
            self._columns.setdefault(name, []).append(values)
        for row in range(count):
            measured = {
                name: float(columns[name][row])
                for name in ("keypoint_loss", "mesh_loss", "iou", "mpjpe")
                if name in columns and np.isfinite(columns[name][row])
            }
            name = batch["name"][row].decode(errors="replace")
            self.samples.append(SampleResult(len(self.samples), name, **measured))

    def _keypoints(self, batch, joints2d):
        truth, visible = batch["joints2d"], batch["joints2d"][..., 2] > 0
        self._hits.append(metrics.pck_hits(joints2d, truth[..., :2], visible))
        self._visible.append(visible.sum(axis=1))
        losses = [metrics.keypoint_loss(*pair) for pair in zip(joints2d, truth, strict=True)]
        return np.where(visible.any(axis=1), losses, np.nan)

    def _joints3d(self, batch, joints3d):
        known = (batch["joints3d_weight"][:, : metrics.BODY_JOINTS] > 0).all(axis=1)
        return {
            name: np.where(known, _MILLIMETRES * error(joints3d, batch["joints3d"]), np.nan)
            for name, error in (("mpjpe", metrics.mpjpe), ("pa_mpjpe", metrics.pa_mpjpe))
        }

    def _silhouettes(self, batch, prediction):
        count = len(batch["name"])
        masks = batch["silhouette"] > 0
        usable = (batch["has_silhouette"] > 0) & masks.any(axis=(1, 2))
        vertices, cameras = prediction.vertices[:count], prediction.camera[:count]
        points = normalized_to_pixels(weak_perspective_project(vertices, cameras), self._size)
        _, distances = mesh_reprojection(
            keras.ops.convert_to_tensor(points.astype(np.float32)),
            keras.ops.convert_to_tensor(masks),
            keras.ops.convert_to_tensor(usable.astype(np.float32)),
        )
        distances = keras.ops.convert_to_numpy(distances) * (_REPORTED_SIZE / self._size)
        overlaps = np.full(count, np.nan)
        for row in np.flatnonzero(usable):
            view = weak_perspective_camera(cameras[row], self._size)
            rendered = render(vertices[row], prediction.faces, view, masks[row].shape).mask
            self._pixels.add(rendered, masks[row])
            overlaps[row] = silhouette_iou(rendered, masks[row])
        return np.where(usable, distances, np.nan), overlaps

    def _vertices(self, batch, vertices):
        errors = np.full(len(vertices), np.nan)
        rows = np.flatnonzero(batch["has_body"] > 0)
        if len(rows):
            truth = self._system.true_vertices(batch["pose"][rows], batch["shape"][rows])
            errors[rows] = _MILLIMETRES * metrics.pve(vertices[rows], truth)
        return errors

    def metrics(self) -> dict[str, float]:
        """Returns means over the samples that have the truth; the keypoint loss is one over coordinates."""
        columns = {name: np.concatenate(parts) for name, parts in self._columns.items()}
        measured = {name: np.isfinite(values) for name, values in columns.items()}
        hits, visible = np.concatenate(self._hits), np.concatenate(self._visible)
        summary: dict[str, float] = {"images": len(self.samples)}
        if visible.any():
            summary["keypoint_loss"] = float(
                np.average(np.nan_to_num(columns["keypoint_loss"]), weights=visible)
            )
        if np.isfinite(hits).any():
            summary["pck_0.2_torso"] = float(np.nanmean(hits))
        if measured.get("iou", np.zeros(1)).any():
            summary["images_with_mask"] = int(measured["iou"].sum())
            summary["mesh_loss_px"] = float(np.nanmean(columns["mesh_loss"]))
            summary["silhouette_iou"] = float(np.nanmean(columns["iou"]))
            summary["silhouette_accuracy"] = self._pixels.accuracy()
            summary["silhouette_f1"] = self._pixels.f1()
        if measured["mpjpe"].any():
            summary["images_with_3d"] = int(measured["mpjpe"].sum())
        for name in ("mpjpe", "pa_mpjpe", "pve"):
            if name in measured and measured[name].any():
                summary[f"{name}_mm"] = float(np.nanmean(columns[name]))
        return summary
