"""`hpe convert-pare`: turns a published checkpoint of PARE, or one of the ETH course, into released weights."""

from __future__ import annotations

import dataclasses

from hpe.errors import SettingError
from hpe.options import option
from hpe.programs import flags as program_flags
from hpe.programs.converting import read_checkpoint, release

_SIZE = 224
_FOCAL = 5000.0


@dataclasses.dataclass(frozen=True)
class ConvertConfig:
    """Which checkpoint to convert; names are flag names."""

    input: str = option("", "PyTorch checkpoint to read, such as pare_w_3dpw_checkpoint.ckpt.")
    output: str = option("", "File to write, ending in .safetensors.")
    body_model: str = option("", "SMPL's file, .pkl or .npz: the weights are for that body.")
    licence: str = option(
        "unknown",
        "Licence of the weights, which is written into the file; the published ones are for research.",
    )


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
    loaded = read_checkpoint(config, example="pare_checkpoint.ckpt", suffix=".safetensors")
    if not config.body_model:
        raise SettingError(
            "body_model", "is missing; PARE's weights are for SMPL, whose file cannot be passed on."
        )
    # Keras, which the help can do without.
    from hpe.networks import pare_weights
    from hpe.systems.settings.pare import PareConfig, UpFusion

    found = pare_weights.describe(loaded, source=config.input)
    model = PareConfig(
        encoder=found.encoder,
        hrnet_width=found.width or PareConfig.hrnet_width,
        up_fusion=UpFusion.CONV if found.joined_by_convolutions else UpFusion.INTERP,
        part_layers=found.layers,
        part_filters=found.filters,
        shape_features=found.shape_features,
        start_at_mean=False,
        focal_length=_FOCAL,
        smpl_model_path=config.body_model,
    )
    left = release(
        config, loaded, "pare", model, size=_SIZE, about="PARE, published", assign=pare_weights.assign
    )
    width = f"-W{found.width}" if found.width else ""
    return [
        f"{config.output}: {found.encoder}{width}, {found.layers} layers of {found.filters} channels a branch",
        *left,
    ]


if __name__ == "__main__":
    from hpe.programs.cli import run

    run("convert-pare")
