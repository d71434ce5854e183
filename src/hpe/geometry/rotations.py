"""Rotation representations and the conversions between them, differentiable everywhere.

`axis_angle` (..., 3) is the unit axis times the angle in radians, `rotmat` (..., 3, 3) a rotation matrix that
acts on column vectors, `rot6d` (..., 6) the first two columns of the matrix written row by row.
All functions take and return `keras.ops` tensors of any batch shape and run on every Keras backend.
"""

from keras import ops

# Below this squared angle the closed forms lose digits in float32 and their Taylor series is exact.
_SMALL_SQUARED_ANGLE = 1e-4
_TINY = 1e-12


def axis_angle_to_rotmat(axis_angle):
    """Converts axis-angle to rotation matrices by Rodrigues' formula.

    Uses sin a / a and (1 - cos a) / a^2 as functions of a^2, so values and gradients are finite at angle 0.

    Args:
        axis_angle: (..., 3) axis times angle, radians.

    Returns:
        (..., 3, 3) rotation matrices.
    """
    axis_angle = ops.convert_to_tensor(axis_angle)
    x, y, z = (axis_angle[..., i] for i in range(3))
    squared = ops.sum(axis_angle * axis_angle, axis=-1)
    small = squared < _SMALL_SQUARED_ANGLE
    # Both arms of `where` must be finite: the gradient of the arm not taken is multiplied by 0, not dropped.
    safe = ops.where(small, ops.ones_like(squared), squared)
    angle = ops.sqrt(safe)
    sine = ops.where(small, 1.0 - squared / 6.0 * (1.0 - squared / 20.0), ops.sin(angle) / angle)
    half = ops.sin(0.5 * angle)
    cosine = ops.where(small, 0.5 - squared / 24.0 * (1.0 - squared / 30.0), 2.0 * half * half / safe)
    rows = [
        1.0 - cosine * (y * y + z * z),
        cosine * x * y - sine * z,
        cosine * x * z + sine * y,
        cosine * x * y + sine * z,
        1.0 - cosine * (x * x + z * z),
        cosine * y * z - sine * x,
        cosine * x * z - sine * y,
        cosine * y * z + sine * x,
        1.0 - cosine * (x * x + y * y),
    ]
    return ops.reshape(ops.stack(rows, axis=-1), (*ops.shape(axis_angle)[:-1], 3, 3))


def rotmat_to_quaternion(rotmat):
    """Converts rotation matrices to unit quaternions (w, x, y, z) with w >= 0.

    Of the four products 4 q_i q the one with the largest |q_i| is normalised, so nothing is divided by a
    small number at any angle (Shepperd 1978).

    Args:
        rotmat: (..., 3, 3) rotation matrices.

    Returns:
        (..., 4) quaternions, scalar part first.
    """
    rotmat = ops.convert_to_tensor(rotmat)
    m = [[rotmat[..., i, j] for j in range(3)] for i in range(3)]
    sums = [m[2][1] + m[1][2], m[0][2] + m[2][0], m[1][0] + m[0][1]]
    differences = [m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1]]
    diagonal = [
        1.0 + m[0][0] + m[1][1] + m[2][2],
        1.0 + m[0][0] - m[1][1] - m[2][2],
        1.0 - m[0][0] + m[1][1] - m[2][2],
        1.0 - m[0][0] - m[1][1] + m[2][2],
    ]
    candidates = [
        ops.stack([diagonal[0], differences[0], differences[1], differences[2]], axis=-1),
        ops.stack([differences[0], diagonal[1], sums[2], sums[1]], axis=-1),
        ops.stack([differences[1], sums[2], diagonal[2], sums[0]], axis=-1),
        ops.stack([differences[2], sums[1], sums[0], diagonal[3]], axis=-1),
    ]
    best = ops.argmax(ops.stack(diagonal, axis=-1), axis=-1)[..., None]
    chosen = candidates[0]
    for index in (1, 2, 3):
        chosen = ops.where(best == index, candidates[index], chosen)
    quaternion = chosen / ops.sqrt(ops.sum(chosen * chosen, axis=-1, keepdims=True))
    return ops.where(quaternion[..., :1] < 0.0, -quaternion, quaternion)


def rotmat_to_axis_angle(rotmat):
    """Converts rotation matrices to axis-angle with angles in [0, pi].

    Values and gradients are finite at angle 0 and at angle pi (where the sign of the axis is arbitrary).

    Args:
        rotmat: (..., 3, 3) rotation matrices.

    Returns:
        (..., 3) axis times angle, radians.
    """
    quaternion = rotmat_to_quaternion(rotmat)
    w, vector = quaternion[..., :1], quaternion[..., 1:]
    squared = ops.sum(vector * vector, axis=-1, keepdims=True)
    small = squared < 1e-8
    sine = ops.sqrt(ops.where(small, ops.ones_like(squared), squared))
    safe_w = ops.where(small, w, ops.ones_like(w))
    return vector * ops.where(small, 2.0 / safe_w, 2.0 * ops.arctan2(sine, w) / sine)


def rot6d_to_rotmat(rot6d):
    """Converts the continuous 6D representation to rotation matrices by Gram-Schmidt.

    The six numbers are a 3x2 matrix row by row: entries 0, 2, 4 are the first column and 1, 3, 5 the second
    (Zhou et al. 2019, in the layout of SPIN and PARE).

    Args:
        rot6d: (..., 6) numbers; they need not be orthonormal.

    Returns:
        (..., 3, 3) rotation matrices.
    """
    rot6d = ops.convert_to_tensor(rot6d)
    first, second = rot6d[..., 0::2], rot6d[..., 1::2]
    first = _unit(first)
    second = _unit(second - ops.sum(first * second, axis=-1, keepdims=True) * first)
    (x1, y1, z1), (x2, y2, z2) = ([v[..., i] for i in range(3)] for v in (first, second))
    third = ops.stack([y1 * z2 - z1 * y2, z1 * x2 - x1 * z2, x1 * y2 - y1 * x2], axis=-1)
    return ops.stack([first, second, third], axis=-1)


def rotmat_to_rot6d(rotmat):
    """Converts rotation matrices (..., 3, 3) to the 6D representation (..., 6) of `rot6d_to_rotmat`."""
    rotmat = ops.convert_to_tensor(rotmat)
    return ops.reshape(rotmat[..., :2], (*ops.shape(rotmat)[:-2], 6))


def _unit(vector):
    return vector / ops.sqrt(ops.maximum(ops.sum(vector * vector, axis=-1, keepdims=True), _TINY))
