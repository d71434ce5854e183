"""What a system is shown: the settings that training and prediction share, by kind of input.

The pipeline's settings are these and what training does to the input besides. Prediction reads these alone.
"""

from __future__ import annotations

import dataclasses

from hpe import skeletons
from hpe.errors import SettingError
from hpe.geometry.crops import BOX_SHARE
from hpe.options import option

# The name of the 2D joints that are projections of the 3D joints.
GROUND_TRUTH = "gt"

_AUTO = "auto"


@dataclasses.dataclass(frozen=True)
class ImageInput:
    """Square crops of pictures."""

    img_size: int = option(224, "Side of the square crop that the network sees, in pixels.")
    box_share: float = option(
        BOX_SHARE, "Share of the crop's side that the longer side of a person's box fills."
    )

    def __post_init__(self):
        if self.img_size < 1:
            raise SettingError("img_size", "must be at least 1.", self.img_size)
        if not 0 < self.box_share <= 1:
            raise SettingError("box_share", "must be above 0 and not above 1.", self.box_share)


@dataclasses.dataclass(frozen=True)
class JointsInput:
    """2D joints."""

    keypoints: str = option(
        GROUND_TRUTH,
        "2D joints by their name in the records: gt, projections of the 3D joints, or a detector such as sh; or "
        "detections in a file of VideoPose3D's layout, data_2d_h36m_NAME.npz, frame by frame for these records.",
    )
    input_skeleton: str = option(
        _AUTO,
        f"Joint set of the 2D joints: {', '.join(sorted(skeletons.SKELETONS))}; auto is h36m16 for gt, "
        "else mpii16.",
    )
    undistort: bool = option(
        False,
        "Take the camera out of the 2D joints: X / Z and Y / Z instead of pixels, the lens's distortion undone.",
    )

    def __post_init__(self):
        if self.input_skeleton not in (_AUTO, *skeletons.SKELETONS):
            raise SettingError(
                "input_skeleton",
                f"must be auto or one of {', '.join(sorted(skeletons.SKELETONS))}.",
                self.input_skeleton,
            )
        if not self.keypoints:
            raise SettingError("keypoints", "must name 2D joints.")

    @property
    def skeleton(self) -> str:
        """Name of the joint set of the 2D joints."""
        if self.input_skeleton != _AUTO:
            return self.input_skeleton
        same = self.keypoints == GROUND_TRUTH
        return (skeletons.H36M16 if same else skeletons.MPII16).name
