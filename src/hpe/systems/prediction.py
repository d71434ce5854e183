"""What every system says about an image: the only type that metrics, preview and exporters take."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from hpe.skeletons.parts import BoneLengths

# Heat maps are learned with peaks of 1; below a tenth of that a peak is noise, and its place says nothing.
FOUND_CONFIDENCE = 0.1


def is_found(confidence):
    """Tells which 2D joints were found, of confidences of any shape; for NumPy arrays and tensors."""
    return confidence > FOUND_CONFIDENCE


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Pose, and where the system has it shape, of one person per crop of a batch of B square crops.

    Attributes:
        skeleton: name of the joint set of `joints2d`, and of `joints3d` unless `skeleton3d` says otherwise, see
            `hpe.skeletons`.
        joints2d: (B, J, 2) float32, crop coordinates in [-1, 1], x = 2 px / size - 1.
        joints3d: (B, J, 3) float32, metres, camera axes (x right, y down, z forward), or None.
        camera: (B, 3) float32 weak-perspective (s, tx, ty): p = s (X_xy + t), or None.
        vertices: (B, V, 3) float32, metres, same frame as `joints3d`, or None.
        faces: (F, 3) int32 triangles of `vertices`, or None.
        vertex_colors: (V, 3) uint8 RGB, or None.
        pose: (B, 24, 3, 3) float32 rotation matrices, root first, or None.
        shape: (B, 10) float32 shape coefficients, or None.
        confidence: (B, J) float32 in [0, 1], how sure `joints2d` are, or None.
        skeleton3d: name of the joint set of `joints3d` where it is another one, or None.
        maps: what a view of its name shows of the crop: (B, h, w, C) float32, whose cells divide the crop.
        bones: of systems that find places in the picture and depths from the root, in metres, the lengths by which
            x, y and the distance follow for whoever knows the camera, see `hpe.geometry.camera_space`; or None.
            `joints3d` has them by weak perspective.
    """

    skeleton: str
    joints2d: np.ndarray
    joints3d: np.ndarray | None = None
    camera: np.ndarray | None = None
    vertices: np.ndarray | None = None
    faces: np.ndarray | None = None
    vertex_colors: np.ndarray | None = None
    pose: np.ndarray | None = None
    shape: np.ndarray | None = None
    confidence: np.ndarray | None = None
    skeleton3d: str | None = None
    maps: Mapping[str, np.ndarray] = dataclasses.field(default_factory=lambda: MappingProxyType({}))
    bones: BoneLengths | None = None

    @property
    def joints3d_skeleton(self) -> str:
        """Name of the joint set of `joints3d`."""
        return self.skeleton3d or self.skeleton

    def __len__(self) -> int:
        return len(self.joints2d)
