"""Pose sequences for tests: random people before a camera like those of Human3.6M."""

import numpy as np

from hpe import skeletons
from hpe.datasets.pose_sequence import Keypoints, PoseSequence
from hpe.geometry.cameras import perspective_project

F, C = np.float32([1145.0, 1144.0]), np.float32([512.5, 515.5])
K, P = np.float32([-0.207, 0.248, -0.003]), np.float32([-0.0014, -0.001])


def joints(frames, seed=0):
    """People (T, 17, 3) at four to six metres, camera frame."""
    rng = np.random.default_rng(seed)
    place = rng.uniform([-1, -0.5, 4], [1, 0.5, 6], (frames, 1, 3))
    return (place + rng.uniform(-0.7, 0.7, (frames, 17, 3))).astype(np.float32)


def rotation(seed=0):
    """A camera (3, 3) that looks at people whose vertical is the world's z."""
    tilt = 0.1 + 0.05 * seed
    across = np.array([np.cos(seed), np.sin(seed), 0.0])
    down = np.array([0.0, 0.0, -1.0])
    forward = np.cross(across, down)
    down, forward = (
        np.cos(tilt) * down - np.sin(tilt) * forward,
        np.sin(tilt) * down + np.cos(tilt) * forward,
    )
    return np.stack([across, down, forward]).astype(np.float32)


def sequence(frames=6, seed=0, **changes):
    """A sequence with projections `gt` and detections `sh`, which are some pixels off."""
    points = joints(frames, seed)
    projected = perspective_project(points, F, C, K, P).astype(np.float32)
    to_mpii = skeletons.convert(skeletons.H36M17, skeletons.MPII16)
    noise = np.random.default_rng(seed + 100).normal(scale=5.0, size=(frames, 16, 2))
    detected = (to_mpii.coordinates(projected) + noise).astype(np.float32)
    given = {
        "name": f"S{seed}/Walking/cam",
        "subject": f"S{seed}",
        "action": ("Walking", "Sitting")[seed % 2],
        "camera": "cam",
        "joints3d": points,
        "keypoints": {"gt": Keypoints("h36m17", projected), "sh": Keypoints("mpii16", detected)},
        "f": F,
        "c": C,
        "k": K,
        "p": P,
        "rotation": rotation(seed),
        "translation": np.float32([1.8, 4.9, 1.5]),
        "image_size": (1000, 1002),
    }
    return PoseSequence(**given | changes)
