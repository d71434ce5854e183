"""Timings, each beside what it is compared with: `make bench`, `python -m benchmarks.bench --only=body,silhouette`.

Both sides of a row take turns in one run, and their ratio is the median over the rounds: it means something on
a busy machine too, where the absolute figures beside it do not. Without `--datasets` the input pipeline reads
synthetic people that are made for it in a temporary folder.
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys
import tempfile
import time
from collections.abc import Iterator

from benchmarks.timing import Row, load, machine_class, table
from hpe.errors import UserError
from hpe.options import option

# Everything else is imported where it is used: the worker processes of a benchmark import this file again.


@dataclasses.dataclass(frozen=True)
class BenchConfig:
    """What to measure; names are flag names."""

    only: tuple[str, ...] = option(
        (),
        "Measure these alone: body, silhouette, rasterizer, people, records, pipeline, step, precision, lifter, "
        "soft_argmax.",
    )
    rounds: int = option(7, "Turns of every variant; the median and the quartiles are of these.")
    data_dir: str = option("data", "Folder of the records that the input pipeline reads, with --datasets.")
    datasets: tuple[str, ...] = option((), "Datasets by name; none: synthetic people made for the purpose.")
    img_size: int = option(224, "Crop size of the input pipeline.")

    def __post_init__(self):
        if self.rounds < 2:
            raise ValueError(f"--rounds must be at least 2. Received: rounds={self.rounds}")
        unknown = [name for name in self.only if name not in GROUPS]
        if unknown:
            raise ValueError(f"--only knows {', '.join(GROUPS)}. Received: only={','.join(unknown)}")


def main() -> None:
    """Measures what the flags select and prints the table."""
    import tensorflow as tf

    from hpe.programs import flags

    config = flags.read(BenchConfig)
    # One function per variant is the point here, and no reason to warn of retracing.
    tf.get_logger().setLevel("ERROR")
    rows, notes = [], []
    start, load_before = time.monotonic(), load()
    with tempfile.TemporaryDirectory() as folder:
        # In the order of GROUPS: the pipeline reads what the records leave behind.
        for name in [name for name in GROUPS if not config.only or name in config.only]:
            print(f"{name} ...", file=sys.stderr, flush=True)
            for item in GROUPS[name](config, pathlib.Path(folder)):
                (rows if isinstance(item, Row) else notes).append(item)
    print(table(rows))
    print()
    for note in notes:
        print(f"- {note}")
    print(
        f"\nMachine: {machine_class()}. Load average {load_before} at the start, {load()} at the end; "
        f"{config.rounds} rounds, {(time.monotonic() - start) / 60:.1f} minutes."
    )


def _body(config: BenchConfig, _) -> Iterator[Row | str]:
    from benchmarks import body

    return body.rows(config.rounds)


def _silhouette(config: BenchConfig, _) -> Iterator[Row | str]:
    from benchmarks import silhouette

    return silhouette.rows(config.rounds)


def _rasterizer(config: BenchConfig, _) -> Iterator[Row | str]:
    from benchmarks import raster

    return raster.rows(config.rounds)


def _people(config: BenchConfig, _) -> Iterator[Row | str]:
    from benchmarks import people

    return people.people_rows(config.rounds)


def _records(config: BenchConfig, folder: pathlib.Path) -> Iterator[Row | str]:
    from benchmarks import people

    return people.record_rows(folder, config.rounds)


def _pipeline(config: BenchConfig, folder: pathlib.Path) -> Iterator[Row | str]:
    from benchmarks import people, pipeline
    from hpe.records.reading import find_shards

    if config.datasets:
        shards = find_shards(config.data_dir, config.datasets)
    else:
        name = people.people_source().name
        if not list(folder.glob(f"{name}.*")):
            people.create_records(folder)
        shards = find_shards(folder, [name])
    records = sum(dataset.count for dataset in shards)
    if not records:
        raise UserError(f"--datasets={','.join(config.datasets)}: there are no records to read.")
    yield from pipeline.rows(shards, config.img_size, config.rounds)
    what = ", ".join(config.datasets) or "synthetic people of 256x256 pixels"
    yield f"input pipeline: {records} records of {what}, read again and again, batches of {pipeline.BATCH_SIZE}."


def _step(config: BenchConfig, _) -> Iterator[Row | str]:
    from benchmarks import training_step

    return training_step.rows(config.rounds)


def _precision(config: BenchConfig, folder: pathlib.Path) -> Iterator[Row | str]:
    from benchmarks import precision

    return precision.rows(folder, config.rounds)


def _lifter(config: BenchConfig, _) -> Iterator[Row | str]:
    from benchmarks import lifter

    return lifter.rows(config.rounds)


def _soft_argmax(config: BenchConfig, _) -> Iterator[Row | str]:
    from benchmarks import soft_argmax

    return soft_argmax.rows(config.rounds)


GROUPS = {
    "body": _body,
    "silhouette": _silhouette,
    "rasterizer": _rasterizer,
    "people": _people,
    "records": _records,
    "pipeline": _pipeline,
    "step": _step,
    "precision": _precision,
    "lifter": _lifter,
    "soft_argmax": _soft_argmax,
}

if __name__ == "__main__":
    from hpe.programs import flags

    flags.define(BenchConfig)
    flags.run(main)
