"""`python -m train`: trains a system from records."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from absl import flags

from hpe import pipeline, systems
from hpe.errors import UserError
from hpe.programs import flags as program_flags
from hpe.programs.plugins import found_recipe
from hpe.programs.startup import describe_devices, make_reproducible
from hpe.runs import RunDirectory, latest_run
from hpe.training import settings
from hpe.training.config import OptimizationConfig, TrainingConfig
from hpe.training.settings import RunConfig, new_run

if TYPE_CHECKING:
    from hpe.training.distribution import Distribution

# What may change when a run is resumed: how long it goes on and what it writes, not what it computes.
_RESUMABLE = {
    *(
        "num_epochs",
        "max_steps",
        "use_validation",
        "validation_epochs",
        "validation_step_size",
        "val_datasets",
        "log_every",
    ),
    *("log_img_step", "checkpoint_steps", "keep_checkpoints", "max_bad_steps", "eager", "model_dir", "logs"),
    *("data_dir", "num_parallel_calls", "strategy", "num_devices"),
    *("test_datasets",),
    *("early_stopping_metric", "early_stopping_patience", "early_stopping_min_delta", "keep_best_metric"),
}
_LENGTH = {"num_epochs", "max_steps"}


_DEFAULT_SYSTEM = "hybrid_hmr"
_HELP = ("--help", "-help", "-?", "--?")


def define_flags(arguments: Sequence[str] | None = None) -> None:
    """Defines the flags of this program: those of every run, and those of the system that is to be trained.

    Args:
        arguments: the command line without the program; by default that of this process. Only `--system`, or with
            `--resume` the run, is read from it here.

    Raises:
        UserError: the run that is to be resumed is not there.
    """
    given = sys.argv[1:] if arguments is None else arguments
    system = _system_in([found_recipe(argument) for argument in given])
    entry = systems.get(system)
    flags.DEFINE_enum(
        "system",
        system,
        systems.names(),
        "What to train; --help shows the flags of the system that is given.",
    )
    flags.DEFINE_boolean(
        "resume", False, "Go on with the run in --model_dir, or with the latest one in --logs."
    )
    program_flags.describe("What is trained", "system", "resume")
    for config in (TrainingConfig, OptimizationConfig, pipeline.CONFIGS[entry.input_key], entry.config):
        program_flags.define(config, defaults=entry.defaults)
    aliases = {"epoch": "num_epochs", "train_from_checkpoint": "resume"}
    for alias, name in {**aliases, **entry.aliases}.items():
        flags.DEFINE_alias(alias, name)


def _system_in(arguments: Sequence[str]) -> str:
    """Returns the system that a command line names, or whose run it resumes.

    What is wrong with the command line is told when all its flags are parsed. That there is no run to resume
    is told at once: nobody knows its flags.

    Raises:
        UserError: there is no such run.
    """
    first = flags.FlagValues()
    flags.DEFINE_string("system", None, "", flag_values=first)
    flags.DEFINE_string("model_dir", None, "", flag_values=first)
    flags.DEFINE_string("logs", TrainingConfig.logs, "", flag_values=first)
    flags.DEFINE_boolean("resume", False, "", flag_values=first)
    flags.DEFINE_boolean("train_from_checkpoint", False, "", flag_values=first)
    try:
        first(["train", *arguments], known_only=True)
        system = first.system
        if system is None and (first.resume or first.train_from_checkpoint):
            system = (RunDirectory(first.model_dir) if first.model_dir else latest_run(first.logs)).system()
    except flags.Error:
        system = None
    except UserError:
        if not any(argument.startswith(_HELP) for argument in arguments):
            raise
        system = None
    return system if system in systems.names() else _DEFAULT_SYSTEM


def read_config() -> RunConfig:
    """Reads the configuration of a new run from the flags."""
    entry = systems.get(flags.FLAGS.system)
    return RunConfig(
        entry.name,
        program_flags.read(entry.config),
        program_flags.read(pipeline.CONFIGS[entry.input_key]),
        program_flags.read(TrainingConfig),
        program_flags.read(OptimizationConfig),
    )


def _resumed_config(run: RunDirectory) -> RunConfig:
    """Takes the settings of the run and, over them, those flags that may change."""
    stored, asked = settings.read_config(run), read_config()
    if asked.system != stored.system:
        raise UserError(f"--system={asked.system}: the run in {run.path} is of {stored.system}.")
    sections = {}
    for section in ("model", "pipeline", "training", "optimization"):
        changes = {}
        old, new = getattr(stored, section), getattr(asked, section)
        for field in dataclasses.fields(old):
            given = flags.FLAGS[field.name].present
            if not given or getattr(old, field.name) == getattr(new, field.name):
                continue
            # Under a schedule the length of the run is part of what every step computes.
            fixed = stored.optimization.fixes_length and field.name in _LENGTH
            # Values on other people cannot be compared with those that the run was judged by so far.
            judged = stored.training.early_stopping_metric or stored.training.keep_best_metric
            fixed = fixed or (judged is not None and field.name == "val_datasets")
            if field.name not in _RESUMABLE or fixed:
                raise UserError(
                    f"--{field.name}={getattr(new, field.name)} differs from the run in {run.path} "
                    f"({getattr(old, field.name)}); start a new run, or resume without this flag."
                )
            changes[field.name] = getattr(new, field.name)
        sections[section] = dataclasses.replace(old, **changes)
    return RunConfig(stored.system, **sections)


def main() -> None:
    """Trains, validates and says where everything is."""
    if flags.FLAGS.resume:
        model_dir = flags.FLAGS.model_dir
        run = RunDirectory(model_dir) if model_dir else latest_run(flags.FLAGS.logs)
        config = _resumed_config(run)
    else:
        config = read_config()
        model_dir = config.training.model_dir
        run = RunDirectory(model_dir) if model_dir else new_run(config, datetime.datetime.now())
        if run.params.exists():
            raise UserError(f"{run.path}: holds a run already; add --resume, or choose another --model_dir.")
    try:
        _train(config, run)
    finally:
        if not config.training.model_dir:
            run.remove_if_empty()


def _train(config: RunConfig, run: RunDirectory) -> None:
    # TensorFlow, which neither the help nor a mistyped flag waits for.
    from hpe.training.distribution import Distribution

    training = config.training
    # Workers meet before TensorFlow computes anything.
    distribution = Distribution(training)
    make_reproducible(training.seed, deterministic=training.deterministic)
    with _leaving(distribution):
        _train_on(distribution, config, run)


@contextlib.contextmanager
def _leaving(distribution: Distribution) -> Iterator[None]:
    """Ends the process of one of several workers with the block.

    TensorFlow's own end of such a process takes ten seconds and more, and the others report who goes first as
    crashed. All is written by now, so there is nothing to wait for.
    """
    if distribution.num_workers == 1:
        yield
        return
    status = 0
    try:
        yield
    except UserError as error:
        print(f"error: {program_flags.message(error)}", file=sys.stderr)
        status = 1
    except SystemExit as leaving:
        status = leaving.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _train_on(distribution: Distribution, config: RunConfig, run: RunDirectory) -> None:
    from hpe.evaluation.report import to_text, write_json
    from hpe.training.loop import train

    training = config.training
    devices = ", ".join(filter(None, [describe_devices(), distribution.describe()]))
    print(f"run directory: {run.path}; computing on {devices}")
    result = train(config, run, distribution=distribution, resume=flags.FLAGS.resume)
    if result.interrupted:
        print(
            f"{result.interrupted}: saved at step {result.step}; go on with --resume --model_dir={run.path}"
        )
        sys.exit(130 if result.interrupted == "SIGINT" else 143)
    if not result.was_finished:  # else that was said before it was validated again
        print(f"finished at step {result.step}; checkpoints in {run.checkpoints}")
    if result.stopped_early is not None:
        print(
            f"stopped early: {result.stopped_early}; to go on, --resume with more --early_stopping_patience"
        )
    if result.best is not None:
        value, step = result.best
        print(f"best {training.keep_best_metric}: {value:.4g} at step {step}, in {run.best}")
    if result.evaluation is not None:
        write_json(run.path / "validation.json", result.evaluation.metrics, details={"step": result.step})
        print(to_text(result.evaluation.metrics))


if __name__ == "__main__":
    from hpe.programs.cli import run

    run("train")
