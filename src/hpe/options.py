"""How configuration dataclasses describe their fields, so that flags can be made from them."""

from __future__ import annotations

import dataclasses


def option(default, help_text: str):
    """Returns a dataclass field with a default and the text that `--help` shows."""
    return dataclasses.field(default=default, metadata={"help": help_text})
