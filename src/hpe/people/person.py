"""One person of one frame, in the frame's pixels and its pinhole camera: what the package hands out.

NumPy alone: a Person can be drawn, saved and computed with wherever it is taken.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from hpe.geometry.cameras import PinholeCamera

if TYPE_CHECKING:
    from hpe.visualization.view import View


@dataclasses.dataclass(frozen=True, eq=False)
class BodyParameters:
    """Pose and shape of a body model.

    Attributes:
        model: name of the body model that they are of, such as `smpl`.
        pose: (24, 3, 3) float32 rotation matrices relative to the parent joint, the root's first; camera axes.
        shape: (10,) float32 shape coefficients.
    """

    model: str
    pose: np.ndarray
    shape: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class CropMaps:
    """What a system says of every cell of a person's crop.

    Attributes:
        values: (h, w, C) float32, C layers.
        to_frame: (2, 3) affine map from cells, whose centres lie at integers, to pixels of the frame.
    """

    values: np.ndarray
    to_frame: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Person:
    """What a model says about one person of a frame.

    Lengths are metres; camera axes are x right, y down, z forward; pixels are those of the whole frame, with
    centres at integers. What the model does not predict is None.

    Attributes:
        box: (x, y, width, height) in pixels, where the person was looked for.
        score: how sure the detector is, in [0, 1]; 1 for a box that was given.
        track_id: number of the person over the frames of a video, or None.
        joints2d: (J, 2) float32 pixels, as the model saw them.
        confidence: (J,) float32 in [0, 1], how sure `joints2d` are; 0 where a joint was not found.
        skeleton: name of the skeleton of `joints2d`, see `hpe.skeletons`.
        joints3d: (J3, 3) float32 in the frame's camera, translation included.
        joints3d_skeleton: name of the skeleton of `joints3d`.
        vertices: (V, 3) float32 in the frame's camera, translation included.
        faces: (F, 3) int32 triangles of `vertices`, counter-clockwise seen from outside.
        camera: of the frame, one for all its people.
        translation: (3,) float32 that was added to joints and vertices, which the model predicts around the root.
        body: parameters of the body model.
        reprojection_error: mean pixels between `joints2d` and the projections of the 3D joints that both skeletons
            share.
        maps: maps of the person's crop by the name of the view that shows them, such as `attention`; mostly empty.
    """

    box: tuple[float, float, float, float]
    score: float
    track_id: int | None
    joints2d: np.ndarray
    confidence: np.ndarray
    skeleton: str
    joints3d: np.ndarray | None = None
    joints3d_skeleton: str | None = None
    vertices: np.ndarray | None = None
    faces: np.ndarray | None = None
    camera: PinholeCamera | None = None
    translation: np.ndarray | None = None
    body: BodyParameters | None = None
    reprojection_error: float | None = None
    maps: Mapping[str, CropMaps] = dataclasses.field(default_factory=lambda: MappingProxyType({}))

    def draw(self, image: np.ndarray, *, view: View | str | None = None) -> np.ndarray:
        """Draws the person over the frame.

        Args:
            image: (H, W, 3) uint8 RGB, the frame of the person.
            view: `skeleton`, `mesh`, `both` (beside the body turned by 60 degrees), `rotated` (that alone), `side`
                or `top`; by default the mesh, or the skeleton without one.

        Returns:
            (H, W', 3) uint8 RGB; twice as wide for `both`.
        """
        from hpe.visualization.views import draw_people

        return draw_people(image, [self], view=view)

    def save(self, path: str | os.PathLike) -> None:
        """Writes the person to a file, whose kind the ending of its name says; see `hpe.export.people`.

        Args:
            path: a file that ends in .json, .csv, .npz, .obj, .ply, .glb or .bvh; its folder is made.

        Raises:
            UserError: the ending is none of these, the person lacks what such a file holds (a mesh), or the file
                cannot be written.
        """
        from hpe.export.people import save_people

        save_people([self], path)
