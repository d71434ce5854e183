"""Weak-perspective and perspective projection, and normalised image coordinates.

Camera axes are x right, y down, z forward. Normalised crop coordinates run over [-1, 1]: x = 2 px / size - 1.
The functions use plain arithmetic, so they take NumPy arrays and tensors of any Keras backend alike.
"""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class PinholeCamera:
    """The camera of a whole picture, NumPy.

    Attributes:
        focal: (2,) focal lengths in pixels.
        center: (2,) principal point in pixels; centres of pixels lie at integers.
        size: width and height of the picture in pixels, or None.
        k: (3,) radial distortion of `perspective_project`, or None without.
        p: (2,) tangential distortion, or None without.
        rotation: (3, 3) world to camera, X_camera = rotation (X_world - translation), or None where unknown.
        translation: (3,) the camera's centre in the world, metres, or None where unknown.

    Raises:
        ValueError: if an array has another shape, or numbers that are not finite.
    """

    focal: np.ndarray
    center: np.ndarray
    size: tuple[int, int] | None = None
    k: np.ndarray | None = None
    p: np.ndarray | None = None
    rotation: np.ndarray | None = None
    translation: np.ndarray | None = None

    def __post_init__(self):
        shapes = {
            "focal": (2,),
            "center": (2,),
            "k": (3,),
            "p": (2,),
            "rotation": (3, 3),
            "translation": (3,),
        }
        for name, shape in shapes.items():
            if (value := getattr(self, name)) is None:
                continue
            array = np.asarray(value, np.float64)
            if array.shape != shape or not np.isfinite(array).all():
                raise ValueError(f"{name} must be finite and have shape {shape}. Received: {value!r}")
            object.__setattr__(self, name, array)
        if (self.focal <= 0).any():
            raise ValueError(f"focal must be above 0. Received: {self.focal}")

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3) intrinsics K: pixels = K X / Z, the lens aside."""
        (fx, fy), (cx, cy) = self.focal, self.center
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])

    def project(self, points: np.ndarray) -> np.ndarray:
        """Returns the pixels (..., N, 2) of points (..., N, 3) in the camera frame, Z > 0."""
        return perspective_project(points, self.focal, self.center, self.k, self.p)


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


def world_to_camera(points, rotation, translation):
    """Moves points from the world into the camera frame: X_camera = R (X_world - T).

    Args:
        points: (..., N, 3) points in the world.
        rotation: (..., 3, 3) world to camera: its rows are the camera's axes in the world.
        translation: (..., 3) the camera's centre in the world, same unit as the points.

    Returns:
        (..., N, 3) points in the camera frame, same unit.
    """
    offset = points - translation[..., None, :]
    # Column by column: a matrix product has another name on every backend.
    first, second, third = (offset[..., i : i + 1] * rotation[..., None, :, i] for i in range(3))
    return first + second + third


def perspective_project(points, f, c, k=None, p=None):
    """Projects points by a pinhole camera with the lens distortion of Human3.6M.

    With (x, y) = (X / Z, Y / Z) and r^2 = x^2 + y^2:
    (x', y') = (x, y) (1 + k1 r^2 + k2 r^4 + k3 r^6 + p1 y + p2 x) + (p2, p1) r^2, pixel = f (x', y') + c.
    This is the model that Human3.6M's cameras were fitted with; in Brown's and OpenCV's the tangential term
    p1 y + p2 x counts twice.

    Args:
        points: (..., N, 3) points in the camera frame, Z > 0.
        f: (..., 2) focal lengths in pixels.
        c: (..., 2) principal point in pixels.
        k: (..., 3) radial distortion; None for none.
        p: (..., 2) tangential distortion; None for none.

    Returns:
        (..., N, 2) pixels.
    """
    plane = points[..., :2] / points[..., 2:]
    squared = plane[..., :1] * plane[..., :1] + plane[..., 1:] * plane[..., 1:]
    scale = 1.0
    if k is not None:
        k1, k2, k3 = (k[..., None, i : i + 1] for i in range(3))
        scale = scale + squared * (k1 + squared * (k2 + squared * k3))
    if p is None:
        distorted = plane * scale
    else:
        p1, p2 = (p[..., None, i : i + 1] for i in range(2))
        tilt = p1 * plane[..., 1:] + p2 * plane[..., :1]
        # (p2, p1) without reversing an axis, which PyTorch's tensors do not do by slicing.
        swapped = p1 + p2 - p[..., None, :]
        distorted = plane * (scale + tilt) + swapped * squared
    return distorted * f[..., None, :] + c[..., None, :]


def undistort(pixels, f, k, p, *, rounds: int = 6):
    """Undoes `perspective_project` but for the depth: pixels become (X / Z, Y / Z).

    Solves for the point whose distortion is the given one by putting the last solution into the distortion's terms,
    which halves the error and more in every round: 1e-7 after six for the lenses of Human3.6M within their images.

    Args:
        pixels: (..., N, 2) from the principal point.
        f: (..., 2) focal lengths in pixels.
        k: (..., 3) radial distortion.
        p: (..., 2) tangential distortion.
        rounds: how often.

    Returns:
        (..., N, 2).
    """
    plane = target = pixels / f[..., None, :]
    k1, k2, k3 = (k[..., None, i : i + 1] for i in range(3))
    p1, p2 = (p[..., None, i : i + 1] for i in range(2))
    swapped = p1 + p2 - p[..., None, :]
    for _ in range(rounds):
        squared = plane[..., :1] * plane[..., :1] + plane[..., 1:] * plane[..., 1:]
        scale = 1.0 + squared * (k1 + squared * (k2 + squared * k3))
        tilt = p1 * plane[..., 1:] + p2 * plane[..., :1]
        plane = (target - swapped * squared) / (scale + tilt)
    return plane
