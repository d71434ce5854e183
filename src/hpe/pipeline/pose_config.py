"""What the pipeline of poses is told: which 2D joints, and the augmentation."""

from __future__ import annotations

import dataclasses

from hpe import skeletons
from hpe.datasets.pose_sequence import GROUND_TRUTH
from hpe.options import option

_AUTO = "auto"


@dataclasses.dataclass(frozen=True)
class PosePipelineConfig:
    """Settings of the pipeline of poses; names are flag names."""

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
        180.0, "With --reproject people are turned about the vertical axis by up to this many degrees."
    )
    turn_share: float = option(1.0, "With --reproject this share of the people is turned.")
    shift_max: float = option(
        0.5, "With --reproject people are shifted on the ground by up to this many metres per axis."
    )
    bone_max: float = option(
        0.0, "With --reproject bones grow or shrink by up to this part, each by its own, left as right."
    )

    def __post_init__(self):
        if self.input_skeleton not in (_AUTO, *skeletons.SKELETONS):
            raise ValueError(
                f"--input_skeleton must be auto or one of {', '.join(sorted(skeletons.SKELETONS))}. "
                f"Received: input_skeleton={self.input_skeleton}"
            )
        if not self.keypoints:
            raise ValueError("--keypoints must name 2D joints. Received: keypoints=")
        for name, largest in (
            ("rotation_max", 180),
            ("turn_max", 180),
            ("turn_share", 1),
            ("shift_max", 10),
            ("bone_max", 0.9),
        ):
            if not 0 <= getattr(self, name) <= largest:
                raise ValueError(
                    f"--{name} must be from 0 to {largest}. Received: {name}={getattr(self, name)}"
                )

    @property
    def skeleton(self) -> str:
        """Name of the joint set of the 2D joints."""
        if self.input_skeleton != _AUTO:
            return self.input_skeleton
        same = self.keypoints == GROUND_TRUTH
        return (skeletons.H36M16 if same else skeletons.MPII16).name

    @property
    def augments(self) -> bool:
        """Whether training poses are changed at all."""
        return self.flip or self.rotation_max > 0 or self.reproject
