"""Flags follow from dataclasses; a user's mistake ends in one line."""

import dataclasses
import enum
import subprocess
import sys

import pytest

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
    count: int = option(3, "how many, unless `on`")
    rate: float = option(0.5, "how fast")
    on: bool = option(False, "whether")
    names: tuple[str, ...] = option(("a", "b"), "which")
    color: Color = option(Color.RED, "what color")
    path: str | None = option(None, "where")

    def __post_init__(self):
        if self.count < 0:
            raise SettingError("count", "must not be negative; see `path` and `shape`.", self.count)

def main():
    config = flags.read(Config)
    if config.path == "missing":
        raise UserError("missing: no such file; set `path=x`; see `on=False`.")
    print(config)

flags.define(Config)
flags.run(main)
"""


def run(*arguments):
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_defaults_are_those_of_the_dataclass():
    result = run()
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


def test_helpshort_lists_the_flags_with_their_help():
    shown = run("--helpshort").stdout
    assert "--count: how many, unless --on" in shown
    assert "(default: '3')" in shown
