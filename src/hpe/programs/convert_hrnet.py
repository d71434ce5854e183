"""`hpe convert-hrnet`: turns a PyTorch checkpoint into weights for `--hrnet_weights`."""

from __future__ import annotations

import dataclasses

from hpe import skeletons
from hpe.errors import SettingError
from hpe.options import option
from hpe.programs import flags as program_flags
from hpe.programs.converting import read_checkpoint


@dataclasses.dataclass(frozen=True)
class ConvertConfig:
    """Which checkpoint to convert; names are flag names."""

    input: str = option("", "PyTorch checkpoint to read: the state_dict of an HRNet, .pth.")
    output: str = option("", "File to write, ending in .npz.")
    skeleton: str = option(
        "",
        "Joint set of the checkpoint's heat maps; by default mpii16 if they are 16, coco17 if they are 17.",
    )

    def __post_init__(self):
        if self.skeleton and self.skeleton not in skeletons.SKELETONS:
            known = ", ".join(sorted(skeletons.SKELETONS))
            raise SettingError("skeleton", f"must be one of {known}.", self.skeleton)


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
        UserError: a flag is missing, or a file cannot be read or written, or is no HRNet.
    """
    loaded = read_checkpoint(config, example="pose_hrnet_w32.pth", suffix=".npz")
    # Keras, which the help can do without.
    from hpe.networks import hrnet_weights

    weights, left = hrnet_weights.from_pytorch(loaded, source=config.input, skeleton=config.skeleton)
    hrnet_weights.save(config.output, weights)
    values = sum(array.size for array in weights.arrays.values())
    head = f"heat maps of {weights.skeleton}" if weights.skeleton else "the backbone alone, no heat maps"
    return [
        f"{config.output}: HRNet-W{weights.width}, {head}, {len(weights.arrays)} arrays, {values:,} numbers",
        *(f"left over: {name}" for name in left),
    ]


if __name__ == "__main__":
    from hpe.programs.cli import run

    run("convert-hrnet")
