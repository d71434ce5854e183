"""`hpe convert-hemlets`: turns the published checkpoint of HEMlets into weights that everything here takes."""

from __future__ import annotations

import dataclasses
import pathlib

from hpe.errors import SettingError
from hpe.options import option
from hpe.programs import flags as program_flags
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
    if not config.input:
        raise SettingError(
            "input", "is missing; give the checkpoint, as in `input=hemlets_h36m_lastest.pth`."
        )
    if pathlib.Path(config.output).suffix != ".safetensors":
        raise SettingError("output", "must name a file ending in .safetensors.", config.output)
    # Keras, which the help can do without.
    from hpe.formats.torch_files import load_torch_file
    from hpe.networks import hemlets_weights
    from hpe.runs import released
    from hpe.runs.settings import Settings
    from hpe.systems.inputs import ImageInput

    loaded = load_torch_file(config.input)
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
    settings = Settings("hemlets", model, ImageInput(img_size=_SIZE))
    system = settings.build()
    left = hemlets_weights.assign(loaded, system.networks, source=config.input)
    released.save(config.output, system, settings, licence=config.licence, about="HEMlets", dtype="float32")
    return [
        f"{config.output}: {model.encoder}, volumes of {_CELLS} x {_CELLS} x {found.depth_cells} cells",
        *(f"left over: {name}" for name in left),
    ]


if __name__ == "__main__":
    from hpe.programs.cli import run

    run("convert-hemlets")
