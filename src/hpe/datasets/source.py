"""A dataset that is ready to be read: small items, and a function that makes a Sample of each in any process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from hpe.datasets.sample import Sample, Skipped


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where a dataset comes from, and what holds for all of it; empty or 0 where it is unknown or differs.

    Attributes:
        source: who made it: a name, a paper, an address.
        licence: under which it may be used, in a few words.
        gender: `male`, `female` or `neutral`: of which body its pose and shape are.
        body_model: body model that its pose and shape belong to.
        frames_per_second: rate of its recordings.
    """

    source: str = ""
    licence: str = ""
    gender: str = ""
    body_model: str = ""
    frames_per_second: float = 0.0


# Of what comes from nowhere in particular.
NOWHERE = Provenance()


@dataclasses.dataclass(frozen=True)
class Source:
    """The people of one dataset.

    Attributes:
        name: name of the dataset, such as `lsp_train`.
        skeleton: joint set that it is annotated in, see `hpe.skeletons`.
        items: one small, picklable value per person.
        load: picklable function that reads one of them from disk.
        options: what the dataset is made from, for the manifest.
        provenance: where it comes from, for the manifest.
    """

    name: str
    skeleton: str
    items: Sequence[Any]
    load: Callable[[Any], Sample | Skipped]
    options: dict = dataclasses.field(default_factory=dict)
    provenance: Provenance = NOWHERE
