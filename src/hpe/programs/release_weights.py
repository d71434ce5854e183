"""`hpe release-weights --checkpoint=RUN --output=NAME.safetensors --licence=...`: weights as one file."""

from __future__ import annotations

import dataclasses
import pathlib

from hpe.errors import SettingError
from hpe.options import option
from hpe.programs import flags as program_flags


@dataclasses.dataclass(frozen=True)
class ReleaseConfig:
    """Which checkpoint, where, and what is said of it."""

    checkpoint: str | None = option(None, "Run directory, or one checkpoint in it.")
    body_model: str | None = option(None, "Body model of the run, if its file has moved since the training.")
    output: str | None = option(None, "File to write; its name ends in .safetensors.")
    licence: str | None = option(
        None, "Licence of the weights, such as CC0-1.0; that of the data that they learned from allows it."
    )
    about: str = option("", "What the weights are, in a line.")
    half: bool = option(True, "Round kernels to 16 bits, which halves the file.")

    def __post_init__(self):
        for name, what in (
            ("checkpoint", "the run directory that training created"),
            ("output", "a file whose name ends in .safetensors"),
            ("licence", "under which others may use the weights, such as CC0-1.0"),
        ):
            if not getattr(self, name):
                raise SettingError(name, f"is needed: {what}.")
        if pathlib.Path(self.output).suffix != ".safetensors":
            raise SettingError("output", "must end in .safetensors.", self.output)


def main() -> None:
    """Loads a run, averaged weights if it has any, and writes the networks that predict."""
    config = program_flags.read(ReleaseConfig)
    from hpe.runs import load, released

    loaded = load(config.checkpoint, body_model=config.body_model)
    released.save(
        config.output,
        loaded.system,
        loaded.settings,
        licence=config.licence,
        about=config.about,
        step=loaded.step,
        dtype="float16" if config.half else "float32",
    )
    size = pathlib.Path(config.output).stat().st_size / 2**20
    print(f"wrote {config.output}: {loaded.settings.system} of step {loaded.step}, {size:.1f} MiB")


def define_flags() -> None:
    """Defines the flags of this program."""
    program_flags.define(ReleaseConfig)


if __name__ == "__main__":
    from hpe.programs.cli import run

    run("release-weights")
