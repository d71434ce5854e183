"""`hpe show-maps`: draws the maps that HEMlets makes of a picture, so that a person can tell what they show."""

from __future__ import annotations

import dataclasses

import numpy as np

from hpe.errors import SettingError, UserError
from hpe.options import option
from hpe.programs import flags as program_flags

_STATES = ("child farther", "level", "child nearer")


@dataclasses.dataclass(frozen=True)
class ShowConfig:
    """Whose maps to draw and how; names are flag names."""

    checkpoint: str = option("", "Run, checkpoint or released weights of the system hemlets.")
    input: str = option("", "Picture of one person.")
    output: str = option("maps.png", "Picture file to write.")
    box: tuple[str, ...] = option(
        (), "Box x,y,width,height of the person in pixels; none: the whole picture."
    )
    columns: int = option(6, "Maps per row.")
    cell: int = option(160, "Side of a map in pixels.")

    def __post_init__(self):
        for name, least in (("columns", 1), ("cell", 32)):
            if getattr(self, name) < least:
                raise SettingError(name, f"must be at least {least}.", getattr(self, name))
        try:
            numbers = [float(number) for number in self.box]
        except ValueError:
            numbers = [0.0]
        if self.box and (len(numbers) != 4 or not np.isfinite(numbers).all() or min(numbers[2:]) <= 0):
            raise SettingError("box", "must be four numbers: x,y,width,height.", ",".join(self.box))


def define_flags() -> None:
    """Defines the flags of this program."""
    program_flags.define(ShowConfig)


def main() -> None:
    """Draws the maps of the picture that the flags name and says where they are."""
    config = program_flags.read(ShowConfig)
    for name in ("checkpoint", "input"):
        if not getattr(config, name):
            raise SettingError(name, "is missing.")
    # TensorFlow and Keras, which the help can do without.
    from hpe.inference.pictures import read_photo
    from hpe.programs.loading import load_model
    from hpe.visualization.grids import write_image

    model = load_model(None, config.checkpoint)
    if model.name != "hemlets":
        raise UserError(f"{config.checkpoint}: is of {model.name}; the maps are those of hemlets.")
    image, _ = read_photo(config.input)
    box = tuple(float(number) for number in config.box) or (0.0, 0.0, *image.shape[1::-1])
    picture, count = draw_maps(model, image, box, columns=config.columns, cell=config.cell)
    write_image(config.output, picture)
    print(f"{count} maps are drawn in {config.output}")


def draw_maps(model, image: np.ndarray, box, *, columns: int, cell: int) -> tuple[np.ndarray, int]:
    """Draws the crop of a person and all maps over it, named as the settings of the run have them.

    Args:
        model: a `hpe.inference.model.Model` of the system hemlets.
        image: (H, W, 3) uint8 RGB.
        box: x, y, width, height of the person in pixels.
        columns: maps per row.
        cell: side of a map in pixels.

    Returns:
        (H', W', 3) uint8 RGB, and the number of maps.
    """
    from keras import ops

    from hpe import skeletons
    from hpe.geometry.crops import box_crop
    from hpe.skeletons.parts import PART_NAMES
    from hpe.visualization.grids import grid
    from hpe.visualization.heatmaps import heatmap_overlay

    system = model.system
    crop = box_crop(box, system.input_shape[0], box_share=model.box_share).take(image)
    outputs = system.forward(crop[None], training=False)
    joints = ops.convert_to_numpy(outputs["heatmaps"])[0]
    parts = ops.convert_to_numpy(outputs["triplets"])[0]
    names = list(skeletons.get(system.skeleton).joints)
    maps = [joints[..., number] for number in range(len(names))]
    for part, (parent, child) in enumerate(PART_NAMES):
        for state, words in enumerate(_STATES):
            maps.append(parts[..., part, state])
            names.append(f"{words}: {parent} - {child}")
    pictures = [heatmap_overlay(crop, one, size=cell) for one in maps]
    captions = [f"{name} ({one.max():.2f})" for name, one in zip(names, maps, strict=True)]
    return grid(pictures, columns, captions=captions), len(maps)


if __name__ == "__main__":
    from hpe.programs.cli import run

    run("show-maps")
