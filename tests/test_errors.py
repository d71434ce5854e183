"""What is quoted of an error of a library."""

import pytest
import tensorflow as tf

from hpe.errors import first_line


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
