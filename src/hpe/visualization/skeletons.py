"""Drawing joints and limbs: on an image, and in space seen from the side."""

from __future__ import annotations

import cv2
import numpy as np

from hpe.skeletons import Skeleton
from hpe.visualization.resampling import average_pixels, enlarge_points, repeat_pixels

# Left limbs are dark, right ones light, unsided ones between: RGB by (part, side).
_COLORS = {
    "leg": {"left": (20, 92, 168), "right": (122, 196, 255), "": (66, 142, 214)},
    "arm": {"left": (176, 38, 28), "right": (255, 148, 120), "": (222, 90, 70)},
    "trunk": {"left": (22, 122, 72), "right": (140, 226, 150), "": (62, 174, 108)},
    "head": {"left": (118, 44, 150), "right": (222, 160, 245), "": (172, 102, 206)},
}
_PARTS = {
    "leg": ("knee", "ankle", "foot"),
    "arm": ("elbow", "wrist", "hand"),
    "head": ("head", "nose", "eye", "ear"),
}
_RIM = (24, 24, 28)
_FIXED_POINT_BITS = 4
_FULL_RADIUS_SIZE = 400  # Pixels; smaller pictures get proportionally smaller dots.


def joint_color(joint: str) -> tuple[int, int, int]:
    """Returns the RGB colour of a joint, and of the limb that leads to it, from its name."""
    side = next((side for side in ("left", "right") if joint.startswith(side + "_")), "")
    for part, words in _PARTS.items():
        if any(word in joint for word in words):
            return _COLORS[part][side]
    return _COLORS["trunk"][side]


def dot_radius(size: float) -> float:
    """Returns the radius in pixels of a joint in a picture of that size: max(4, 1 %), less in small ones."""
    return max(4.0, 0.01 * size) * min(1.0, size / _FULL_RADIUS_SIZE)


def draw_skeleton(
    image: np.ndarray,
    joints2d,
    skeleton: Skeleton,
    *,
    visibility=None,
    names: bool = False,
    hidden: bool = False,
) -> np.ndarray:
    """Draws limbs and joints on a copy of an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        joints2d: (J, 2) pixels; those that are not finite are left out.
        skeleton: the joint set, whose parents are the limbs drawn.
        visibility: (J,) joints with values <= 0 are left out; None shows all.
        names: write the joint's name beside it.
        hidden: show joints left out for their visibility as rings, unless they lie at (0, 0), where
            unlabelled joints are put.
    """
    joints2d = np.asarray(joints2d, np.float64)
    finite = np.isfinite(joints2d).all(axis=1)
    seen = finite if visibility is None else finite & (np.asarray(visibility) > 0)
    rings = finite & ~seen & joints2d.any(axis=1) if hidden else np.zeros_like(seen)
    # Names go on beside the joints, nobody knows how far.
    canvas = _Canvas(image, None if names else joints2d[seen | rings])
    for child, parent in skeleton.bones:
        if seen[child] and seen[parent]:
            canvas.limb(joints2d[child], joints2d[parent], _limb_color(skeleton, child, parent))
    for j in np.flatnonzero(seen):
        canvas.dot(joints2d[j], joint_color(skeleton.joints[j]))
    for j in np.flatnonzero(rings):
        canvas.ring(joints2d[j], joint_color(skeleton.joints[j]))
    if names:
        for j in np.flatnonzero(seen | rings):
            canvas.text(joints2d[j], skeleton.joints[j].replace("_", " "))
    return canvas.picture()


