"""`python -m validate_checkpoint`: measures a checkpoint over whole datasets, without augmentation."""

from __future__ import annotations

import dataclasses
import enum
import pathlib
import sys
from typing import TYPE_CHECKING

import numpy as np
from absl import flags

from hpe import files, pipeline
from hpe.errors import SettingError
from hpe.fields import Needs
from hpe.options import option
from hpe.pipeline import Source
from hpe.programs import flags as program_flags
from hpe.runs import Loaded, load
from hpe.runs.presets import ASSETS
from hpe.training.settings import read_training

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hpe.evaluation.judging import Evaluation
    from hpe.systems.prediction import Prediction


class RefineTo(enum.Enum):
    """What bodies are fitted to."""

    FOUND = "found"
    TRUTH = "truth"


@dataclasses.dataclass(frozen=True)
class ValidationConfig:
    """Which checkpoint, on what, and where the report goes."""

    system: str | None = option(
        None, "Two runs as one system, such as hrnet_lifter; by default the system of the run."
    )
    checkpoint: str = option(
        "lightning",
        "Run directory, one checkpoint in it, a file of released weights, or a preset by its name.",
    )
    lifter_checkpoint: str | None = option(None, "The same for the second stage of --system=hrnet_lifter.")
    body_model: str | None = option(None, "Body model of the run, if its file has moved since the training.")
    data_dir: str | None = option(None, "Folder of the records; by default that of the run.")
    val_datasets: tuple[str, ...] | None = option(
        None, "Datasets by name, or shard files; by default those of the run."
    )
    mocap_datasets: tuple[str, ...] | None = option(
        None,
        "Mocap sets that say whether a pose is feasible; by default those of the run, if they are there.",
    )
    metrics: tuple[str, ...] = option(
        (),
        "Metrics by name, such as mpjpe@lsp14, see docs/evaluation.md; by default those of the system.",
    )
    refine: int | None = option(
        None,
        "Steps by which every predicted body is fitted, see `refine_to`; by default as the settings of the run "
        "say, which is 0 for most.",
    )
    refine_to: RefineTo = option(
        RefineTo.FOUND,
        "What bodies are fitted to: found, the joints that the system finds in the crop, or MoveNet where it finds "
        "none of its own; or truth, the labelled joints and masks, which shows how near a body can come.",
    )
    batch_size: int = option(16, "Images per step; changes speed, not results.")
    output: str | None = option(
        None, "Folder of the report; by default `validation` in the run directory, or in runs/PRESET."
    )
    report: str | None = option(
        None, "Write a page, too, such as report.html: tables, curves, distributions, pictures, settings."
    )
    num_panels: int = option(8, "How many evenly spaced, best and worst predictions are drawn.")
    submission: bool = option(
        False,
        "Write the prediction files of the Human3.6M course, too: submission.csv and final_submission.csv.gz.",
    )
    course_files: bool = option(
        False,
        "Write the files of the ETH course on human pose and shape, too: test_pred_joints.csv and, of a run, "
        "val_accuracy_results.json.",
    )
    verify: bool = option(False, "Compare every byte of the records with its checksum first.")

    def __post_init__(self):
        for metric in self.metrics:
            from hpe.evaluation import registry

            try:
                registry.parse(metric)
            except ValueError as error:
                raise SettingError("metrics", str(error), metric) from error
        if self.refine is not None and self.refine < 0:
            raise SettingError("refine", "must not be negative.", self.refine)
        if self.refine_to is RefineTo.TRUTH and not self.refine:
            raise SettingError("refine_to", "fits nothing; say by how many steps with `refine`.", "truth")
        if self.batch_size < 1:
            raise SettingError("batch_size", "must be at least 1.", self.batch_size)
        if self.num_panels < 0:
            raise SettingError("num_panels", "must not be negative.", self.num_panels)


def main() -> None:
    """Restores, measures, and writes a table, a JSON file and pictures of evenly spaced, best and worst samples."""
    config = program_flags.read(ValidationConfig)
    # TensorFlow, which neither the help nor a mistyped flag waits for.
    from hpe.evaluation.course_bodies import PredictedJoints
    from hpe.evaluation.judging import judge, predictor_of_batches
    from hpe.evaluation.report import make_folder
    from hpe.evaluation.submission import Submission
    from hpe.inference.predictor import Predictor

    # ---- what is judged, and on what: mistakes are told before anything is measured --------------------------
    loaded = load(
        config.checkpoint,
        lifter=config.lifter_checkpoint,
        system=config.system,
        body_model=config.body_model,
    )
    system, training = loaded.system, read_training(loaded.run)
    predictor = Predictor(system, refine=config.refine)
    to_truth = config.refine_to is RefineTo.TRUTH
    submission = Submission(system) if config.submission else None
    joints = PredictedJoints(system) if config.course_files else None
    source = _open_source(config, loaded, training)
    feasibility = _feasibility(config, system, training)
    if submission:
        submission.check(source.shards)
    output = pathlib.Path(config.output or report_folder(loaded, config.checkpoint))
    make_folder(output)

    # ---- judging ---------------------------------------------------------------------------------------------
    print(f"{config.checkpoint}: {system.name} at step {loaded.step}")
    if predictor.refine:
        print(f"fitted by {predictor.refine} steps to {'the truth' if to_truth else 'the joints found'}")
    evaluation = judge(
        predictor,
        source,
        metrics=config.metrics or None,
        batch_size=config.batch_size,
        feasibility=feasibility,
        also=[kept for kept in (submission, joints) if kept],
        fit_to_truth=to_truth,
    )

    # ---- what is written -------------------------------------------------------------------------------------
    details = {
        "checkpoint": str(config.checkpoint),
        "step": loaded.step,
        "refine": predictor.refine,
        "refine_to": config.refine_to.value,
        "datasets": [dataset.name for dataset in source.shards],
        "samples": {"name": _names(evaluation), **evaluation.samples},
    }
    written = _write_metrics(evaluation, details, output)
    predict = predictor_of_batches(predictor, source.needs.skeleton2d, fit_to_truth=to_truth)
    written += _write_panels(evaluation, predict, source, config.num_panels, output)
    if submission:
        written += submission.write(output)
    if joints:
        written += [*joints.write(output), *_write_course_history(loaded, output)]
    print(f"wrote {', '.join(written)} to {output}")
    if config.report:
        _write_report(config, loaded, output)


