"""The command `hpe`: every program by its name, help at once, and the same as `python -m`."""

import pathlib
import subprocess
import sys

import pytest

from hpe.programs import cli

ROOT = pathlib.Path(__file__).resolve().parents[2]


def hpe(*arguments):
    return subprocess.run([sys.executable, "-m", "hpe", *arguments], capture_output=True, text=True)


def test_the_overview_names_every_program():
    for arguments in ((), ("--help",), ("help",)):
        done = hpe(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
    for name, command in cli.commands().items():
        assert f"  {name} " in done.stdout
        assert command.summary in done.stdout


def test_every_program_is_a_command():
    """A program has `main`, `define_flags` and the lines of `python -m`; nothing is left out."""
    programs = {
        path.stem
        for path in (ROOT / "src" / "hpe" / "programs").glob("*.py")
        if "\ndef main(" in path.read_text()
    }
    assert programs - {"cli"} == {command.module for command in cli.commands().values()}


def test_the_version_and_an_unknown_command():
    import hpe as package

    assert hpe("--version").stdout.strip() == package.__version__
    done = hpe("trian")
    assert done.returncode == 1
    assert done.stderr.strip() == "error: there is no command trian; hpe --help lists them all."


_WATCHED = """
import sys
from hpe.programs import cli
try:
    cli.main(sys.argv[1:])
finally:
    print("heavy:", *(n for n in ("tensorflow", "keras", "numba") if n in sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize("name", list(cli.commands()))
def test_help_and_a_mistyped_flag_need_no_tensorflow(name):
    helped, mistyped = (
        subprocess.run([sys.executable, "-c", _WATCHED, name, flag], capture_output=True, text=True)
        for flag in ("--help", "--mistyped=1")
    )
    assert helped.returncode == 0, helped.stderr
    assert f"Usage: hpe {name} " in helped.stdout
    assert helped.stderr.strip() == "heavy:"
    assert mistyped.returncode == 1
    first, last = mistyped.stderr.strip().splitlines()
    assert first.startswith("error: unknown command line flag 'mistyped'.")
    assert first.endswith(f"See hpe {name} --help.")
    assert last == "heavy:"


def test_help_of_training_shows_what_it_used_to_hide():
    shown = hpe("train", "--system=lifter", "--help").stdout
    for name in ("--system", "--[no]resume", "--flagfile", "--linear_size", "--plugins"):
        assert f"\n  {name}:" in shown
    assert "--num_stage" not in shown
