"""What the pipeline of poses is told: which 2D joints, and the augmentation."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from hpe.errors import SettingError
from hpe.options import option
from hpe.systems.inputs import JointsInput


@dataclasses.dataclass(frozen=True)
class PosePipelineConfig(JointsInput):
    """Settings of the pipeline of poses, those of the input included; names are flag names."""

    # What a dataset may have of its own, see `hpe.pipeline.spec`.
    OWN: ClassVar[tuple[str, ...]] = (
        *("flip", "rotation_max", "reproject", "turn_max", "turn_share", "shift_max", "bone_max"),
    )

    flip: bool = option(True, "Mirror every second training pose, on average.")
    rotation_max: float = option(
        0.0, "Training poses are turned in the image plane by up to this many degrees."
    )
    reproject: bool = option(
        False,
        "Turn and shift the person on the ground and project again through the sequence's own camera; detections "
        "keep their error.",
    )
    turn_max: float = option(
        180.0, "With `reproject` people are turned about the vertical axis by up to this many degrees."
    )
    turn_share: float = option(1.0, "With `reproject` this share of the people is turned.")
    shift_max: float = option(
        0.5, "With `reproject` people are shifted on the ground by up to this many metres per axis."
    )
    bone_max: float = option(
        0.0, "With `reproject` bones grow or shrink by up to this part, each by its own, left as right."
    )

    def __post_init__(self):
        super().__post_init__()
        for name, largest in (
            ("rotation_max", 180),
            ("turn_max", 180),
            ("turn_share", 1),
            ("shift_max", 10),
            ("bone_max", 0.9),
        ):
            if not 0 <= getattr(self, name) <= largest:
                raise SettingError(name, f"must be from 0 to {largest}.", getattr(self, name))

    @property
    def augments(self) -> bool:
        """Whether training poses are changed at all."""
        return self.flip or self.rotation_max > 0 or self.reproject
