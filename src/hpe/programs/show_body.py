"""`hpe show-body`: draws a body model in three pictures, its rest pose, postures and shapes."""

from __future__ import annotations

import dataclasses

from hpe.errors import SettingError
from hpe.options import option
from hpe.programs import flags as program_flags


@dataclasses.dataclass(frozen=True)
class ShowBodyConfig:
    """Which body to draw and where to; names are flag names."""

    body_model: str = option("default", "Body to draw: default, or a file in the SMPL layout.")
    output_dir: str = option("docs/images", "Folder for body_tpose.png, body_poses.png and body_shapes.png.")
    seed: int = option(5, "Seed of the random poses and their shapes.")
    cell: int = option(330, "Side in pixels of one picture of the T-pose; the many others are smaller.")

    def __post_init__(self):
        if self.cell < 32:
            raise SettingError("cell", "must be at least 32.", self.cell)


def define_flags() -> None:
    """Defines the flags of this program."""
    program_flags.define(ShowBodyConfig)


def main() -> None:
    """Draws the pictures that the flags ask for and says where they are."""
    # TensorFlow and Keras, which the help can do without.
    from hpe.programs.body_pictures import show_body

    for path in show_body(program_flags.read(ShowBodyConfig)):
        print(path)


if __name__ == "__main__":
    from hpe.programs.cli import run

    run("show-body")
