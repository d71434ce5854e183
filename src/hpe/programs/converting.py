"""What the programs have in common that turn a published PyTorch checkpoint into weights of a system here."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

from hpe.errors import SettingError


def read_checkpoint(config, *, example: str, suffix: str) -> dict:
    """Reads the checkpoint that `config.input` names, without PyTorch; nothing in it is run.

    Args:
        config: of the program: `input`, `output`.
        example: name of such a checkpoint, for the message where none is given.
        suffix: in which `config.output` must end.

    Raises:
        UserError: a flag is missing or wrong, or the file cannot be read.
    """
    if not config.input:
        raise SettingError("input", f"is missing; give the checkpoint, as in `input={example}`.")
    if pathlib.Path(config.output).suffix != suffix:
        raise SettingError("output", f"must name a file ending in {suffix}.", config.output)
    from hpe.formats.torch_files import load_torch_file

    return load_torch_file(config.input)


def release(
    config,
    loaded: dict,
    name: str,
    model: Any,
    *,
    size: int,
    about: str,
    assign: Callable[..., list[str]],
) -> list[str]:
    """Builds a system, gives it the checkpoint's weights, and writes it to `config.output` as a released file.

    Args:
        config: of the program: `input`, `output`, `licence`.
        loaded: of `read_checkpoint`.
        name: of the system.
        model: its settings, that fit the checkpoint.
        size: side of the pictures that it was trained on, pixels.
        about: whose weights they are, which is written into the file.
        assign: gives the networks their weights: of the checkpoint, the networks by name and, as `source`, the
            name of the file; returns the names of what was left over.

    Returns:
        A line for each that was left over.

    Raises:
        UserError: the checkpoint does not fit, or the file cannot be written.
    """
    # Keras, which the help can do without.
    from hpe.runs import released
    from hpe.runs.settings import Settings
    from hpe.systems.inputs import ImageInput

    settings = Settings(name, model, ImageInput(img_size=size))
    system = settings.build()
    left = assign(loaded, system.networks, source=config.input)
    released.save(config.output, system, settings, licence=config.licence, about=about, dtype="float32")
    return [f"left over: {one}" for one in left]
