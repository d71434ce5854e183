"""The command `hpe`: one word says which program, the rest is for it."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import sys
from collections.abc import Callable, Sequence


@dataclasses.dataclass(frozen=True)
class Command:
    """A program of the package.

    Attributes:
        module: where its `main` and `define_flags` are, in `hpe.programs`.
        summary: what it does, in one line.
        tensorflow: whether it always computes with TensorFlow, which is then started quietly.
    """

    module: str
    summary: str
    tensorflow: bool = True


# By topic, in the order of the help.
COMMANDS: dict[str, dict[str, Command]] = {
    "People in pictures": {
        "preview": Command(
            "preview", "shows what a model sees in images, folders, videos or a camera", False
        ),
        "app": Command("app", "opens a page that takes pictures, clips and a camera", False),
    },
    "Data": {
        "create-datasets": Command("create_datasets", "turns datasets into records"),
        "show-records": Command("show_records", "draws people of records, to check them"),
    },
    "Training": {
        "train": Command("train", "trains a system from records"),
        "validate": Command("validate_checkpoint", "measures a checkpoint over whole datasets"),
        "compare": Command("compare", "shows the metrics of runs beside each other", tensorflow=False),
    },
    "Files": {
        "export": Command("export", "writes a model that runs without this package"),
        "release-weights": Command("release_weights", "writes the weights of a run as one file, for others"),
        "convert-body-model": Command(
            "convert_body_model", "turns a SMPL pickle into an npz", tensorflow=False
        ),
        "convert-hrnet": Command("convert_hrnet", "turns published weights of HRNet into an npz"),
        "convert-pare": Command("convert_pare", "turns published weights of PARE into ours"),
        "convert-pose-hg3d": Command("convert_pose_hg3d", "turns published weights of pose-hg-3d into ours"),
        "convert-hemlets": Command("convert_hemlets", "turns published weights of HEMlets into ours"),
        "show-body": Command("show_body", "draws a body model: its shapes and postures"),
        "show-maps": Command("show_maps", "draws the maps that hemlets makes of a picture"),
    },
}

# Names that programs have besides.
_ALIASES = {"validate-checkpoint": "validate", "predict": "preview"}

# What `hpe` alone says: what most come for, as lines to copy.
_FIRST = """3D human pose and shape from pictures.

  hpe preview photo.jpg --output=out --save=json,glb   bodies in pictures, videos, a camera; files of them
  hpe app                                              the same on a page in your browser
  hpe create-datasets --synthetic=3000                 records to train on; or --lsp, --own=DIR, ...
  hpe train --flagfile=demo --model_dir=runs/a         trains a system from records
  hpe validate --checkpoint=runs/a --report=a.html     measures a run or a preset; hpe compare RUN RUN
  hpe export --checkpoint=lightning --format=onnx      a model that runs without this package

hpe --help lists all commands, hpe COMMAND --help the flags of one."""


def commands() -> dict[str, Command]:
    """Returns all programs by their name."""
    return {name: command for topic in COMMANDS.values() for name, command in topic.items()}


def overview() -> str:
    """Returns the help of the command itself."""
    lines = ["Usage: hpe COMMAND [--FLAG=VALUE ...]", "", "3D human pose and shape from pictures.", ""]
    width = max(map(len, commands())) + 2
    for topic, programs in COMMANDS.items():
        lines.append(f"{topic}:")
        lines += [f"  {name:<{width}}{command.summary}" for name, command in programs.items()]
        lines.append("")
    lines.append("hpe COMMAND --help tells its flags; hpe --version the version.")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the program that the first word names.

    Args:
        argv: the command line without `hpe`; by default that of this process.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    if not given:
        print(_FIRST)
        return
    name, *rest = given
    if name in ("help", "-h", "--help", "-help"):
        if not rest:
            print(overview())
            return
        name, rest = rest[0], ["--help"]
    if name in ("--version", "version"):
        import hpe

        print(hpe.__version__)
        return
    name = name.replace("_", "-")
    name = _ALIASES.get(name, name)
    if name not in commands():
        near = difflib.get_close_matches(name, [*commands(), *_ALIASES], n=1)
        meant = f"did you mean hpe {near[0]}? " if near else ""
        print(f"error: there is no command {name}; {meant}hpe --help lists them all.", file=sys.stderr)
        sys.exit(1)
    run(name, rest, command=f"hpe {name}")


def run(name: str, argv: Sequence[str] | None = None, *, command: str | None = None) -> None:
    """Runs a program as a process of its own does: flags, help, one line for a user's error.

    Args:
        name: of the program, as in `hpe NAME`.
        argv: its command line; by default that of this process.
        command: how it is called, for the help; by default `python -m MODULE`, as it was called.
    """
    entry = commands()[name]
    from hpe.programs import flags

    program = importlib.import_module(f"hpe.programs.{entry.module}")
    given = list(sys.argv[1:] if argv is None else argv)
    flags.run(
        program.main,
        _definer(program.define_flags, given),
        start=_quiet_start if entry.tensorflow else None,
        takes_arguments=getattr(program, "TAKES_ARGUMENTS", False),
        command=command or f"python -m {called_as(entry.module)}",
        summary=f"{entry.summary[0].upper()}{entry.summary[1:]}.",
        argv=given,
    )


def called_as(module: str) -> str:
    """Returns by which name the program of a module was called: its own, or the short one of the repository."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec is not None and spec.name == f"hpe.programs.{module}" else module


def _definer(define_flags: Callable, argv: Sequence[str]) -> Callable[[], None]:
    """Hands the command line to those whose flags depend on it."""
    if inspect.signature(define_flags).parameters:
        return lambda: define_flags(argv)
    return define_flags


def _quiet_start() -> None:
    from hpe.programs.startup import quiet_tensorflow

    quiet_tensorflow()


if __name__ == "__main__":
    main()