def _open_source(config: ValidationConfig, loaded: Loaded, training) -> Source:
    """Opens the datasets with the fields that fitting and the course's files read besides those of the metrics."""
    from hpe.evaluation.evidence import FIELDS

    system = loaded.system
    fields = (system.input_key, "joints3d", "image_to_crop", "image_size")
    if config.refine_to is RefineTo.TRUTH:
        fields += FIELDS
    return pipeline.open(
        system.input_key,
        config.data_dir or training.data_dir,
        config.val_datasets or training.val_datasets,
        pipeline.CONFIGS[system.input_key](**vars(loaded.settings.input)),
        # What judging reads besides, it asks for itself.
        needs=Needs(fields=fields, skeleton2d=system.skeleton),
        verify=config.verify,
    )


def _feasibility(config: ValidationConfig, system, training):
    """Returns what bodies are compared with that motion capture has; sets that the flags name must be there."""
    from hpe.evaluation.feasibility import Comparison, compare_with

    if not system.body_models:
        return Comparison()
    required = config.mocap_datasets is not None
    sets = config.mocap_datasets if required else training.mocap_datasets
    return compare_with(config.data_dir or training.data_dir, sets, required=required)


def _write_metrics(evaluation: Evaluation, details: Mapping, output: pathlib.Path) -> list[str]:
    """Writes and prints the metrics; returns the names of the files."""
    from hpe.evaluation.report import to_text, write_json

    write_json(output / "metrics.json", evaluation.metrics, details=details)
    text = to_text(evaluation.metrics)
    files.write_text(output / "metrics.txt", text)
    print(text)
    return ["metrics.json", "metrics.txt"]


def _write_course_history(loaded: Loaded, output: pathlib.Path) -> list[str]:
    """Writes the validations of a run as the course's file of them; returns the names of the files."""
    if loaded.run is None:
        return []
    from hpe.evaluation.course_bodies import write_validations
    from hpe.training.history import VALIDATION, read_history

    entries = [entry for entry in read_history(loaded.run.history) if entry.kind == VALIDATION]
    return write_validations(output, [(entry.step, entry.epoch, entry.values) for entry in entries])


def report_folder(loaded: Loaded, checkpoint: str) -> pathlib.Path:
    """Returns where a report goes by default: into the run, or beside released weights that are no preset's."""
    if loaded.run is not None:
        return loaded.run.path / "validation"
    if pathlib.Path(loaded.path).parent == ASSETS:
        # A package is not written to.
        return pathlib.Path("runs") / checkpoint / "validation"
    return pathlib.Path(loaded.path).with_suffix("") / "validation"


def _write_report(config: ValidationConfig, loaded: Loaded, output: pathlib.Path) -> None:
    from hpe.evaluation.html_report import read_report, write_report

    run = loaded.run.path if loaded.run is not None else output
    report = read_report(output, run=run, name=pathlib.Path(config.checkpoint).name)
    command = " ".join(["python -m validate_checkpoint", *sys.argv[1:]])
    write_report(pathlib.Path(config.report), [report], title=str(config.checkpoint), command=command)
    print(f"wrote {config.report}")


def _write_panels(
    evaluation: Evaluation,
    predict: Callable[[Mapping], Prediction],
    source: Source,
    count: int,
    output: pathlib.Path,
) -> list[str]:
    """Draws samples chosen by nothing but their place, and those with the least and the greatest error."""
    from hpe.visualization.grids import grid, write_image
    from hpe.visualization.panels import sample_panel

    total = len(evaluation.names)
    metric, ranked = evaluation.ranking() or ("", np.zeros(0, int))
    groups = {
        "samples": np.arange(total)[:: max(1, total // max(count, 1))][:count],
        "best": ranked[:count],
        "worst": ranked[len(ranked) - min(count, len(ranked)) :],
    }
    groups = {name: indices.tolist() for name, indices in groups.items() if len(indices)}
    wanted = {index for indices in groups.values() for index in indices}
    with source.explaining():
        panels = {
            index: sample_panel(predict(batch), 0, batch) for index, batch in source.samples(wanted).items()
        }
    names, errors = _names(evaluation), evaluation.samples.get(metric, np.full(total, np.nan))
    written = []
    for name, indices in groups.items():
        captions = [
            f"{names[index]}  {metric} {errors[index]:.2f}" if np.isfinite(errors[index]) else names[index]
            for index in indices
        ]
        write_image(
            output / f"{name}.png", grid([panels[index] for index in indices], columns=2, captions=captions)
        )
        written.append(f"{name}.png")
    return written


def _names(evaluation: Evaluation) -> list[str]:
    return [name.decode(errors="replace") for name in evaluation.names]


def define_flags() -> None:
    """Defines the flags of this program."""
    program_flags.define(ValidationConfig)
    flags.DEFINE_alias("checkpoint_dir", "checkpoint")


if __name__ == "__main__":
    from hpe.programs.cli import run

    run("validate")
