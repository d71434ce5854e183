"""Motion of a body's joints as Biovision hierarchy (.bvh), which animation programs read.

Lengths are centimetres, as motion-capture files have them, y up. Angles are degrees, intrinsic, in the order
Z, Y, X.
"""

from __future__ import annotations

import os

import numpy as np
from scipy.spatial.transform import Rotation

from hpe import files
from hpe.export.motion import BodyMotion
from hpe.skeletons import SMPL24

_CENTIMETRES = 100.0
_CHANNELS = "Zrotation Yrotation Xrotation"
# A hand or a foot ends somewhere; of joints without children the file wants to know where.
_END = 0.5  # of the bone before
_STILL = 1 / 30  # seconds that the one frame of a pose lasts


def write_bvh(path: str | os.PathLike, motion: BodyMotion) -> None:
    """Writes the motion of one person.

    Args:
        path: the file, ending in .bvh; its folder is made.
        motion: frames whose times are not even are written at their mean distance: the format has one for all.

    Raises:
        UserError: the file cannot be written.
    """
    files.write_text(path, to_bvh(motion))


def to_bvh(motion: BodyMotion) -> str:
    """Returns the content of the file."""
    offsets, parents = _CENTIMETRES * motion.offsets(), motion.body.parents
    children = {joint: list(np.flatnonzero(parents == joint)) for joint in range(len(parents))}
    lines, order = ["HIERARCHY"], []

    def describe(joint: int, depth: int) -> None:
        indent = "  " * depth
        order.append(joint)
        lines.append(f"{indent}{'JOINT' if depth else 'ROOT'} {SMPL24.joints[joint]}")
        lines.append(f"{indent}{{")
        # The root's place is in every frame.
        lines.append(f"{indent}  OFFSET {_numbers(offsets[joint] if depth else np.zeros(3))}")
        moves = "3 " if depth else "6 Xposition Yposition Zposition "
        lines.append(f"{indent}  CHANNELS {moves}{_CHANNELS}")
        for child in children[joint]:
            describe(child, depth + 1)
        if not children[joint]:
            end = _numbers(_END * offsets[joint])
            lines.extend(
                [f"{indent}  End Site", f"{indent}  {{", f"{indent}    OFFSET {end}", f"{indent}  }}"]
            )
        lines.append(f"{indent}}}")

    describe(0, 0)
    rotations = motion.local_rotations()[:, order]
    frames = len(rotations)
    # Upper case is intrinsic in SciPy; the first angle is about z.
    angles = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_euler("ZYX", degrees=True)
    rows = np.concatenate([_CENTIMETRES * motion.root_positions(), angles.reshape(frames, -1)], axis=1)
    step = float(np.mean(np.diff(motion.times))) if frames > 1 else _STILL
    lines += ["MOTION", f"Frames: {frames}", f"Frame Time: {step:.7f}"]
    lines += [_numbers(row) for row in rows]
    return "\n".join(lines) + "\n"


def _numbers(values) -> str:
    # Adding 0 turns -0.0 into 0.0.
    return " ".join(f"{value + 0.0:.5f}" for value in np.round(values, 5))
