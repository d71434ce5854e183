"""`hpe export --checkpoint=RUN --output=NAME`: a model as a file that runs without this package."""

from __future__ import annotations

import dataclasses
import pathlib

from hpe.errors import SettingError
from hpe.options import option
from hpe.programs import flags as program_flags

WEIGHTS = "weights"
_FORMATS = ("saved_model", "litert", "onnx", WEIGHTS)
_ENDINGS = {"saved_model": "", "litert": ".tflite", "onnx": ".onnx", WEIGHTS: ".safetensors"}


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
        "saved_model (a folder for TensorFlow), litert (for telephones, one crop at a time), onnx, or weights (a "
        "run as one file without optimizers, for hpe.load and other programs); by default what the ending of the "
        "output says.",
    )
    output: str | None = option(
        None,
        "Folder of the SavedModel, or file that ends in .tflite, .onnx or .safetensors; by default a folder called "
        "model.",
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
    if config.format == WEIGHTS or output.suffix == _ENDINGS[WEIGHTS]:
        _export_weights(config, output)
        return
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


def _export_weights(config: ExportConfig, output: pathlib.Path) -> None:
    """Writes what `release-weights` writes, exactly, and with no licence: to be handed over, not published."""
    if output.suffix != _ENDINGS[WEIGHTS]:
        raise SettingError("output", "must end in .safetensors for weights.", str(output))
    if config.format not in (None, WEIGHTS):
        raise SettingError("format", "a file that ends in .safetensors holds weights.", config.format)
    if config.system or config.lifter_checkpoint:
        raise SettingError("format", "holds the weights of one run; export each of the two.", WEIGHTS)
    from hpe.programs.startup import quiet_tensorflow
    from hpe.runs import load, released

    # What is ready to run, such as a preset, has no networks to be written.
    quiet_tensorflow()
    loaded = load(config.checkpoint, body_model=config.body_model)
    released.save(
        output,
        loaded.system,
        loaded.settings,
        licence=loaded.licence or "not said",
        about="",
        step=loaded.step,
        dtype="float32",
    )
    print(f"wrote {output} (weights), {output.stat().st_size / 2**20:.1f} MiB; hpe.load takes it")


def define_flags() -> None:
    """Defines the flags of this program."""
    program_flags.define(ExportConfig)


if __name__ == "__main__":
    from hpe.programs.cli import run

    run("export")
