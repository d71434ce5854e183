"""Whether 3D labels are in the unit and the frame that they are read in: people and pictures tell.

A person is 0.5 to 3 m tall, and 3D joints in the frame of a camera (x right, y down, z forward) are seen where the
2D joints are. Nothing is guessed: labels of another convention are refused with the one that fits.
"""

from __future__ import annotations

import numpy as np

from hpe.errors import UserError
from hpe.geometry.cameras import PinholeCamera

SMALLEST_PERSON, LARGEST_PERSON = 0.5, 3.0
MM_PER_M = 1000.0

# Why poses are left out that `are_radians` says no to.
NO_RADIANS = "poses are no rotations in radians: are they in degrees?"

_PER_METRE = {
    "metres": 1.0,
    "centimetres": 100.0,
    "millimetres": MM_PER_M,
    "inches": 39.37,
    "micrometres": 1e6,
}
# Columns of the root and the 21 joints of the body, which SMPL's relatives share.
_BODY_COLUMNS = 66
_FULL_TURN, _RARELY = 2 * np.pi, 0.01
# Of so many people the axes are judged, evenly spread.
_PEOPLE = 128
# Fewer joints say little of a camera.
_LEAST_JOINTS = 6
# Distances from the 2D joints in shares of their spread: what perspective makes of a weak-perspective fit, and what
# it does not.
_NEAR, _FAR = 0.25, 0.35
# What is seen as x and y of the picture if labels have other axes.
_AXES = {
    "": ((0, 1), (1, 1)),
    "y is up": ((0, 1), (1, -1)),
    "x is left": ((0, 1), (-1, 1)),
    "x is left and y is up": ((0, 1), (-1, -1)),
    "z is up and y forward": ((0, 2), (1, -1)),
    "z is down and y forward": ((0, 2), (1, 1)),
}


def check_height(joints: np.ndarray, where: str, *, unit: str) -> None:
    """Raises UserError if people are no 0.5 to 3 m tall.

    Args:
        joints: (N, J, 3) metres; people with numbers that are not finite are passed over.
        where: what they are, for the message.
        unit: of the file, as it was read.
    """
    finite = joints[np.isfinite(joints).all(axis=(1, 2))]
    if not len(finite):
        return
    tall = float(np.median(np.linalg.norm(np.ptp(finite, axis=1), axis=-1)))
    if SMALLEST_PERSON <= tall <= LARGEST_PERSON:
        return
    in_file = tall * _PER_METRE[unit]
    fitting = [
        name for name, size in _PER_METRE.items() if SMALLEST_PERSON <= in_file / size <= LARGEST_PERSON
    ]
    hint = f"; they seem to be in {fitting[0]}" if fitting else ""
    raise UserError(f"{where}: a person is {tall:.3g} m tall if the unit is {unit}, as wanted{hint}.")


def are_radians(poses: np.ndarray) -> bool:
    """Whether axis-angle poses can be in radians: hardly a rotation of the body goes beyond a full turn.

    The root is passed over, for who spins may wind it up.

    Args:
        poses: (..., 72) or more columns, root first; of joints of hands nothing is asked.
    """
    body = poses[..., 3:_BODY_COLUMNS].reshape(-1, 3)
    beyond = ~(np.linalg.norm(body.astype(np.float64), axis=1) <= _FULL_TURN)
    return not len(body) or float(beyond.mean()) < _RARELY


def check_axes(joints3d: np.ndarray, joints2d: np.ndarray, known: np.ndarray, where: str) -> None:
    """Raises UserError if 3D joints are not seen where the 2D joints are.

    Every person is put onto the 2D joints by the weak-perspective camera that fits best, so that it does not matter
    where the origin lies.

    Args:
        joints3d: (N, J, 3) in the frame of the camera, any unit.
        joints2d: (N, J, 2) pixels of the same joints.
        known: (N, J) bool, which of them are known in both.
        where: what they are, for the message.
    """
    usable = known & np.isfinite(joints3d).all(axis=-1) & np.isfinite(joints2d).all(axis=-1)
    people = np.flatnonzero(usable.sum(axis=1) >= _LEAST_JOINTS)
    people = people[:: max(1, len(people) // _PEOPLE)]
    if not len(people):
        return
    errors = {
        name: float(
            np.median(
                [
                    _distance(
                        joints3d[person][usable[person]][:, list(order)] * signs,
                        joints2d[person][usable[person]],
                    )
                    for person in people
                ]
            )
        )
        for name, (order, signs) in _AXES.items()
    }
    if errors[""] <= _FAR:
        return
    best = min(errors, key=errors.get)
    seen = f"3D joints lie {errors['']:.0%} of a person from the 2D joints"
    if errors[best] <= _NEAR:
        raise UserError(
            f"{where}: {seen} if x is right, y down and z forward, as wanted; they fit if {best}. Bring the file "
            "into the usual axes."
        )
    raise UserError(f"{where}: {seen}; the two do not belong together, or are in unlike frames.")


def _distance(plane: np.ndarray, pixels: np.ndarray) -> float:
    """Returns how far points (J, 2) stay from pixels, in shares of their spread, by the best scale above 0."""
    plane = plane - plane.mean(axis=0)
    pixels = pixels - pixels.mean(axis=0)
    spread = np.sqrt((pixels**2).sum())
    scale = max(float((plane * pixels).sum()), 0.0) / max(float((plane**2).sum()), 1e-12)
    return float(np.sqrt(((scale * plane - pixels) ** 2).sum()) / max(spread, 1e-9))


def fit_pinhole(
    joints3d: np.ndarray, joints2d: np.ndarray, size: tuple[int, int] | None = None
) -> tuple[PinholeCamera | None, float]:
    """Finds the camera that sees points of its frame at given pixels, u = f X / Z + c, by least squares.

    Args:
        joints3d: (N, 3) metres, x right, y down, z forward.
        joints2d: (N, 2) pixels.
        size: width and height of the picture in pixels.

    Returns:
        The camera, None where there is none, and the median distance of its projections in pixels.
    """
    usable = np.isfinite(joints3d).all(axis=1) & np.isfinite(joints2d).all(axis=1) & (joints3d[:, 2] > 0)
    if usable.sum() < _LEAST_JOINTS:
        return None, np.inf
    points, pixels = joints3d[usable], joints2d[usable]
    slopes = points[:, :2] / points[:, 2:]
    found = []
    for axis in range(2):
        # Around the means, which keeps the digits.
        mean = slopes[:, axis].mean()
        offset = slopes[:, axis] - mean
        spread = float((offset**2).sum())
        focal = float((offset * (pixels[:, axis] - pixels[:, axis].mean())).sum()) / max(spread, 1e-12)
        found.append((focal, float(pixels[:, axis].mean()) - focal * mean))
    focal, center = np.array(found).T
    if (focal <= 0).any() or not np.isfinite(found).all():
        return None, np.inf
    camera = PinholeCamera(focal, center, size)
    return camera, float(np.median(np.linalg.norm(camera.project(points) - pixels, axis=1)))
