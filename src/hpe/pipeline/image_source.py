"""Datasets of people in images that are open for training or evaluation, see `hpe.pipeline.Source`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from hpe.fields import Needs
from hpe.pipeline import damage, images
from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.spec import DatasetSpec
from hpe.records.reading import DatasetShards, read_person


class ImageSource:
    """Datasets of images; crops are made when batches are asked for.

    Args:
        shards: of `hpe.records.reading.find_shards`.
        config: crop size, augmentation, shuffling.
        needs: which fields are wanted, and in which joint sets.
        specs: of the datasets, their shares and their own settings; None for none.
    """

    unit = "image"

    def __init__(
        self,
        shards: Sequence[DatasetShards],
        config: PipelineConfig,
        needs: Needs,
        specs: Sequence[DatasetSpec] | None = None,
    ):
        self.shards = shards
        self.specs = specs
        self.config = config
        self.needs = needs
        self.count = sum(dataset.count for dataset in shards)

    def for_needs(self, needs: Needs) -> ImageSource:
        """Returns a source of the same records with other fields, or joints of other sets."""
        return ImageSource(self.shards, self.config, needs, self.specs)

    def statistics(self) -> dict[str, np.ndarray]:
        """Nothing: backbones normalise images by constants."""
        return {}

    def training_batches(self, *, batch_size: int, seed: int, **place) -> tf.data.Dataset:
        """Returns endless augmented batches, see `hpe.pipeline.images.training_batches`."""
        return images.training_batches(
            self.shards,
            self.config,
            needs=self.needs,
            specs=self.specs,
            batch_size=batch_size,
            seed=seed,
            **place,
        )

    def evaluation_batches(self, *, batch_size: int) -> tf.data.Dataset:
        """Returns every record once, see `hpe.pipeline.images.evaluation_batches`."""
        return images.evaluation_batches(self.shards, self.config, needs=self.needs, batch_size=batch_size)

    def samples(self, indices: Iterable[int]) -> dict[int, dict[str, tf.Tensor]]:
        """Returns the records at some positions as batches of one; all others are passed over unread."""
        found = {}
        for index in indices:
            serialized = tf.constant([read_person(self.shards, index)])
            found[index] = images.plain_batch(serialized, self.config, needs=self.needs)
        return found

    def explaining(self) -> contextlib.AbstractContextManager:
        """Returns a context in which errors of reading name the damaged record."""
        return damage.translate_errors(self.shards)
