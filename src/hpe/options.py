"""How configuration dataclasses describe their fields, so that flags can be made from them."""

from __future__ import annotations

import dataclasses


def option(default, help_text: str):
    """Returns a dataclass field with a default and the text that the help of programs shows.

    Other settings are named in it in backquotes, such as `batch_size=8`; programs write them as their flags.
    """
    return dataclasses.field(default=default, metadata={"help": help_text})
