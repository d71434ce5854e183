"""Weak-perspective projection and normalised image coordinates.

Camera axes are x right, y down, z forward. Normalised crop coordinates run over [-1, 1]: x = 2 px / size - 1.
The functions use plain arithmetic, so they take NumPy arrays and tensors of any Keras backend alike.
"""


def weak_perspective_project(points, camera):
    """Projects points by the weak-perspective camera p = s (X_xy + t); the translation is inside the scale.

    Args:
        points: (B, N, 3) or (B, N, 2) points in the camera frame, metres; z is not used.
        camera: (B, 3) scale s (1 / metre) and translation tx, ty (metres).

    Returns:
        (B, N, 2) normalised image coordinates.
    """
    return camera[:, None, :1] * (points[..., :2] + camera[:, None, 1:])


def normalized_to_pixels(points, size):
    """Converts normalised coordinates to pixels of a square crop: (p + 1) size / 2."""
    return (points + 1.0) * (0.5 * size)


def pixels_to_normalized(points, size):
    """Converts pixels of a square crop to normalised coordinates: 2 px / size - 1."""
    return points * (2.0 / size) - 1.0
