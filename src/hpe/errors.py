"""The error that a user can mend: a wrong flag, a damaged file, a full disk."""

import re

# Nodes of a graph in a message of TensorFlow's; those of a function come before what it says.
_NODES = re.compile(r"\{\{.*?(\}\}|$)", re.MULTILINE)


class UserError(Exception):
    """Something the user gave is wrong; the message is one line that says what, where and what to do.

    Programs print the message alone and exit with status 1; everything else is a bug and keeps its traceback.
    """


def first_line(error: BaseException) -> str:
    """Returns what an error of a library says, in one line without a full stop, to be quoted in a UserError.

    TensorFlow lists the nodes of its graph in {{ }} before and after the message; they are left out.
    """
    text = _NODES.sub("\n", str(getattr(error, "message", error)))
    lines = (line.strip(" .") for line in text.splitlines())
    return next(filter(None, lines), type(error).__name__)
