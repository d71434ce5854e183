"""Weak-perspective and perspective projection, and normalised image coordinates.

Camera axes are x right, y down, z forward. Normalised crop coordinates run over [-1, 1]: x = 2 px / size - 1.
The functions use plain arithmetic, so they take NumPy arrays and tensors of any Keras backend alike, but for those
of a frame's pinhole camera at the end, which are NumPy's.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

# Metres that every point stays before the camera where a fit would put it behind.
_NEAREST = 0.05


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


def crop_project(points, camera, *, relative_focal: float | None = None):
    """Projects points as a crop's camera sees them: weak perspective, or the pinhole camera that SPIN makes of it.

    SPIN puts the body at (tx, ty, 2 f / (size s)) before a camera of focal length f in pixels, whose axis goes
    through the crop's middle. With r = f / size that is p = s (X_xy + t) / (1 + Z s / (2 r)), weak perspective at
    Z = 0.

    Args:
        points: (B, N, 3) points in the camera frame, metres.
        camera: (B, 3) scale s (1 / metre) and translation tx, ty (metres).
        relative_focal: r, the focal length over the crop's side; None for weak perspective.

    Returns:
        (B, N, 2) normalised crop coordinates.
    """
    plane = weak_perspective_project(points, camera)
    if relative_focal is None:
        return plane
    return plane / (1.0 + points[..., 2:] * camera[:, None, :1] * (0.5 / relative_focal))


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


def frame_camera(size: tuple[int, int], *, focal: float | None = None) -> PinholeCamera:
    """Returns the camera of a frame of which little is known: it looks through the middle.

    Args:
        size: (height, width) of the frame in pixels.
        focal: focal length in pixels; None takes the diagonal of the frame, which is that of a normal lens.
    """
    height, width = (int(side) for side in size)
    focal = math.hypot(height, width) if focal is None else float(focal)
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    return PinholeCamera(np.array([focal, focal]), center, (width, height))


def translation_onto_pixels(points, pixels, camera: PinholeCamera, *, weights=None, keep=None) -> np.ndarray:
    """Finds the translation with which a camera sees points at given pixels.

    With (u, v) the slopes of a pixel's ray, X + tx = u (Z + tz) and Y + ty = v (Z + tz) are linear in the
    translation; it is their solution of least weighted squares. The lens is left aside.

    Args:
        points: (N, 3) metres, camera axes, from any origin.
        pixels: (N, 2) where they are seen.
        camera: of the frame.
        weights: (N,) not negative; None weighs all alike.
        keep: (M, 3) further points that must lie before the camera, such as the vertices; None takes `points`.

    Returns:
        (3,) float64 metres. A fit that would put a point behind the camera is moved until all lie before it.

    Raises:
        ValueError: fewer than two points have a weight, or all are seen at one pixel, so that the depth is open.
    """
    points, pixels = np.asarray(points, np.float64), np.asarray(pixels, np.float64)
    weights = np.ones(len(points)) if weights is None else np.asarray(weights, np.float64)
    root = np.sqrt(weights)[:, None]
    slopes = (pixels - camera.center) / camera.focal
    # The unknowns are tx, ty, and tz over the focal length, so that all columns are of one size.
    focal = float(camera.focal.mean())
    rows = np.zeros((2, len(points), 3))
    rows[0, :, 0] = rows[1, :, 1] = 1.0
    rows[..., 2] = -focal * slopes.T
    wanted = (slopes * points[:, 2:] - points[:, :2]).T
    rows, wanted = (rows * root).reshape(-1, 3), (wanted * root.T).reshape(-1)
    solution, _, rank, _ = np.linalg.lstsq(rows, wanted, rcond=None)
    if np.count_nonzero(weights) < 2 or rank < 3:
        raise ValueError(
            "A translation needs two points that are seen at different pixels. "
            f"Received: {np.count_nonzero(weights)} points with a weight"
        )
    translation = solution * (1.0, 1.0, focal)
    nearest = _NEAREST - float(np.min(np.asarray(points if keep is None else keep)[..., 2]))
    if translation[2] < nearest:
        # The depth is given now; the rest is two means.
        rest = wanted - rows[:, 2] * (nearest / focal)
        across = (rest.reshape(2, -1) * root.T).sum(axis=1) / weights.sum()
        translation = np.array([*across, nearest])
    return translation
