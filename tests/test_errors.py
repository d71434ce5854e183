"""What errors say: of a setting, and of a library."""

import pathlib
import pickle
import re

import pytest
import tensorflow as tf

from hpe.errors import SettingError, UserError, first_line

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one.\ntwo"), "one"),
        (OSError("\n  padded \n"), "padded"),
        (KeyError(), "KeyError"),
        (tf.errors.InvalidArgumentError(None, None, "No image. {{node DecodeJpeg}} [Op:Map]"), "No image"),
        (
            tf.errors.AbortedError(None, None, "{{function_node __wrapped__Reduce}} Reset by peer"),
            "Reset by peer",
        ),
        (OSError("cut {{node"), "cut"),
    ],
)
def test_first_line(error, line):
    assert first_line(error) == line


def test_a_wrong_setting_is_named_as_in_python():
    error = SettingError("batch_size", "must be at least 1.", 0)
    assert str(error) == "batch_size=0: must be at least 1."
    assert str(SettingError("datasets", "must name a dataset.")) == "datasets: must name a dataset."
    assert str(SettingError("ratios", "is odd.", ("1", "2"))) == "ratios=1,2: is odd."
    assert isinstance(error, (UserError, ValueError))
    assert first_line(error) == "batch_size=0: must be at least 1"


def test_a_wrong_setting_survives_the_way_from_another_process():
    error = pickle.loads(pickle.dumps(SettingError("batch_size", "must be at least 1.", 0)))
    assert (error.setting, error.message, error.value) == ("batch_size", "must be at least 1.", 0)


def test_only_programs_write_flags():
    """Texts of the library name settings in backquotes: whoever calls it from Python has no flags."""
    written = []
    for path in sorted((ROOT / "src" / "hpe").rglob("*.py")):
        if "programs" not in path.parts:
            found = enumerate(path.read_text().splitlines(), start=1)
            written += [
                f"{path.name}:{n}: {line.strip()}" for n, line in found if re.search(r"--[a-z{]", line)
            ]
    assert not written, written


def test_what_a_library_quotes_at_length_is_cut():
    assert len(first_line(ValueError("read " + "x" * 20_000))) < 400
    long = UserError("y" * 500)
    assert first_line(long) == str(long)
