"""Measures a predictor over whole datasets, without augmentation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
from tqdm import tqdm

from hpe import skeletons
from hpe.errors import SettingError, UserError
from hpe.evaluation import feasibility as feasibility_measures
from hpe.evaluation import metrics
from hpe.evaluation.feasibility import NO_REFERENCE, FeasibilityReference
from hpe.evaluation.keypoints import KeypointAccumulator
from hpe.evaluation.report import Metric
from hpe.evaluation.silhouettes import SilhouetteAccumulator, silhouette_iou
from hpe.geometry.cameras import normalized_to_pixels, weak_perspective_project
from hpe.inference.predictor import Predictor
from hpe.losses.silhouette import mesh_reprojection
from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.damage import translate_errors
from hpe.pipeline.images import EVERYTHING, evaluation_batches
from hpe.records.reading import DatasetShards
from hpe.systems.prediction import Prediction
from hpe.visualization.rasterizer import render_mask, weak_perspective_camera

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

    @property
    def error(self) -> float | None:
        """What samples are ranked by: the keypoint loss, or the MPJPE where there is none."""
        return self.mpjpe if self.keypoint_loss is None else self.keypoint_loss


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Metrics over all samples, and the result of every sample."""

    metrics: list[Metric]
    samples: list[SampleResult]

    def values(self) -> dict[str, float]:
        """Returns the measured metrics by name."""
        return {metric.name: metric.value for metric in self.metrics if metric.is_measured}


def evaluate_dataset(
    predictor: Predictor,
    shards: Sequence[DatasetShards],
    pipeline: PipelineConfig,
    *,
    batch_size: int,
    feasibility: FeasibilityReference | str = NO_REFERENCE,
    show_progress: bool = True,
) -> Evaluation:
    """Predicts every record of the datasets once, compares with all truth that it has, and judges the bodies.

    Args:
        predictor: the system to measure.
        shards: datasets of `hpe.records.reading.find_shards`.
        pipeline: crop size; augmentation is not used.
        batch_size: images per step; changes speed, not results.
        feasibility: motion capture that poses are compared with, or the reason why there is none.
        show_progress: draw a progress bar on stderr.

    Returns:
        An Evaluation. Metrics whose truth no record has are left out; those that need motion capture say why
        they could not be measured.

    Raises:
        UserError: there is no dataset, a record is damaged, or a prediction is not finite.
    """
    if not shards:
        raise SettingError("val_datasets", "names no dataset to validate on.")
    count = sum(dataset.count for dataset in shards)
    collected = _Collector(predictor, feasibility)
    system = predictor.system
    needs = dataclasses.replace(EVERYTHING, body_models=tuple(system.body_models), skeleton2d=system.skeleton)
    batches = evaluation_batches(shards, pipeline, batch_size=batch_size, needs=needs)
    bar = tqdm(total=count, unit="image", disable=not show_progress, dynamic_ncols=True, leave=False)
    with bar, translate_errors(shards):
        for batch in batches.as_numpy_iterator():
            valid = int(batch["valid"].sum())
            prediction = predictor(batch["image"])
            collected.add({key: value[:valid] for key, value in batch.items()}, prediction)
            bar.update(valid)
    return Evaluation(collected.metrics(), collected.samples)