def draw_skeleton3d(
    joints3d,
    skeleton: Skeleton,
    size: int,
    *,
    azimuth: float = 60.0,
    elevation: float = 10.0,
    visibility=None,
) -> np.ndarray:
    """Draws a skeleton in space over a patch of floor, turned about the vertical.

    Args:
        joints3d: (J, 3) metres, camera frame; joints that are not finite are left out.
        skeleton: the joint set.
        size: side in pixels of the square picture.
        azimuth: degrees that the skeleton is turned about the vertical; 0 is the camera's own view.
        elevation: degrees that the viewer stands above the horizontal.
        visibility: (J,) joints with values <= 0 are left out; None shows all.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    joints3d = np.asarray(joints3d, np.float64)
    seen = np.isfinite(joints3d).all(axis=1)
    if visibility is not None:
        seen &= np.asarray(visibility) > 0
    canvas = _Canvas(np.full((size, size, 3), 250, np.uint8))
    if not seen.any():
        return canvas.picture()
    lowest, highest = joints3d[seen].min(axis=0), joints3d[seen].max(axis=0)
    middle = (lowest + highest) / 2
    reach = max(np.linalg.norm(joints3d[seen] - middle, axis=1).max(), 0.1)
    view = _view(azimuth, elevation)

    def place(points):
        """Turns camera-frame points (N, 3) into pixels and depth (N, 3)."""
        turned = (np.asarray(points, np.float64) - middle) @ view.T
        return turned * (0.44 * size / reach) * (1, 1, 1) + ((size - 1) / 2, (size - 1) / 2, 0)

    ticks = np.linspace(-0.8 * reach, 0.8 * reach, 7)
    floor = highest[1] - middle[1]
    for a in ticks:
        for ends in (
            [(a, floor, ticks[0]), (a, floor, ticks[-1])],
            [(ticks[0], floor, a), (ticks[-1], floor, a)],
        ):
            start, end = place(np.array(ends) + middle)
            canvas.line(start[:2], end[:2], (214, 218, 224))
    placed = place(np.where(seen[:, None], joints3d, middle))
    bones = [(c, p) for c, p in skeleton.bones if seen[c] and seen[p]]
    for child, parent in sorted(bones, key=lambda bone: -placed[list(bone), 2].sum()):
        canvas.limb(placed[child, :2], placed[parent, :2], _limb_color(skeleton, child, parent))
    for j in sorted(np.flatnonzero(seen), key=lambda j: -placed[j, 2]):
        canvas.dot(placed[j, :2], joint_color(skeleton.joints[j]))
    return canvas.picture()


def _limb_color(skeleton: Skeleton, child: int, parent: int):
    """The colour of the child, unless only the parent has a side, as in a head that hangs on an ear."""
    sided = [j for j in (child, parent) if skeleton.joints[j].startswith(("left_", "right_"))]
    return joint_color(skeleton.joints[sided[0] if sided else child])


def _view(azimuth: float, elevation: float) -> np.ndarray:
    """Returns the (3, 3) rotation that turns the scene about y and then tilts it towards the viewer."""
    a, e = np.radians([azimuth, elevation])
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    tilt = np.array([[1, 0, 0], [0, np.cos(e), -np.sin(e)], [0, np.sin(e), np.cos(e)]])
    return tilt @ turn


class _Canvas:
    """A copy of an image that is drawn on finely and reduced at the end, which smooths the edges.

    Args:
        image: (H, W, 3) uint8 RGB.
        points: (N, 2) pixels, all joints that will be drawn: the rest of the image needs no second look. None means
            that anything may be drawn.
    """

    def __init__(self, image: np.ndarray, points: np.ndarray | None = None):
        self._image = np.asarray(image, np.uint8)
        height, width = self._image.shape[:2]
        size = max(height, width)
        self.factor = 4 if size <= 400 else 2 if size <= 1200 else 1
        self.size = size
        self.radius = dot_radius(size) * self.factor
        self._first, self._last = np.zeros(2, int), np.array([width, height])
        if points is not None:
            room = dot_radius(size) + 2
            ends = (
                points.min(axis=0, initial=np.inf) - room,
                points.max(axis=0, initial=-np.inf) + room + 1,
            )
            self._first, self._last = (
                np.clip(np.nan_to_num(end), 0, (width, height)).astype(int) for end in ends
            )
            # Something of the image, however far from it the joints lie.
            self._first = np.minimum(self._first, (width - 1, height - 1))
            self._last = np.maximum(self._last, self._first + 1)
        self.fine = np.ascontiguousarray(repeat_pixels(self._image[self._window], self.factor))

    @property
    def _window(self) -> tuple[slice, slice]:
        (left, top), (right, bottom) = self._first, self._last
        return slice(top, bottom), slice(left, right)

    def _place(self, points) -> np.ndarray:
        """Moves points of the image to where they lie on the fine canvas."""
        return enlarge_points(np.asarray(points, np.float64) - self._first, self.factor)

    def limb(self, start, end, color):
        """Draws a spindle between two joints, with a dark rim that lifts it off the image."""
        a, b = self._place(start), self._place(end)
        along = b - a
        length = np.hypot(*along)
        if length == 0 or not np.isfinite(length):
            return
        along /= length
        across = np.array([-along[1], along[0]])
        for width, paint in ((self.radius * 0.9, _RIM), (self.radius * 0.9 - 0.3 * self.factor, color)):
            t = np.linspace(0, 1, 9)[:, None]
            middle = a + t * (b - a)
            half = across * width * (0.55 + 0.45 * np.sin(np.pi * t))
            self._polygon(np.concatenate([middle + half, (middle - half)[::-1]]), paint)

    def dot(self, point, color):
        """Draws a joint."""
        self._disc(point, self.radius, _RIM)
        self._disc(point, self.radius - 0.4 * self.factor, color)

    def ring(self, point, color):
        """Draws a joint as a ring."""
        centre = self._fixed(self._place(point))
        if centre is not None:
            radius = round(self.radius * 2**_FIXED_POINT_BITS)
            thickness = max(1, round(0.3 * self.radius))
            cv2.circle(self.fine, centre, radius, color, thickness, cv2.LINE_AA, _FIXED_POINT_BITS)

    def line(self, start, end, color):
        """Draws a hairline."""
        a, b = (self._fixed(self._place(p)) for p in (start, end))
        if a is not None and b is not None:
            cv2.line(self.fine, a, b, color, self.factor, cv2.LINE_AA, _FIXED_POINT_BITS)

    def text(self, point, text):
        """Writes beside a joint, light on dark."""
        scale = self.factor * np.clip(self.size / 900, 0.3, 0.6)
        x, y = self._place(point) + np.array([1.4, 0.6]) * self.radius
        if not -1e6 < x < 1e6 or not -1e6 < y < 1e6:
            return
        for stroke, color in ((2.2, _RIM), (0.8, (255, 255, 255))):
            thickness = max(1, round(stroke * self.factor))
            cv2.putText(
                self.fine,
                text,
                (round(x), round(y)),
                cv2.FONT_HERSHEY_SIMPLEX,
                scale,
                color,
                thickness,
                cv2.LINE_AA,
            )

    def picture(self) -> np.ndarray:
        """Returns the picture at its own size."""
        picture = self._image.copy()
        picture[self._window] = average_pixels(self.fine, self.factor)
        return picture

    def _disc(self, point, radius, color):
        centre = self._fixed(self._place(point))
        if centre is not None:
            radius = max(1, round(radius * 2**_FIXED_POINT_BITS))
            cv2.circle(self.fine, centre, radius, color, cv2.FILLED, cv2.LINE_AA, _FIXED_POINT_BITS)

    def _polygon(self, points, color):
        if np.abs(points).max() < 1e6:  # OpenCV's fixed-point coordinates end at 2^31.
            points = np.round(points * 2**_FIXED_POINT_BITS).astype(np.int32)
            cv2.fillPoly(self.fine, [points], color, cv2.LINE_AA, _FIXED_POINT_BITS)

    @staticmethod
    def _fixed(point):
        if not np.abs(point).max() < 1e6:
            return None
        return tuple(int(value) for value in np.round(np.asarray(point) * 2**_FIXED_POINT_BITS))
