"""`hpe export --checkpoint=RUN --output=NAME`: a model as a file that runs without this package."""

from __future__ import annotations

import dataclasses
import pathlib

from hpe.errors import SettingError
from hpe.options import option
from hpe.programs import flags as program_flags

_FORMATS = ("saved_model", "litert", "onnx")
_ENDINGS = {"saved_model": "", "litert": ".tflite", "onnx": ".onnx"}


@dataclasses.dataclass(frozen=True)
class ExportConfig:
    """Which checkpoint, to what, and where."""

    system: str | None = option(
        None, "Two runs as one system, such as hrnet_lifter; by default the system of the run."
    )
    checkpoint: str | None = option(None, "Run directory, or one checkpoint in it.")
    lifter_checkpoint: str | None = option(None, "The same for the second stage of `system=hrnet_lifter`.")
    body_model: str | None = option(None, "Body model of the run, if its file has moved since the training.")
    format: str | None = option(
        None,
        "saved_model (a folder for TensorFlow), litert (for telephones, one crop at a time) or onnx; by default "
        "what the ending of the output says.",
    )
    output: str | None = option(
        None,
        "Folder of the SavedModel, or file that ends in .tflite or .onnx; by default a folder called model.",
    )

    def __post_init__(self):
        if self.checkpoint is None:
            raise SettingError("checkpoint", "is needed: the run directory that training created.")
        if self.format is not None and self.format not in _FORMATS:
            raise SettingError("format", f"must be one of {', '.join(_FORMATS)}.", self.format)


def main() -> None:
    """Loads, writes, and says how far the file is from the model."""
    config = program_flags.read(ExportConfig)
    output = pathlib.Path(config.output or f"model{_ENDINGS[config.format or _FORMATS[0]]}")
    from hpe.export.model_files import export_model, format_of
    from hpe.programs.loading import load_model

    # Known before the network is loaded.
    format = config.format or format_of(output).value
    model = load_model(
        config.system,
        config.checkpoint,
        lifter_checkpoint=config.lifter_checkpoint,
        body_model=config.body_model,
    )
    exported = export_model(model.system, output, format=format, details=model.details())
    checked = "not run, for want of a runtime"
    if exported.difference is not None:
        checked = f"its outputs differ from the model's by {exported.difference:.1g} at most"
    print(f"wrote {exported.path} ({exported.format.value}); {checked}")


def define_flags() -> None:
    """Defines the flags of this program."""
    program_flags.define(ExportConfig)


if __name__ == "__main__":
    from hpe.programs.cli import run

    run("export")