class _Collector:
    """Measures batch by batch; NaN stands for what a sample has no truth for."""

    def __init__(self, predictor: Predictor, feasibility: FeasibilityReference | str):
        self._feasibility = feasibility
        self._bodies: list[dict[str, np.ndarray]] = []
        self._system = predictor.system
        self._size = predictor.image_size
        self._skeleton = ""
        self._pixels = SilhouetteAccumulator()
        self._columns: dict[str, list[np.ndarray]] = {}
        self._keypoints = KeypointAccumulator()
        self.samples: list[SampleResult] = []

    def add(self, batch: dict, prediction: Prediction) -> None:
        """Measures the people of a batch; the prediction may have more rows than the batch has people."""
        count = len(batch["name"])
        _require_finite(prediction, batch["name"])
        columns = {"keypoint_loss": self._keypoints.add(batch, prediction)}
        if prediction.joints3d is not None:
            columns |= self._joints3d(batch, prediction)
        if prediction.vertices is not None:
            if prediction.camera is not None:
                columns["mesh_loss"], columns["iou"] = self._silhouettes(batch, prediction)
            columns["pve"] = self._vertices(batch, prediction.vertices[:count])
        for name, values in columns.items():
            self._columns.setdefault(name, []).append(values)
        bodies = {"joints3d": prediction.joints3d, "rotmats": prediction.pose, "shape": prediction.shape}
        self._bodies.append({name: value[:count] for name, value in bodies.items() if value is not None})
        self._skeleton = prediction.joints3d_skeleton
        for row in range(count):
            measured = {
                name: float(columns[name][row])
                for name in ("keypoint_loss", "mesh_loss", "iou", "mpjpe")
                if name in columns and np.isfinite(columns[name][row])
            }
            name = batch["name"][row].decode(errors="replace")
            self.samples.append(SampleResult(len(self.samples), name, **measured))

    def _joints3d(self, batch, prediction):
        # The protocols are those of 14 joints, which every joint set knows.
        from_prediction = _to_lsp14(prediction.joints3d_skeleton)
        from_truth = _to_lsp14(prediction.skeleton)
        judged = (
            from_prediction.coordinates(prediction.joints3d[: len(batch["name"])]),
            from_truth.coordinates(batch["joints3d"]),
            from_truth.confidences(batch["joints3d_weight"]) * from_prediction.weights,
        )
        return {
            "mpjpe": _MILLIMETRES * metrics.mpjpe(*judged),
            "pa_mpjpe": _MILLIMETRES * metrics.pa_mpjpe(*judged),
        }

    def _silhouettes(self, batch, prediction):
        count = len(batch["name"])
        masks = batch["silhouette"] > 0
        usable = (batch["silhouette_weight"] > 0) & masks.any(axis=(1, 2))
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
            rendered = render_mask(vertices[row], prediction.faces, view, masks[row].shape)
            self._pixels.add(rendered, masks[row])
            overlaps[row] = silhouette_iou(rendered[None], masks[row][None])[0]
        return np.where(usable, distances, np.nan), overlaps

    def _vertices(self, batch, vertices):
        errors = np.full(len(vertices), np.nan)
        rows = np.flatnonzero(batch["pose_weight"] * batch["shape_weight"] > 0)
        if len(rows):
            truth = self._system.true_vertices(batch["pose"][rows], batch["shape"][rows])
            errors[rows] = _MILLIMETRES * metrics.pve(vertices[rows], truth)
        return errors

    def metrics(self) -> list[Metric]:
        """Returns means over the samples that have the truth; the keypoint loss is one over coordinates."""
        columns = {name: np.concatenate(parts) for name, parts in self._columns.items()}
        columns = {name: values[np.isfinite(values)] for name, values in columns.items()}
        summary = [Metric("images", len(self.samples)), *self._keypoints.metrics()]
        if len(columns.get("iou", ())):
            count = len(columns["iou"])
            summary += [
                Metric("mesh_loss", float(columns["mesh_loss"].mean()), "px of 224", count),
                Metric("silhouette_iou", float(columns["iou"].mean()), "", count),
                Metric("silhouette_accuracy", self._pixels.accuracy, "", count),
                Metric("silhouette_f1", self._pixels.f1, "", count),
            ]
        for name in ("mpjpe", "pa_mpjpe", "pve"):
            if len(columns.get(name, ())):
                summary.append(Metric(name, float(columns[name].mean()), "mm", len(columns[name])))
        return summary + self._judge_bodies()

    def _judge_bodies(self) -> list[Metric]:
        """Returns the metrics of feasibility; all bodies at once, since the search is quicker in large blocks."""
        if "joints3d" not in self._bodies[0]:
            return []
        bodies = {name: np.concatenate([part[name] for part in self._bodies]) for name in self._bodies[0]}
        columns = feasibility_measures.measure(skeleton=self._skeleton, reference=self._feasibility, **bodies)
        return feasibility_measures.summarize(columns, self._feasibility)


def _to_lsp14(skeleton: str) -> skeletons.Conversion:
    return skeletons.convert(skeletons.get(skeleton), skeletons.LSP14, missing=True)


def _require_finite(prediction: Prediction, names) -> None:
    """Raises UserError naming the first person whose prediction is not finite: left out, it would flatter."""
    fields = ("joints2d", "confidence", "joints3d", "vertices", "camera", "pose", "shape")
    arrays = [getattr(prediction, name) for name in fields]
    for row, name in enumerate(names):
        if not all(np.isfinite(array[row]).all() for array in arrays if array is not None):
            raise UserError(
                f"{name.decode(errors='replace')}: its prediction is not finite; training has diverged, so "
                f"take an earlier checkpoint."
            )
