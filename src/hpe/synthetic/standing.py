"""A person before the camera: posture, shape, heading, and how far the camera looks down."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.spatial.transform import Rotation

from hpe.body.data import NUM_SHAPES
from hpe.skeletons import COCOPLUS19, SMPL24
from hpe.synthetic.captured import Postures
from hpe.synthetic.dressed_body import NumpyBody
from hpe.synthetic.poses import random_pose

_LARGEST_SHAPE = 2.5


@dataclasses.dataclass(frozen=True)
class Stand:
    """A person before the camera.

    Attributes:
        pose, shape: (72,) and (10,) float32.
        faces: (F, 3) int32.
        vertices, keypoints: (V, 3) and (19, 3) float32, metres, camera frame.
        upright: (3, 3) rotation from the world, whose y axis is plumb, into the camera frame.
        elevation: radians that the camera looks down.
    """

    pose: np.ndarray
    shape: np.ndarray
    faces: np.ndarray
    vertices: np.ndarray
    keypoints: np.ndarray
    upright: np.ndarray
    elevation: float


def stand(
    rng, body: NumpyBody, postures: Postures | None, *, heading: float, beside: Stand | None = None
) -> Stand:
    """Draws a pose, a shape, a heading and the tilt of the camera.

    Args:
        rng: numpy.random.Generator.
        body: whose person it is.
        postures: what to draw the pose from; None draws a random one within the joint limits.
        heading: radians by which people turn away from the camera at most.
        beside: somebody who is seen by the same camera.
    """
    shape = np.clip(rng.standard_normal(NUM_SHAPES), -_LARGEST_SHAPE, _LARGEST_SHAPE).astype(np.float32)
    shape[body.data.shape_dirs.shape[2] :] = 0
    number = None if postures is None else rng.integers(len(postures))
    pose = random_pose(rng) if postures is None else np.array(postures.poses[number], np.float32)
    elevation = np.radians(rng.uniform(-5, 25))
    upright = Rotation.from_euler("xz", [elevation, np.radians(rng.normal(0, 4))])
    if beside is not None:
        elevation, upright = beside.elevation, Rotation.from_matrix(beside.upright)
    if postures is not None and postures.upright[number]:
        lean = Rotation.from_rotvec(pose[:3])
    else:
        lean = Rotation.from_euler("x", _balancing_lean(body, pose))
        if rng.uniform() < 0.06:  # A fall, a dive, gymnastics.
            lean = Rotation.from_euler("xz", rng.uniform(-np.pi, np.pi, 2)) * lean
    turn = Rotation.from_euler("y", rng.uniform(-heading, heading))
    to_camera_axes = Rotation.from_euler("x", np.pi)  # The rest pose has y up and z towards the viewer.
    pose[:3] = (upright * to_camera_axes * turn * lean).as_rotvec()
    vertices, _ = body.pose(pose, shape)
    keypoints = body.keypoints(COCOPLUS19.name, vertices)
    return Stand(pose, shape, body.data.faces, vertices, keypoints, upright.as_matrix(), elevation)


def _balancing_lean(body, pose) -> float:
    """Returns the angle about x to lean forward so that the standing foot comes below the pelvis.

    Poses know nothing of the ground: a person bending over has, with an upright pelvis, both legs in the air
    before it. Whoever sits, both knees bent, keeps most of the upright trunk.
    """
    unturned = pose.copy()
    unturned[:3] = 0
    joints = body.mean_joints(unturned)
    at = {name: joints[n] for n, name in enumerate(SMPL24.joints)}
    foot = min(at["left_ankle"], at["right_ankle"], key=lambda joint: joint[1])
    angle = np.arctan2(foot[2] - at["pelvis"][2], at["pelvis"][1] - foot[1])
    bends = [np.linalg.norm(pose.reshape(-1, 3)[SMPL24.index(f"{side}_knee")]) for side in ("left", "right")]
    return float(np.clip(angle, -1.2, 1.2) * (0.3 if min(bends) > 1.0 else 0.75))
