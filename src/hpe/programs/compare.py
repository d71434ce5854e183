"""`hpe compare runs/a runs/b`: metrics of runs beside each other, in the terminal and as a page."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

from hpe.errors import UserError
from hpe.options import option
from hpe.programs import flags as program_flags

TAKES_ARGUMENTS = True


@dataclasses.dataclass(frozen=True)
class CompareConfig:
    """Where the page goes."""

    output: str = option("comparison.html", "The page: one file with tables, curves and distributions.")


def main() -> None:
    """Reads what validations left and shows it side by side."""
    config, arguments = program_flags.read(CompareConfig), program_flags.arguments()
    if len(arguments) < 2:
        raise UserError(
            "name two runs or more that validate_checkpoint has measured: hpe compare runs/a runs/b"
        )
    from hpe.evaluation.html_report import comparison, read_report, write_report

    names = _names(arguments)
    reports = [
        read_report(pathlib.Path(path), name=name) for path, name in zip(arguments, names, strict=True)
    ]
    print(comparison(reports))
    command = " ".join(["hpe compare", *arguments])
    write_report(pathlib.Path(config.output), reports, title=" and ".join(names), command=command)
    print(f"wrote {config.output}")


def _names(paths: Sequence[str]) -> list[str]:
    """Returns the last parts of paths, or whole paths where these are the same."""
    short = [pathlib.Path(path).name for path in paths]
    return short if len(set(short)) == len(short) else list(paths)


def define_flags() -> None:
    """Defines the flags of this program."""
    program_flags.define(CompareConfig)


if __name__ == "__main__":
    from hpe.programs.cli import run

    run("compare")
