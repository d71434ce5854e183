"""Photographs with 2D joints alone: their part of every batch, and how often joints are found on others."""

from __future__ import annotations

import fractions
import pathlib

# Those that there are, in one half of every batch, each by how many it has.
TRAIN = ("lsp_train", "lsp_ext")
HELD_OUT = "lsp_val"
METRIC = "pck0.2torso@lsp14"
_PART = fractions.Fraction(1, 2)
_BATCH = 100


def check(folder: pathlib.Path) -> int:
    """Returns how many photographs there are to train on.

    Raises:
        UserError: `lsp_train` or `lsp_val` is absent or damaged.
    """
    from hpe.records.reading import find_shards

    find_shards(folder, [HELD_OUT])
    return sum(dataset.count for dataset in find_shards(folder, _there(folder)))


def mixed(people: str, folder: pathlib.Path) -> tuple[str, ...]:
    """Returns the datasets of a run on synthetic people and photographs, with exact shares.

    Args:
        people: name of the dataset of synthetic people, who make one half of every batch.
        folder: of the records of photographs.
    """
    from hpe.records.reading import find_shards

    found = find_shards(folder, _there(folder))
    total = sum(dataset.count for dataset in found)
    return (
        f"{people}:{1 - _PART}",
        *(f"{_manifest(folder, dataset.name)}:{_PART * dataset.count / total}" for dataset in found),
    )


def found_joints(predictor, folder: pathlib.Path, *, img_size: int) -> float:
    """Returns the share of the labelled joints of the held-out photographs within 0.2 torsos of their label."""
    from hpe import pipeline
    from hpe.evaluation.judging import judge
    from hpe.fields import Needs

    source = pipeline.open(
        "image",
        folder,
        [HELD_OUT],
        pipeline.PipelineConfig(img_size=img_size),
        needs=Needs(("image",), predictor.system.skeleton),
    )
    judged = judge(predictor, source, metrics=[METRIC], batch_size=_BATCH, show_progress=False)
    return judged.values()[METRIC]


def _there(folder: pathlib.Path) -> list[str]:
    """Returns the names of the sets to train on: the first has to be there, the others may be."""
    return [TRAIN[0], *(name for name in TRAIN[1:] if _manifest(folder, name).exists())]


def _manifest(folder: pathlib.Path, name: str) -> pathlib.Path:
    return folder / f"{name}.manifest.json"
