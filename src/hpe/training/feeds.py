"""How a system is fed, judged and drawn, by the kind of input that it takes.

This is the one place that knows of both systems and sources: what the trainer and the programs do with a run goes
through its `Feed`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from hpe import pipeline, systems
from hpe.inference.predictor import Predictor
from hpe.pipeline import PipelineConfig, PosePipelineConfig, Source
from hpe.pipeline.damage import translate_errors
from hpe.pipeline.images import USUAL
from hpe.visualization.grids import grid
from hpe.visualization.panels import pose_panel, prediction_panel

# Inputs of a batch whose predictions are drawn into the log.
_PANELS = 4


class Feed(Protocol):
    """One kind of input.

    Attributes:
        config: the dataclass of its pipeline's settings.
        unit: what a sample is called, for messages and progress bars.
    """

    config: type
    unit: str

    def open(
        self, data_dir: str | os.PathLike, names: Sequence[str], config: Any, *, verify: bool = False
    ) -> Source:
        """Finds datasets by name; UserError names the one that is absent or damaged."""
        ...

    def training_batches(
        self,
        source: Source,
        system: Any,
        *,
        batch_size: int,
        seed: int,
        start_step: int = 0,
        shard_index: int = 0,
        num_shards: int = 1,
    ) -> tf.data.Dataset:
        """Returns endless batches for a system: batch k is a function of (seed, k) and the data alone."""
        ...

    def explained(self, source: Source, mocap_files: Sequence[str]) -> contextlib.AbstractContextManager:
        """Returns a context for reading batches, in which errors name the damaged record."""
        ...

    def picture(self, predictor: Predictor, batch: Mapping[str, tf.Tensor]) -> np.ndarray:
        """Draws predictions of the first samples of a batch, (H, W, 3) uint8 RGB."""
        ...

    def panels(self, predictor: Predictor, source: Source, indices: Iterable[int]) -> dict[int, np.ndarray]:
        """Draws the predictions of the samples at some positions of a source, each (H, W, 3) uint8 RGB."""
        ...


class ImageFeed:
    """Crops of images: see `Feed` for the methods."""

    config = PipelineConfig
    unit = "image"

    def open(self, data_dir, names, config, *, verify=False) -> Source:
        """Finds the datasets; crops are made when batches are asked for."""
        return pipeline.open("image", data_dir, names, config, needs=USUAL, verify=verify)

    def training_batches(self, source, system, *, batch_size, seed, **place) -> tf.data.Dataset:
        """Returns the batches of `hpe.pipeline.images`."""
        return source.for_needs(system.needs).training_batches(batch_size=batch_size, seed=seed, **place)

    def explained(self, source, mocap_files):
        """Looks for damage in images and mocap frames."""
        return translate_errors(source.shards, mocap_files=mocap_files)

    def picture(self, predictor, batch) -> np.ndarray:
        """Draws one panel per image below each other."""
        images = batch["image"][:_PANELS].numpy()
        prediction = predictor(images)
        rows = [prediction_panel(image, prediction, index) for index, image in enumerate(images)]
        return grid(rows, columns=1)

    def panels(self, predictor, source, indices) -> dict[int, np.ndarray]:
        """Draws one panel per image."""
        crops = {index: batch["image"][0].numpy() for index, batch in source.samples(indices).items()}
        return {
            index: prediction_panel(crop, predictor.predict_one(crop), 0) for index, crop in crops.items()
        }


class PoseFeed:
    """2D joints in memory: see `Feed` for the methods."""

    config = PosePipelineConfig
    unit = "pose"

    def open(self, data_dir, names, config, *, verify=False) -> Source:
        """Reads all sequences."""
        return pipeline.open("joints2d", data_dir, names, config, needs=USUAL, verify=verify)

    def training_batches(self, source, system, **place) -> tf.data.Dataset:
        """Returns the batches of `hpe.pipeline.poses`."""
        return source.training_batches(**place)

    def explained(self, source, mocap_files):
        """Everything has been read and checked by the time a batch is made."""
        return contextlib.nullcontext()

    def picture(self, predictor, batch) -> np.ndarray:
        """Draws one panel per pose below each other."""
        prediction = predictor(batch["joints2d"][:_PANELS])
        truth = batch["joints3d"][:_PANELS].numpy()
        rows = [pose_panel(prediction, index, truth=truth[index]) for index in range(len(prediction))]
        return grid(rows, columns=1)

    def panels(self, predictor, source, indices) -> dict[int, np.ndarray]:
        """Draws one panel per pose."""
        pictures = {}
        for index, batch in source.samples(indices).items():
            truth = batch["joints3d"][0].numpy() if batch["joints3d_weight"][0, 0] > 0 else None
            pictures[index] = pose_panel(predictor(batch["joints2d"]), 0, truth=truth)
        return pictures


FEEDS: dict[str, Feed] = {"image": ImageFeed(), "joints2d": PoseFeed()}


def feed_of(system: str) -> Feed:
    """Returns the feed of a system by its name."""
    return FEEDS[systems.get(system).input_key]
