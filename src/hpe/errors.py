"""The error that a user can mend: a wrong setting, a damaged file, a full disk."""

from __future__ import annotations

import enum
import re

# Letters of what another library says.
_LONGEST = 300
# Nodes of a graph in a message of TensorFlow's; those of a function come before what it says.
_NODES = re.compile(r"\{\{.*?(\}\}|$)", re.MULTILINE)


class UserError(Exception):
    """Something the user gave is wrong; the message is one line that says what, where and what to do.

    Programs print the message alone and exit with status 1; everything else is a bug and keeps its traceback.
    Settings that a message names stand in backquotes, such as `batch_size=8`: programs write them as their flags.
    """


class SettingError(UserError, ValueError):
    """A setting is wrong: a field of a configuration, which is a flag of the programs.

    Attributes:
        setting: its name.
        message: what is wrong with it, and what to do.
        value: what was given, or None where that says nothing.
    """

    def __init__(self, setting: str, message: str, value: object = None):
        # All three go to Exception, so that the error survives the way from a worker process.
        super().__init__(setting, message, value)
        self.setting = setting
        self.message = message
        self.value = value

    def __str__(self) -> str:
        return f"{self.assignment}: {self.message}"

    @property
    def assignment(self) -> str:
        """The setting with its value, such as `batch_size=8`; its name alone where no value was given."""
        if self.value is None:
            return self.setting
        return f"{self.setting}={_written(self.value)}"


def _written(value: object) -> str:
    """Writes a value as a flag file would."""
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, (tuple, list)):
        return ",".join(_written(item) for item in value)
    return str(value)


def first_line(error: BaseException) -> str:
    """Returns what an error of a library says, in one line without a full stop, to be quoted in a UserError.

    TensorFlow lists the nodes of its graph in {{ }} before and after the message; they are left out.
    """
    said = error if isinstance(error, UserError) else getattr(error, "message", error)
    text = _NODES.sub("\n", str(said))
    lines = (line.strip(" .") for line in text.splitlines())
    line = next(filter(None, lines), type(error).__name__)
    # Some quote all the bytes that they could not read.
    return line if isinstance(error, UserError) or len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."
