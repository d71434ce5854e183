"""A body model, drawn; for the program show_body."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

import keras
import numpy as np

from hpe import skeletons
from hpe.body.body_model import BodyModel
from hpe.body.data import load_body_model
from hpe.geometry.rotations import axis_angle_to_rotmat
from hpe.synthetic.poses import random_pose
from hpe.visualization.grids import grid, write_image
from hpe.visualization.rasterizer import Camera, render
from hpe.visualization.skeletons import draw_skeleton

if TYPE_CHECKING:
    from hpe.programs.show_body import ShowBodyConfig

_PAPER = 244
_NUM_POSES = 10
_SHAPE_STEPS = (-2.0, 0.0, 2.0)
_FADED = 0.45  # how much of the body is seen behind its joints
_METRES_ACROSS = 1.95
# Sides of the single pictures in units of --cell, so that every file stays below 300 kB.
_POSE_CELL, _SHAPE_CELL = 0.64, 0.48


def show_body(config: ShowBodyConfig) -> list[pathlib.Path]:
    """Writes the three pictures and returns their paths.

    Raises:
        UserError: the body model cannot be read or a picture cannot be written.
    """
    artist = Artist(load_body_model(config.body_model))
    pictures = {
        "body_tpose.png": artist.rest_pose(config.cell),
        "body_poses.png": artist.poses(round(_POSE_CELL * config.cell), np.random.default_rng(config.seed)),
        "body_shapes.png": artist.shapes(round(_SHAPE_CELL * config.cell)),
    }
    folder = pathlib.Path(config.output_dir)
    for name, picture in pictures.items():
        write_image(folder / name, picture)
    return [folder / name for name in pictures]


class Artist:
    """Draws one body.

    Args:
        data: its `BodyModelData`.
    """

    def __init__(self, data):
        self.data = data
        self.layer = BodyModel(data)
        self.num_shapes = data.shape_dirs.shape[2]

    def rest_pose(self, size):
        """Returns views of the rest pose, each `size` pixels, with joints over some."""
        pose = np.zeros(72)
        pose[0] = np.pi
        views = [
            self.draw(size, pose),
            self.draw(size, pose, turn=90.0),
            self.draw(size, pose, turn=180.0),
            self.draw(size, pose, over="joints"),
            self.draw(size, pose, over="joints", turn=90.0),
            self.draw(size, pose, over="keypoints"),
        ]
        captions = ["front", "left side", "back", "SMPL joints", "SMPL joints", "cocoplus keypoints"]
        return grid(views, 3, captions=captions)

    def poses(self, size, generator):
        """Returns bodies in random postures, and their joints below."""
        bodies, joints = [], []
        for _ in range(_NUM_POSES):
            pose = random_pose(generator, max_heading=1.2, max_tilt=0.1)
            shape = generator.normal(size=self.num_shapes)
            bodies.append(self.draw(size, pose, shape))
            joints.append(self.draw(size, pose, shape, over="joints"))
        half = _NUM_POSES // 2
        return grid([*bodies[:half], *joints[:half], *bodies[half:], *joints[half:]], half)

    def shapes(self, size):
        """Returns the ends and the middle of every shape component."""
        views, captions = [], []
        for step in _SHAPE_STEPS:
            for component in range(self.num_shapes):
                shape = np.zeros(self.num_shapes)
                shape[component] = step
                views.append(self.draw(size, self.data.mean_pose, shape)[:, size // 4 : -size // 4])
                captions.append(f"{component + 1}: {step:+.0f}" if step else f"{component + 1}: 0")
        return grid(views, self.num_shapes, captions=captions)

    def draw(self, size, pose, shape=None, *, turn=0.0, over=None):
        """Draws one body upright in the middle of a square picture, seen from `turn` degrees to its left."""
        shape = np.zeros(self.num_shapes) if shape is None else shape
        rotmats = axis_angle_to_rotmat(np.asarray(pose, np.float32).reshape(1, 24, 3))
        outputs = self.layer(rotmats, np.asarray(shape, np.float32)[None])
        points = {key: keras.ops.convert_to_numpy(value)[0] for key, value in outputs.items()}
        cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        view = np.array([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])
        points = {key: value @ view.T for key, value in points.items()}
        vertices = points["vertices"]
        centre = 0.5 * (vertices.max(axis=0) + vertices.min(axis=0))
        scale = size / max(_METRES_ACROSS, 1.04 * np.ptp(vertices[:, :2], axis=0).max())
        camera = Camera(scale, scale, *(0.5 * (size - 1) - scale * centre[:2]), perspective=False)
        paper = np.full((size, size, 3), _PAPER, np.uint8)
        image = render(
            vertices,
            self.data.faces,
            camera,
            (size, size),
            vertex_colors=self.data.vertex_colors,
            background=paper,
        ).color
        if over is None:
            return image
        image = np.rint(_FADED * image + (1.0 - _FADED) * paper).astype(np.uint8)
        skeleton = skeletons.SMPL24 if over == "joints" else skeletons.COCOPLUS19
        return draw_skeleton(image, camera.project(points[over])[:, :2], skeleton)
