"""What MoveNet sees in the crops of records, computed once and read again by a training that leaves MoveNet alone.

Arrays lie in a folder as .npy, a row for each crop. Maps are kept as bytes: 150 kB a crop of 192 pixels.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow as tf
import tqdm

from hpe.fields import Needs
from hpe.files import Replacement
from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.image_source import ImageSource
from hpe.records.reading import find_shards

LABELS = (
    *("joints2d", "joints2d_weight", "joints3d", "joints3d_weight"),
    *("pose", "pose_weight", "shape", "shape_weight", "silhouette_weight"),
)
_BATCH = 16
_SEED = 7
# Maps' values between these quantiles of the first crops, and a tenth of their spread on either side, become bytes.
_QUANTILES, _MARGIN = (0.0005, 0.9995), 0.1


def compute(folder: pathlib.Path, data_dir, dataset: str, *, lightning, thunder, copies: int) -> None:
    """Writes the features of a dataset's crops as training makes them, unless they are there.

    Args:
        folder: of all features; the dataset's have one of their own in it.
        data_dir: folder of the records.
        dataset: its name.
        lightning: system whose evidence is wanted, see `MoveNetBody.observe`.
        thunder: system whose joints are wanted of the same crops, see `MoveNetBody.detect`.
        copies: crops of each person, all of them different.
    """
    done = folder / dataset / "done"
    if done.exists():
        return
    (folder / dataset).mkdir(parents=True, exist_ok=True)
    writer = _Writer(folder / dataset)
    rows = copies * _source(data_dir, dataset, lightning).count // _BATCH * _BATCH
    observe = tf.function(lightning.observe)
    for batch in tqdm.tqdm(_batches(data_dir, dataset, lightning, rows), desc=dataset, total=rows // _BATCH):
        seen = {name: value.numpy() for name, value in observe(batch["image"]).items()}
        low, span = _range(folder, seen["maps"])
        writer.put("maps", np.clip(np.rint((seen["maps"] - low) / span), 0, 255).astype(np.uint8), rows)
        writer.put("pooled", seen["pooled"].astype(np.float16), rows)
        writer.put("detections", seen["detections"], rows)
        mask = batch["silhouette"].numpy().reshape(_BATCH, -1) > 0
        writer.put("silhouette", np.packbits(mask, axis=1), rows)
        for name in LABELS:
            writer.put(name, batch[name].numpy(), rows)
    detect = tf.function(thunder.detect)
    for batch in tqdm.tqdm(_batches(data_dir, dataset, thunder, rows), desc="Thunder", total=rows // _BATCH):
        writer.put("thunder", detect(batch["image"]).numpy(), rows)
    writer.close()
    done.touch()


class Features:
    """Rows of the features of several datasets, one after the other.

    Args:
        folder: that `compute` was given.
        datasets: their names.
        size: side of the crops of the masks in pixels.
    """

    def __init__(self, folder: pathlib.Path, datasets: Iterable[str], *, size: int):
        self._low, self._span = _range(folder)
        self._size = size
        self._parts = [
            {path.stem: np.load(path, mmap_mode="r") for path in (folder / name).glob("*.npy")}
            for name in datasets
        ]
        self._ends = np.cumsum([len(part["maps"]) for part in self._parts])
        self.count = int(self._ends[-1])

    def rows(self, indices) -> dict[str, np.ndarray]:
        """Returns float32 arrays by name, as `compute` has them, and `silhouette` (N, S, S) uint8."""
        found: dict[str, list] = {}
        for index in indices:
            part = int(np.searchsorted(self._ends, index, side="right"))
            row = index - (self._ends[part - 1] if part else 0)
            for name, array in self._parts[part].items():
                found.setdefault(name, []).append(array[row])
        batch = {name: np.stack(values) for name, values in found.items()}
        masks = np.unpackbits(batch.pop("silhouette"), axis=1).reshape(-1, self._size, self._size)
        batch = {name: values.astype(np.float32) for name, values in batch.items()}
        batch["maps"] = batch["maps"] * self._span + self._low
        return batch | {"silhouette": masks}


def _source(data_dir, dataset: str, system) -> ImageSource:
    config = PipelineConfig(
        img_size=system.image_size, rotation_max=30.0, trans_max=16, scale_min=0.82, scale_max=1.2
    )
    fields = ("image", "joints2d", "silhouette", "pose", "shape", "joints3d")
    needs = Needs(fields=fields, skeleton2d=system.skeleton, body_models=system.body_models)
    return ImageSource(find_shards(data_dir, [dataset]), config, needs)


def _batches(data_dir, dataset: str, system, rows: int) -> Iterable[Mapping[str, tf.Tensor]]:
    # One seed: both versions see the same crops, at different sizes.
    batches = _source(data_dir, dataset, system).training_batches(batch_size=_BATCH, seed=_SEED)
    return batches.take(rows // _BATCH)


def _range(folder: pathlib.Path, maps: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Returns what byte 0 stands for, and a step, for each channel; of the first maps where there is no file."""
    path = folder / "range.npz"
    if maps is not None and not path.exists():
        values = maps.reshape(-1, maps.shape[-1])
        low, high = np.quantile(values, _QUANTILES, axis=0)
        margin = _MARGIN * (high - low) + 1e-3
        with Replacement(path) as temporary:
            np.savez(temporary, low=low - margin, step=(high - low + 2 * margin) / 255)
    with np.load(path) as stored:
        return stored["low"].astype(np.float32), stored["step"].astype(np.float32)


class _Writer:
    def __init__(self, folder: pathlib.Path):
        self._folder, self._arrays, self._rows = folder, {}, {}

    def put(self, name: str, values: np.ndarray, total: int) -> None:
        if name not in self._arrays:
            shape = (total, *values.shape[1:])
            self._arrays[name] = np.lib.format.open_memmap(
                self._folder / f"{name}.npy", mode="w+", dtype=values.dtype, shape=shape
            )
            self._rows[name] = 0
        first = self._rows[name]
        self._arrays[name][first : first + len(values)] = values
        self._rows[name] += len(values)

    def close(self) -> None:
        for array in self._arrays.values():
            array.flush()
