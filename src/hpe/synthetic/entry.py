"""Flags of synthetic people; the generator is imported when somebody asks for it."""

from __future__ import annotations

import dataclasses

from hpe.datasets.registry import Entry, WriteConfig, require_at_least, require_folder
from hpe.datasets.source import Source
from hpe.errors import SettingError
from hpe.options import option


@dataclasses.dataclass(frozen=True)
class SyntheticPeopleConfig:
    """Synthetic people."""

    synthetic: int = option(0, "Create synthetic_train with this many people.")
    synthetic_val: int = option(
        0, "Create synthetic_val with this many people, none of them in synthetic_train."
    )
    backgrounds: str = option("", "Folder of photographs to put behind synthetic people; empty: painted.")
    synthetic_size: int = option(256, "Side of synthetic images in pixels; people are about 150 pixels tall.")
    synthetic_heading: float = option(
        180.0, "Synthetic people turn away from the camera by up to this many degrees."
    )
    body_model: str = option("default", "Body of synthetic people: default, or a file in the SMPL layout.")

    def __post_init__(self):
        for name in ("synthetic", "synthetic_val"):
            require_at_least(self, name, 0)


def open_synthetic(config: SyntheticPeopleConfig, write: WriteConfig) -> list[Source]:
    """Returns training and validation people, as many as are asked for."""
    counts = ((config.synthetic, False), (config.synthetic_val, True))
    if not any(count for count, _ in counts):
        return []
    # The generator compiles a rasteriser and reads the body model: only who asks for it waits.
    from hpe.synthetic.people import SyntheticConfig
    from hpe.synthetic.source import synthetic

    if config.backgrounds:
        require_folder(config.backgrounds, "backgrounds")
    try:
        look = SyntheticConfig(
            image_size=config.synthetic_size,
            backgrounds=config.backgrounds,
            heading=config.synthetic_heading,
            seed=write.seed,
        )
    except ValueError as error:
        raise SettingError("synthetic", str(error)) from error
    return [
        synthetic(count, look, body_model=config.body_model, validation=validation)
        for count, validation in counts
        if count
    ]


ENTRY = Entry("synthetic", "`synthetic=N`, `synthetic_val=N`", SyntheticPeopleConfig, open_synthetic)
