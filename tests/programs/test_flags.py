"""Flags follow from dataclasses; a user's mistake ends in one line."""

import contextlib
import dataclasses
import enum
import io
import os
import subprocess
import sys
import types

import pytest
from absl import flags as absl_flags

PROGRAM = """
import dataclasses, enum
from hpe.options import option
from hpe.errors import SettingError, UserError
from hpe.programs import flags

class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"

@dataclasses.dataclass(frozen=True)
class Config:
    '''What to count.'''

    count: int = option(3, "how many, unless `on`")
    rate: float = option(0.5, "how fast")
    on: bool = option(False, "whether")
    names: tuple[str, ...] = option(("a", "b"), "which")
    color: Color = option(Color.RED, "what color")
    path: str | None = option(None, "where")
    points: tuple[str, ...] = option((), "through which", repeated=True)

    def __post_init__(self):
        if self.count < 0:
            raise SettingError("count", "must not be negative; see `path` and `shape`.", self.count)

def main():
    config = flags.read(Config)
    if config.path == "missing":
        raise UserError("missing: no such file; set `path=x`; see `on=False`.")
    print(config)
    print("more", flush=True)
    if config.path and config.path.endswith("written"):
        open(config.path, "w").write("done")

flags.define(Config)
flags.run(main, command="count")
"""


def run_process(*arguments):
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def run(*arguments):
    """Runs the program in this process, and forgets its flags."""
    out, error, code, before = io.StringIO(), io.StringIO(), 0, set(absl_flags.FLAGS)
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(error),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "argv", ["count.py", *arguments])
        try:
            exec(compile(PROGRAM, "count.py", "exec"), {"__name__": "counting"})
        except SystemExit as end:
            code = end.code
        finally:
            for name in set(absl_flags.FLAGS) - before:
                delattr(absl_flags.FLAGS, name)
            absl_flags.FLAGS.unparse_flags()
    return types.SimpleNamespace(returncode=code or 0, stdout=out.getvalue(), stderr=error.getvalue())


def test_defaults_are_those_of_the_dataclass():
    result, alone = run(), run_process()
    assert (result.returncode, result.stdout, result.stderr) == (alone.returncode, alone.stdout, alone.stderr)
    assert result.returncode == 0, result.stderr
    assert (
        "count=3, rate=0.5, on=False, names=('a', 'b'), color=<Color.RED: 'red'>, path=None" in result.stdout
    )


def test_values_keep_their_types():
    result = run("--count=5", "--rate=2", "--on=True", "--names=x,y", "--color=blue", "--path=p")
    assert (
        "count=5, rate=2.0, on=True, names=('x', 'y'), color=<Color.BLUE: 'blue'>, path='p'" in result.stdout
    )


def test_a_flagfile_is_read(tmp_path):
    (tmp_path / "recipe.cfg").write_text("# a recipe\n--count=7\n")
    assert "count=7" in run(f"--flagfile={tmp_path / 'recipe.cfg'}").stdout


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--path=missing", "error: missing: no such file; set --path=x; see --noon."),
        ("--count=-1", "error: --count=-1: must not be negative; see --path and `shape`."),
        ("surplus", "error: unexpected argument 'surplus': options are given as --name=value."),
    ],
)
def test_a_users_mistake_is_one_line(argument, message):
    result = run(argument)
    assert result.returncode == 1
    assert result.stderr.strip() == message


def test_an_unknown_flag_is_named_without_a_traceback():
    result = run("--cuont=3")
    assert result.returncode != 0
    assert "cuont" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_field_of_unknown_type_is_refused():
    from hpe.programs import flags

    class Unset(enum.Enum):
        NONE = 1

    @dataclasses.dataclass(frozen=True)
    class Odd:
        table: dict = dataclasses.field(default_factory=dict)

    with pytest.raises(TypeError, match="table"):
        flags.define(Odd)


@pytest.mark.parametrize("flag", ["--help", "--helpshort", "--helpfull", "-h", "-?"])
def test_help_lists_the_flags_by_topic_and_ends_well(flag):
    done = run(flag)
    assert done.returncode == 0, done.stderr
    for line in (
        "Usage: count [--FLAG=VALUE ...]",
        "What to count:",
        "  --count: how many, unless --on (default: '3')",
        "  --[no]on: whether",
        "  --color: <red|blue>: what color (default: 'red')",
        "Every program:",
        "  --flagfile: File of flags, one a line, or the name of a recipe",
        "  --plugins: Python files or modules",
    ):
        assert line in done.stdout


def test_a_home_folder_behind_an_equals_sign(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert f"path='{tmp_path}/records'" in run("--path=~/records").stdout
    assert f"names=('{tmp_path}/a', 'b~')" in run("--names=~/a,b~").stdout


def test_an_option_that_is_repeated():
    assert "points=('1,2', '3,4')" in run("--points=1,2", "--points=3,4").stdout
    assert "points=()" in run().stdout


def test_recipes_of_the_package_are_found_by_name():
    from hpe.programs.plugins import recipes

    assert "demo" in recipes()
    # Their flags are not this program's; that they were read tells that they were found.
    for name in ("demo", "demo.cfg", "configs/demo.cfg"):
        error = run(f"--flagfile={name}").stderr
        assert "unknown command line flag 'datasets'" in error or "Unknown" in error
    done = run("--flagfile=dmo")
    assert done.returncode == 1
    assert "error: --flagfile=dmo: there is no such file; recipes of the package are " in done.stderr


def test_plugins_are_imported_before_the_flags_are_read(tmp_path):
    (tmp_path / "my_plugin.py").write_text("print('plugged in')")
    assert run_process(f"--plugins={tmp_path / 'my_plugin.py'}").stdout.startswith("plugged in\n")
    (tmp_path / "recipe.cfg").write_text(f"--plugins={tmp_path / 'my_plugin.py'}\n")
    assert run_process(f"--flagfile={tmp_path / 'recipe.cfg'}").stdout.startswith("plugged in\n")
    for plugin, message in (
        (tmp_path / "none.py", "there is no such file"),
        ("no_such_module", "cannot be imported (No module named 'no_such_module')"),
    ):
        done = run(f"--plugins={plugin}")
        assert done.returncode == 1
        assert done.stderr.strip() == f"error: --plugins={plugin}: {message}."
    (tmp_path / "json.py").write_text("")
    assert "another module is called json" in run_process(f"--plugins={tmp_path / 'json.py'}").stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
def test_a_program_goes_on_where_its_output_cannot_be_written(tmp_path):
    """What it computes is for the disk, and nobody reads that any more."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, f"--path={tmp_path / 'written'}"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "written").read_text() == "done"


def test_a_closed_pipe_ends_quietly(tmp_path):
    command = [sys.executable, "-u", "-c", PROGRAM, f"--path={tmp_path / 'written'}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
    assert (tmp_path / "written").read_text() == "done"
