"""Trains every setting of the report, and compares them.

Runs are processes of their own, two at a time. What is finished stays; `--resume` goes on with what was
interrupted. In the output folder: `table.md`, `curves-<data set>.png`, and `grid-<data set>.png`, which shows
dataset photographs and is therefore not to be passed on.
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from collections.abc import Sequence

import tensorflow as tf

from benchmarks.ablation.measurements import measured, tables, write_curves
from benchmarks.ablation.pictures import write_grid
from benchmarks.ablation.plan import (
    FULL_DATA_SETS,
    OVERFIT_IMAGES,
    OVERFIT_REPEATS,
    OVERFIT_TRAIN,
    OVERFIT_VALIDATION,
    AblationConfig,
    Run,
    Size,
    State,
    plan,
    state,
)
from benchmarks.ablation.processes import read_note, run_all
from hpe.errors import UserError
from hpe.files import write_text
from hpe.programs import flags as program_flags
from hpe.records.mocap import find_frames
from hpe.records.reading import find_shards

_CURVES = {"keypoint_loss": "keypoint loss", "silhouette_iou": "silhouette IoU"}


def define_flags() -> None:
    """Defines the flags of this program."""
    program_flags.define(AblationConfig)


def write_overfit_records(config: AblationConfig) -> None:
    """Copies the first segmented records of LSP train, once for the validation and many times for the training."""
    targets = config.directory / OVERFIT_VALIDATION, config.directory / OVERFIT_TRAIN
    if all(target.exists() for target in targets):
        return
    shards = find_shards(config.data_dir, ["lsp_train"])
    files = [str(file) for dataset in shards for file in dataset.files]
    records = tf.data.TFRecordDataset(files).as_numpy_iterator()
    chosen = []
    for record in records:
        if tf.train.Example.FromString(record).features.feature["image/seg_gt"].bytes_list.value:
            chosen.append(record)
        if len(chosen) == OVERFIT_IMAGES:
            break
    else:
        raise UserError(
            f"{config.data_dir}: lsp_train has no {OVERFIT_IMAGES} people with masks; "
            "run create_datasets with --up_dir."
        )
    config.directory.mkdir(parents=True, exist_ok=True)
    for target, repeats in zip(targets, (1, OVERFIT_REPEATS), strict=True):
        temporary = target.with_suffix(".tmp")
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for record in chosen * repeats:
                writer.write(record)
        temporary.replace(target)


def summarize(config: AblationConfig, runs: Sequence[Run]) -> str:
    """Writes `table.md` of all finished runs and returns it."""
    results = [result for run in runs if (result := measured(run, read_note(run)))]
    text = tables(results)
    write_text(config.directory / "table.md", text)
    return text


def draw(config: AblationConfig, runs: Sequence[Run]) -> list[pathlib.Path]:
    """Writes curves and picture grids of what there is, and returns their paths."""
    written = []
    seen_on = "the eight images" if config.size is Size.OVERFIT else "LSP validation"
    report = "train" if config.size is Size.OVERFIT else "validation"
    for data_set in dict.fromkeys(run.data_set for run in runs):
        own = [run for run in runs if run.data_set == data_set]
        name = data_set.replace(" ", "-")
        path = config.directory / f"curves-{name}.png"
        if write_curves(path, own, _CURVES, title=f"Trained on {data_set}, measured on {seen_on}"):
            written.append(path)
        finished = [run for run in own if measured(run, read_note(run))]
        if finished:
            path = config.directory / f"grid-{name}.png"
            write_grid(path, finished, data_dir=config.data_dir, report=report, count=config.pictures)
            written.append(path)
    return written


def main() -> None:
    """Trains what is left to train, and compares what there is."""
    config = program_flags.read(AblationConfig)
    names = ["lsp_val", *dict.fromkeys(name for group in FULL_DATA_SETS.values() for name in group)]
    if config.size is Size.OVERFIT:
        names = ["lsp_val", "lsp_train"]
    records = {dataset.name: dataset.count for dataset in find_shards(config.data_dir, names)}
    runs = plan(config, records)
    # The tables show all settings that are there, whatever --only says.
    everything = plan(dataclasses.replace(config, only=None, data_sets=None), records)
    if not config.summary:
        _train(config, runs, everything)
    print(summarize(config, everything))
    for path in draw(config, everything):
        print(f"wrote {path}")
    print(f"wrote {config.directory / 'table.md'}")


def _train(config: AblationConfig, runs: Sequence[Run], everything: Sequence[Run]) -> None:
    find_frames(config.data_dir, ("CMU", "jointLim"))
    states = {run.name: state(run, read_note(run)) for run in runs}
    stopped = [name for name, found in states.items() if found is State.INTERRUPTED]
    if stopped and not config.resume:
        raise UserError(
            f"{config.directory}: {', '.join(stopped)} did not end; add --resume to go on, or remove the folder."
        )
    if config.size is Size.OVERFIT:
        write_overfit_records(config)
    left = [run for run in runs if states[run.name] is not State.FINISHED]
    print(f"{len(left)} of {len(runs)} runs to do in {config.directory}", flush=True)
    failures, signal = run_all(
        left,
        parallel=config.parallel,
        report=lambda: summarize(config, everything),
        say=lambda line: print(line, flush=True),
    )
    if signal:
        print(f"{signal}: all runs have saved and ended; go on with --resume")
        sys.exit(130 if signal == "SIGINT" else 143)
    if failures:
        raise UserError(f"{len(failures)} of {len(left)} runs failed: {', '.join(failures)}; see above.")
