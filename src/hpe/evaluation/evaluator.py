"""Measures a predictor over whole datasets, without augmentation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import keras
import numpy as np
from tqdm import tqdm

from hpe import skeletons
from hpe.evaluation import metrics
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
    """Metrics over all samples by name, and the result of every sample."""

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
            prediction = predictor(batch["image"])
            for row in range(int(batch["valid"].sum())):
                collected.add(batch, prediction, row)
                bar.update()
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
    """Measures sample by sample; means are taken over samples at the end."""

    def __init__(self, predictor: Predictor):
        self.system = predictor.system
        self.size = predictor.image_size
        self.samples: list[SampleResult] = []
        self._values: dict[str, list[float]] = {}
        self._coordinate_error = self._coordinate_count = 0.0
        self._pixels = metrics.SilhouetteAccumulator()
        skeleton = skeletons.get(predictor.system.skeleton)
        table = skeletons.convert(skeleton, skeletons.LSP14)
        self._to_lsp = table

    def add(self, batch: dict, prediction: Prediction, row: int) -> None:
        """Measures the person in `row` of a batch."""
        values = {
            **self._keypoints(batch, prediction, row),
            **self._silhouette(batch, prediction, row),
            **self._three_d(batch, prediction, row),
        }
        for name, value in values.items():
            self._values.setdefault(name, []).append(value)
        self.samples.append(
            SampleResult(
                index=len(self.samples),
                name=batch["name"][row].decode(errors="replace"),
                keypoint_loss=values.get("keypoint_loss"),
                mesh_loss=values.get("mesh_loss_px"),
                iou=values.get("silhouette_iou"),
                mpjpe=values.get("mpjpe_mm"),
            )
        )

    def _keypoints(self, batch, prediction, row):
        truth = batch["joints2d"][row]
        visible = truth[:, 2] > 0
        if not visible.any():
            return {}
        predicted = prediction.joints2d[row]
        self._coordinate_error += float(np.abs(predicted - truth[:, :2])[visible].sum())
        self._coordinate_count += 2.0 * float(visible.sum())
        values = {"keypoint_loss": metrics.keypoint_loss(predicted[None], truth[None])}
        lsp_truth, lsp_visible = self._lsp(truth[:, :2]), self._to_lsp.confidences(truth[:, 2]) > 0
        correct = metrics.pck(self._lsp(predicted)[None], lsp_truth[None], lsp_visible[None])
        if np.isfinite(correct):
            values["pck_0.2_torso"] = float(correct)
        return values

    def _silhouette(self, batch, prediction, row):
        mask = batch["silhouette"][row] > 0
        if prediction.vertices is None or not batch["has_silhouette"][row] or not mask.any():
            return {}
        vertices, camera = prediction.vertices[row], prediction.camera[row]
        points = normalized_to_pixels(weak_perspective_project(vertices[None], camera[None]), self.size)
        distance, _ = mesh_reprojection(
            keras.ops.convert_to_tensor(points), keras.ops.convert_to_tensor(mask[None]), np.ones(1, np.float32)
        )
        rendered = render(
            vertices, prediction.faces, weak_perspective_camera(camera, self.size), mask.shape
        ).mask
        self._pixels.add(rendered, mask)
        return {
            "mesh_loss_px": float(distance) * _REPORTED_SIZE / self.size,
            "silhouette_iou": float(metrics.silhouette_iou(rendered, mask)),
        }

    def _three_d(self, batch, prediction, row):
        values = {}
        if (self._to_lsp.confidences(batch["joints3d_weight"][row]) > 0).all():
            predicted, truth = self._lsp(prediction.joints3d[row]), self._lsp(batch["joints3d"][row])
            values["mpjpe_mm"] = float(metrics.mpjpe(predicted[None], truth[None])) * _MILLIMETRES
            values["pa_mpjpe_mm"] = float(metrics.pa_mpjpe(predicted[None], truth[None])) * _MILLIMETRES
        if batch["has_body"][row] and prediction.vertices is not None:
            truth = self.system.true_vertices(batch["pose"][row : row + 1], batch["shape"][row : row + 1])
            values["pve_mm"] = float(metrics.pve(prediction.vertices[row][None], truth)) * _MILLIMETRES
        return values

    def _lsp(self, joints):
        return self._to_lsp.coordinates(joints)

    def metrics(self) -> dict[str, float]:
        """Returns means over samples; the keypoint loss is a mean over coordinates, as in training."""
        summary: dict[str, float] = {"images": len(self.samples)}
        summary.update({name: float(np.mean(values)) for name, values in self._values.items()})
        if self._coordinate_count:
            summary["keypoint_loss"] = metrics.KEYPOINT_SCALE * self._coordinate_error / self._coordinate_count
        if "silhouette_iou" in summary:
            summary["images_with_mask"] = len(self._values["silhouette_iou"])
            summary["silhouette_accuracy"] = self._pixels.accuracy()
            summary["silhouette_f1"] = self._pixels.f1()
        if "mpjpe_mm" in summary:
            summary["images_with_3d"] = len(self._values["mpjpe_mm"])
        return summary
