"""`hpe convert-hemlets`: turns the published checkpoint of HEMlets into weights that everything here takes."""

from __future__ import annotations

import dataclasses

from hpe.options import option
from hpe.programs import flags as program_flags
from hpe.programs.converting import read_checkpoint, release
from hpe.systems.settings.hemlets import HemletsConfig, MapOrder, TripletOrder

_SIZE = 256
# The maps are a quarter of the picture's side, whatever its size.
_CELLS = 64


@dataclasses.dataclass(frozen=True)
class ConvertConfig:
    """Which checkpoint to convert; names are flag names."""

    input: str = option("", "PyTorch checkpoint to read, such as hemlets_h36m_lastest.pth.")
    output: str = option("", "File to write, ending in .safetensors.")
    map_order: MapOrder = option(
        MapOrder.JOINTS_FIRST,
        "Whether joints_first or triplets_first of its 60 maps: it does not say; hpe show-maps draws them.",
    )
    triplet_order: TripletOrder = option(
        TripletOrder.BY_PART, "Whether its maps of triplets lie by_part or by_state."
    )
    licence: str = option("unknown", "Licence of the weights, which is written into the file.")


def define_flags() -> None:
    """Defines the flags of this program."""
    program_flags.define(ConvertConfig)


def main() -> None:
    """Converts the file that the flags name and says what was in it."""
    for line in convert(program_flags.read(ConvertConfig)):
        print(line)


def convert(config: ConvertConfig) -> list[str]:
    """Converts one file and returns a line that says what it holds, and one for each name that was left over.

    Raises:
        UserError: a flag is missing, or a file cannot be read or written, or is no such checkpoint.
    """
    loaded = read_checkpoint(config, example="hemlets_h36m_lastest.pth", suffix=".safetensors")
    # Keras, which the help can do without.
    from hpe.networks import hemlets_weights

    found = hemlets_weights.describe(loaded, source=config.input)
    model = HemletsConfig(
        encoder=f"msra_{found.depth}",
        volume_size=_CELLS,
        volume_depth=found.depth_cells,
        branch_width=found.branch_width,
        feature_width=found.feature_width,
        map_order=config.map_order,
        triplet_order=config.triplet_order,
        # Until a person has looked at the maps nothing is told by their heights.
        joint_confidence=False,
    )
    left = release(
        config, loaded, "hemlets", model, size=_SIZE, about="HEMlets", assign=hemlets_weights.assign
    )
    return [
        f"{config.output}: {model.encoder}, volumes of {_CELLS} x {_CELLS} x {found.depth_cells} cells",
        *left,
    ]


if __name__ == "__main__":
    from hpe.programs.cli import run

    run("convert-hemlets")
