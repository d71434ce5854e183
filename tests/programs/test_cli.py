"""The command `hpe`: every program by its name, help at once, and the same as `python -m`."""

import json
import pathlib
import re
import subprocess
import sys
import types

import pytest

from hpe.programs import cli

ROOT = pathlib.Path(__file__).resolve().parents[2]


def hpe(*arguments):
    return subprocess.run([sys.executable, "-m", "hpe", *arguments], capture_output=True, text=True)


def test_the_overview_names_every_program():
    for arguments in (("--help",), ("help",)):
        done = hpe(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
    for name, command in cli.commands().items():
        assert f"  {name} " in done.stdout
        assert command.summary in done.stdout


def test_the_command_alone_says_in_ten_lines_what_there_is():
    done = hpe()
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 10
    shown = re.findall(r"^  hpe ([\w-]+)", done.stdout, re.MULTILINE)
    assert len(shown) == 6
    assert set(shown) <= set(cli.commands())


@pytest.mark.parametrize(("given", "meant"), [("inptu", "input"), ("export", "save")])
def test_predict_is_what_preview_is_and_answers_a_flag_with_the_one_that_is_meant(given, meant):
    done = hpe("predict", f"--{given}=a.jpg")
    assert done.returncode == 1
    expected = f"error: unknown command line flag '{given}'. Did you mean --{meant}? See hpe preview --help."
    assert done.stderr.strip() == expected


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
    assert done.stderr.strip() == (
        "error: there is no command trian; did you mean hpe train? hpe --help lists them all."
    )


_WATCHED = """
import contextlib, io, json, sys
from absl import flags
from hpe.programs import cli

before, told = set(flags.FLAGS), {}
for name in cli.commands():
    for flag in ("--help", "--mistyped=1"):
        out, error, code = io.StringIO(), io.StringIO(), 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            try:
                cli.main([name, flag])
            except SystemExit as end:
                code = end.code
        heavy = [n for n in ("tensorflow", "keras", "numba") if n in sys.modules]
        told.setdefault(name, []).append([code, out.getvalue(), error.getvalue(), heavy])
        for flag in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, flag)
        flags.FLAGS.unparse_flags()
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told():
    """What every program answers to --help and to a mistyped flag, and what heavy modules are loaded by then.

    One process asks them all: what none of them has loaded after the last, none has loaded.
    """
    done = subprocess.run([sys.executable, "-c", _WATCHED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", list(cli.commands()))
def test_help_and_a_mistyped_flag_need_no_tensorflow(told, name):
    helped, mistyped = told[name]
    code, output, error, heavy = helped
    assert (code, error, heavy) == (0, "", [])
    assert f"Usage: hpe {name} " in output
    code, output, error, heavy = mistyped
    assert (code, output, heavy) == (1, "", [])
    (line,) = error.splitlines()
    assert line.startswith("error: unknown command line flag 'mistyped'.")
    assert line.endswith(f"See hpe {name} --help.")


def test_help_of_training_shows_what_it_used_to_hide():
    shown = hpe("train", "--system=lifter", "--help").stdout
    for name in ("--system", "--[no]resume", "--flagfile", "--linear_size", "--plugins"):
        assert f"\n  {name}:" in shown
    assert "--num_stage" not in shown


@pytest.mark.parametrize(
    ("main", "named"),
    [("hpe.programs.compare", "hpe.programs.compare"), ("compare", "compare"), ("pytest", "compare")],
)
def test_help_names_a_program_as_it_was_called(monkeypatch, main, named):
    spec = types.SimpleNamespace(name=main)
    monkeypatch.setitem(sys.modules, "__main__", types.SimpleNamespace(__spec__=spec))
    assert cli.called_as("compare") == named
