"""A dataset that is ready to be read: small items, and a function that makes a Sample of each in any process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from hpe.datasets.sample import Sample, Skipped


@dataclasses.dataclass(frozen=True)
class Source:
    """The people of one dataset.

    Attributes:
        name: name of the dataset, such as `lsp_train`.
        skeleton: joint set that it is annotated in, see `hpe.skeletons`.
        items: one small, picklable value per person.
        load: picklable function that reads one of them from disk.
        options: what the dataset is made from, for the manifest.
    """

    name: str
    skeleton: str
    items: Sequence[Any]
    load: Callable[[Any], Sample | Skipped]
    options: dict = dataclasses.field(default_factory=dict)
