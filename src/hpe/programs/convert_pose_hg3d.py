"""`hpe convert-pose-hg3d`: turns a published checkpoint of pose-hg-3d into weights that everything here takes."""

from __future__ import annotations

import dataclasses

from hpe import skeletons
from hpe.errors import UserError
from hpe.options import option
from hpe.programs import flags as program_flags
from hpe.programs.converting import read_checkpoint, release

_SIZE = 256


@dataclasses.dataclass(frozen=True)
class ConvertConfig:
    """Which checkpoint to convert; names are flag names."""

    input: str = option("", "PyTorch checkpoint to read, such as fusion_3d_var.pth.")
    output: str = option("", "File to write, ending in .safetensors.")
    published_preprocessing: bool = option(
        True,
        "It was trained with the published code, on BGR / 256; `published_preprocessing=False`: on RGB / 255.",
    )
    licence: str = option("unknown", "Licence of the weights, which is written into the file.")


def define_flags() -> None:
    """Defines the flags of this program."""
    program_flags.define(ConvertConfig)


def main() -> None:
    """Converts the file that the flags name and says what was in it."""
    print(convert(program_flags.read(ConvertConfig)))


def convert(config: ConvertConfig) -> str:
    """Converts one file and returns a line that says what it holds.

    Raises:
        UserError: a flag is missing, or a file cannot be read or written, or is no such checkpoint.
    """
    loaded = read_checkpoint(config, example="fusion_3d_var.pth", suffix=".safetensors")
    # Keras, which the help can do without.
    from hpe.networks import pose_hg3d
    from hpe.systems.settings.weakly_supervised import Task, WeaklySupervisedConfig

    found = pose_hg3d.describe(loaded, source=config.input)
    if found.joints != len(skeletons.MPII16):
        raise UserError(f"{config.input}: has {found.joints} heat maps, not those of MPII's 16 joints.")
    model = WeaklySupervisedConfig(
        task=Task.HUMAN3D if found.has_depth else Task.HUMAN2D,
        encoder=f"msra_{found.depth}",
        deconv_width=found.width,
        published_preprocessing=config.published_preprocessing,
    )
    # A head for depth that the checkpoint lacks stays as it is: its task does not ask for it.
    release(
        config, loaded, "weakly_supervised", model, size=_SIZE, about="pose-hg-3d", assign=pose_hg3d.assign
    )
    maps = "heat maps and depth" if found.has_depth else "heat maps alone"
    return f"{config.output}: msra_{found.depth}, {maps} of {found.joints} joints"


if __name__ == "__main__":
    from hpe.programs.cli import run

    run("convert-pose-hg3d")
