"""`hpe convert-body-model`: turns a SMPL pickle into an npz that needs no unpickling."""

from __future__ import annotations

import dataclasses
import pathlib

from hpe.body.data import load_body_model, save_body_model
from hpe.errors import SettingError
from hpe.options import option
from hpe.programs import flags as program_flags


@dataclasses.dataclass(frozen=True)
class ConvertConfig:
    """Which body model file to convert; names are flag names."""

    input: str = option("", "Body model to read: a .pkl or .npz in the SMPL layout.")
    output: str = option("", "File to write, ending in .npz.")


def define_flags() -> None:
    """Defines the flags of this program."""
    program_flags.define(ConvertConfig)


def main() -> None:
    """Converts the file that the flags name and says what was in it."""
    print(convert(program_flags.read(ConvertConfig)))


def convert(config: ConvertConfig) -> str:
    """Converts one file and returns one line that says what it holds.

    Raises:
        UserError: a flag is missing, or a file cannot be read or written.
    """
    if not config.input:
        raise SettingError("input", "is missing; give the SMPL pickle to convert, as in `input=model.pkl`.")
    if pathlib.Path(config.output).suffix != ".npz":
        raise SettingError("output", "must name a file ending in .npz.", config.output)
    data = load_body_model(config.input)
    save_body_model(config.output, data)
    correctives = "no" if data.pose_dirs is None else str(data.pose_dirs.shape[2])
    return (
        f"{config.output}: {data.name}, {len(data.v_template)} vertices, {len(data.faces)} faces, "
        f"{data.shape_dirs.shape[2]} shape components, {correctives} pose correctives"
    )


if __name__ == "__main__":
    from hpe.programs.cli import run

    run("convert-body-model")
