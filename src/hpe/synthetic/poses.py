"""Random natural poses: a posture with variation, within joint limits, free of gross self-penetration."""

from __future__ import annotations

import functools

import numpy as np

from hpe.body.limits import limits_of
from hpe.geometry.euler import euler_to_axis_angle
from hpe.skeletons import SMPL24
from hpe.synthetic.collisions import self_penetration
from hpe.synthetic.postures import random_posture

_MIRROR = np.array([1.0, -1.0, -1.0])


def random_pose(generator, *, posture=None, variation=1.0, max_heading=np.pi, max_tilt=0.2, tries=20):
    """Draws a natural pose: a posture with variation, within joint limits, free of gross self-penetration.

    Args:
        generator: numpy.random.Generator.
        posture: a `postures.Posture`; None draws one by its share among people.
        variation: factor on the random deviation from the posture.
        max_heading: the body is turned about its vertical axis by up to this angle; 0 faces the camera.
        max_tilt: standard deviation-like bound of the tilt of the vertical axis, radians.
        tries: how many draws to make before the least self-penetrating one is taken.

    Returns:
        (72,) float32 axis-angle, root first, the root upright in the camera frame (y down): (pi, 0, 0) when
        heading and tilt are 0.
    """
    best, least = None, np.inf
    for _ in range(tries):
        pose = _draw(generator, posture, variation)
        depth = self_penetration(pose)
        if depth < least:
            best, least = pose, depth
        if least <= 0.0:
            break
    heading = generator.uniform(-max_heading, max_heading)
    tilt = generator.uniform(-max_tilt, max_tilt, size=2)
    # Turn upright first: R_x(pi) R_x(tilt) R_z(tilt) R_y(heading).
    best[0] = euler_to_axis_angle("xzy", np.array([np.pi + tilt[0], heading, tilt[1]]))
    return best.ravel().astype(np.float32)


def _draw(generator, posture, variation):
    """Returns (24, 3) axis-angle of a posture with noise, clipped to the limits; root at zero."""
    angles = random_posture(generator, posture)
    limited, orders, low, high = _limits()
    wanted = np.zeros((len(limited), 3))
    for row, joint in enumerate(limited):
        if joint in angles:
            # Postures speak of the left side in both cases; mirror the angles for the right.
            wanted[row] = angles[joint] * _MIRROR if joint.startswith("right_") else angles[joint]
    noise = 0.06 * variation * (high - low) * np.clip(generator.normal(size=wanted.shape), -2.0, 2.0)
    bounded = np.clip(wanted + noise, low, high)
    pose = np.zeros((len(SMPL24), 3))
    for order, rows in orders.items():
        places = [SMPL24.index(limited[row]) for row in rows]
        pose[places] = euler_to_axis_angle(order, bounded[rows])
    return pose


@functools.cache
def _limits():
    """Returns the joints that have limits, rows of them by order of axes, and both bounds (N, 3)."""
    found = {joint: limits for joint in SMPL24.joints if (limits := limits_of(joint)) is not None}
    orders: dict[str, list[int]] = {}
    for row, limits in enumerate(found.values()):
        orders.setdefault(limits.order, []).append(row)
    bounds = np.array([(limits.x, limits.y, limits.z) for limits in found.values()], np.float64)
    return list(found), orders, bounds[..., 0], bounds[..., 1]
