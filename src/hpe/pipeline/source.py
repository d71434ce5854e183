"""What is read in training and evaluation: datasets that are open, one kind of object for every kind of input."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from hpe.fields import Needs

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from hpe.records.reading import DatasetShards

    Tensors = Mapping[str, tf.Tensor]


class Source(Protocol):
    """Datasets that are open. A batch is a dict of the fields of `hpe.fields`, with an axis for its samples first.

    Attributes:
        unit: what a sample is called in messages and progress bars: `image` or `pose`.
        count: number of samples; an epoch is `count // batch_size` steps.
        shards: the files that are read.
        needs: the fields of its batches and the joint sets of their joints.
    """

    unit: str
    count: int
    shards: Sequence[DatasetShards]
    needs: Needs

    def for_needs(self, needs: Needs) -> Source:
        """Returns a source of the same samples whose batches hold what is needed, as far as it can be had."""
        ...

    def statistics(self) -> Mapping[str, np.ndarray]:
        """Returns what a system may want to know of the training data, see `hpe.systems.base.Trains.adapt`."""
        ...

    def training_batches(
        self,
        *,
        batch_size: int,
        seed: int,
        start_step: int = 0,
        shard_index: int = 0,
        num_shards: int = 1,
    ) -> tf.data.Dataset:
        """Returns endless augmented batches: batch k is a function of (seed, k) and the data alone.

        Args:
            batch_size: B, samples of a batch, of all readers together.
            seed: of order and augmentation.
            start_step: number of the first batch.
            shard_index: which of several readers this is.
            num_shards: number of readers.

        Raises:
            UserError: the batch does not divide, or the datasets do not fill it.
        """
        ...

    def evaluation_batches(self, *, batch_size: int) -> tf.data.Dataset:
        """Returns every sample once, in order, without augmentation.

        The last batch is filled up with zeros, of which `valid` is 0.
        """
        ...

    def samples(self, indices: Iterable[int]) -> dict[int, Tensors]:
        """Returns the samples at some positions as batches of one, and reads little else."""
        ...

    def explaining(self) -> contextlib.AbstractContextManager:
        """Returns a context for reading batches: what TensorFlow says of a damaged record becomes a UserError."""
        ...
