"""`hpe show-records`: draws what record files hold as one grid of pictures."""

from __future__ import annotations

import dataclasses
import math

from hpe.errors import SettingError
from hpe.options import option
from hpe.programs import flags as program_flags


@dataclasses.dataclass(frozen=True)
class ShowConfig:
    """Which records to draw and how; names are flag names."""

    records: tuple[str, ...] = option(
        (), "Datasets by name, record files, manifests, folders; mocap as neutrSMPL_<set>."
    )
    data_dir: str = option("data", "Folder of the datasets.")
    output: str = option("records.png", "Picture file to write.")
    count: int = option(16, "Number of records to draw of each dataset, spread evenly over it.")
    columns: int = option(0, "Pictures per row; 0 makes the grid about square.")
    cell: int = option(360, "Side of a picture in pixels.")
    names: bool = option(True, "Write the names of the joints.")
    body_model: str = option(
        "default", "Body that shows mocap frames: default, or a file in the SMPL layout."
    )

    def __post_init__(self):
        for name, least in (("count", 1), ("columns", 0), ("cell", 64)):
            if getattr(self, name) < least:
                raise SettingError(name, f"must be at least {least}.", getattr(self, name))


def define_flags() -> None:
    """Defines the flags of this program."""
    program_flags.define(ShowConfig)


def main() -> None:
    """Draws the records that the flags name and says where the picture is."""
    config = program_flags.read(ShowConfig)
    # TensorFlow and Keras, which the help can do without.
    from hpe.programs.record_pictures import show
    from hpe.records.reading import available
    from hpe.visualization.grids import grid, write_image

    if not config.records:
        found = ", ".join(available(config.data_dir)) or "none"
        raise SettingError(
            "records", f"name a dataset or a record file; in {config.data_dir} there are: {found}."
        )
    pictures, captions = [], []
    for name in config.records:
        shown = show(name, config)
        pictures += [picture for picture, _ in shown]
        captions += [caption for _, caption in shown]
    columns = config.columns or math.ceil(math.sqrt(len(pictures)))
    write_image(config.output, grid(pictures, columns, captions=captions))
    print(f"{len(pictures)} records are drawn in {config.output}")


if __name__ == "__main__":
    from hpe.programs.cli import run

    run("show-records")
