"""Fields of a batch move with their crops: what `hpe.fields.Kind` says of points, cameras and bodies, in NumPy.

Everything follows from the affine map from pixels of the stored image to those of the crop. Its linear part is k
F R: a scale k, a rotation R and, of mirrored crops, the reflection F = diag(-1, 1). What is measured in the
camera frame goes along by F R about the optical axis z.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from hpe import skeletons
from hpe.fields import JOINTS2D, JOINTS3D, Field, Kind, Needs
from hpe.geometry.cameras import pixels_to_normalized
from hpe.geometry.crops import image_to_crop, on_pixels

# A person without a box is about 150 pixels tall, as in LSP and HMR, and 224 pixels around them were the crop, of
# which the box of others takes four fifths.
REFERENCE_SIZE = 224
UNKNOWN_BOX = 0.8 * REFERENCE_SIZE

_SMPL = skeletons.SMPL24
# Below this length, in radians or of a quaternion's vector part, a rotation vector is a multiple of that part.
_SMALL = 1e-6


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where the crops of a batch lie in their images.

    Attributes:
        matrix: (B, 2, 3) float64 of `hpe.geometry.crops.image_to_crop`.
        scale: (B,) crop pixels per pixel of the image.
        mirror: (B,) bool.
        angle: (B,) radians.
        size: side of the crops in pixels.
    """

    matrix: np.ndarray
    scale: np.ndarray
    mirror: np.ndarray
    angle: np.ndarray
    size: int

    @property
    def in_camera(self) -> np.ndarray:
        """(B, 3, 3) what the crop does to the camera frame: F R about the optical axis."""
        whole = np.tile(np.eye(3), (len(self.matrix), 1, 1))
        whole[:, :2, :2] = self.matrix[:, :, :2] / self.scale[:, None, None]
        return whole


def place(
    center,
    side,
    *,
    size: int,
    box_share: float,
    shift=0.0,
    zoom=1.0,
    mirror=None,
    angle=None,
) -> Placement:
    """Lays the crops of people, given by their boxes, into their images; those not turned onto whole pixels.

    Args:
        center: (B, 2) middles of the boxes in pixels.
        side: (B,) longer sides of the boxes in pixels; 0 where none is known, see `UNKNOWN_BOX`.
        size: side of the crops in pixels.
        box_share: share of the crop's side that a box takes.
        shift: (B, 2) how far the crops move, in pixels of a crop of 224 before zoom.
        zoom: (B,) how much larger the people become.
        mirror: (B,) bool; None for nobody.
        angle: (B,) radians; None for nobody.
    """
    center, side = np.asarray(center, np.float64), np.asarray(side, np.float64)
    side = np.where(side > 0, side, UNKNOWN_BOX)
    scale = size * box_share * np.asarray(zoom, np.float64) / side
    center = center + np.asarray(shift, np.float64) * (side / (box_share * REFERENCE_SIZE))[:, None]
    mirror = np.zeros(len(side), bool) if mirror is None else np.asarray(mirror)
    angle = np.zeros(len(side)) if angle is None else np.asarray(angle, np.float64)
    whole_center, whole_scale = on_pixels(center, scale, size=size)
    center = np.where((angle == 0)[:, None], whole_center, center)
    scale = np.where(angle == 0, whole_scale, scale)
    matrix = image_to_crop(center, scale, size=size, angle=angle, mirror=mirror)
    return Placement(matrix, scale, mirror, angle, size)


def move(
    field: Field,
    values: np.ndarray,
    weight: np.ndarray | None,
    placement: Placement,
    *,
    image_size: np.ndarray,
    needs: Needs,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Moves a field of a batch into the crops.

    Args:
        field: of any kind but images and maps.
        values: (B, ...) as records have them.
        weight: (B,) or of points (B, N); None without one.
        placement: where the crops lie.
        image_size: (B, 2) heights and widths of the stored images.
        needs: joint sets.

    Returns:
        Values and weight; values are 0 where the weight is.
    """
    if field.kind in (Kind.POINTS2D, Kind.POINTS3D):
        if weight is not None:
            values = np.where(weight[..., None] > 0, values, 0)  # what stands there may be anything
        move_points = points2d if field.kind is Kind.POINTS2D else points3d
        values, weight = move_points(values, weight, placement, flip=_flip(field, needs))
    elif field.kind is Kind.ROTATIONS:
        values = pose(values, placement)
    elif field.kind is Kind.LENGTH:
        values = values * placement.scale
    elif field.kind is Kind.SIDES:
        values = np.where(placement.mirror[:, None], values[:, list(field.flip)], values)
    elif field.kind is Kind.CAMERA and field.shape == (3,):
        known = values[:, 0] > 0
        values = weak_camera(values, image_size, placement)
        weight = None if weight is None else np.where(known, weight, 0.0)
    elif field.kind is Kind.CAMERA:
        values = intrinsics(values, placement)
    if weight is not None:
        weight = weight.astype(np.float32)
        shape = weight.shape + (1,) * (values.ndim - weight.ndim)
        values = np.where(weight.reshape(shape) > 0, values, 0)
    return values.astype(field.dtype), weight


def points2d(
    points, weight, placement: Placement, *, flip: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Maps pixels (B, N, 2) to normalised coordinates of the crops; mirrored points change sides.

    A point outside its crop keeps its weight, as in the originals: where it is remains true.
    """
    linear, offset = placement.matrix[:, :, :2], placement.matrix[:, None, :, 2]
    pixels = np.einsum("bij,bnj->bni", linear, points) + offset
    return _exchanged(pixels_to_normalized(pixels, placement.size), weight, placement, flip)


def points3d(
    points, weight, placement: Placement, *, flip: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Turns and mirrors points (B, N, 3) of the camera frame with their crops."""
    moved = np.einsum("bij,bnj->bni", placement.in_camera, points)
    return _exchanged(moved, weight, placement, flip)


def weak_camera(camera, image_size, placement: Placement) -> np.ndarray:
    """Makes the weak-perspective cameras of crops from those of their images.

    The image has X at the pixel side / 2 (s (X + t) + 1), side its longer side; the crop shows F R X.

    Args:
        camera: (B, 3) s, tx, ty in coordinates of the image, normalised by its longer side.
        image_size: (B, 2).
        placement: where the crops lie.

    Returns:
        (B, 3) s, tx, ty in normalised coordinates of the crop; zeros where s is not above 0.
    """
    camera = np.asarray(camera, np.float64)
    known = camera[:, 0] > 0
    s, t = np.where(known, camera[:, 0], 1.0), camera[:, 1:]
    half = np.max(image_size, axis=1) / 2
    # Where the image has the point X = 0.
    origin = half[:, None] * (s[:, None] * t + 1)
    landed = np.einsum("bij,bj->bi", placement.matrix[:, :, :2], origin) + placement.matrix[:, :, 2]
    gain = s * half * placement.scale * 2 / placement.size
    moved = np.column_stack([gain, pixels_to_normalized(landed, placement.size) / gain[:, None]])
    return np.where(known[:, None], moved, 0.0)


def intrinsics(matrices, placement: Placement) -> np.ndarray:
    """Makes the matrices of intrinsics (B, 3, 3) of crops: pixels of the crop = K' F R X / Z."""
    whole = np.tile(np.eye(3), (len(placement.matrix), 1, 1))
    whole[:, :2] = placement.matrix
    return whole @ matrices @ placement.in_camera.transpose(0, 2, 1)


def pose(values, placement: Placement) -> np.ndarray:
    """Turns and mirrors axis-angle body poses (B, 72) with their crops."""
    turned = turn_root(np.asarray(values, np.float64), placement.angle)
    return np.where(placement.mirror[:, None], mirror_pose(turned), turned)


def mirror_pose(values) -> np.ndarray:
    """Mirrors axis-angle poses (B, 72) across x = 0: joints change sides, every vector times (1, -1, -1)."""
    triples = np.reshape(values, (-1, len(_SMPL), 3))
    return (triples[:, list(_SMPL.flip)] * [1.0, -1.0, -1.0]).reshape(len(triples), -1)


def turn_root(values, angle) -> np.ndarray:
    """Turns the roots of axis-angle poses (B, 72) by angles (B,) about the optical axis.

    All other joints are relative to the root. Its vector comes out no longer than pi.
    """
    root, angle = values[:, :3], np.asarray(angle)
    length = np.linalg.norm(root, axis=-1)
    gain = np.where(length > _SMALL, np.sin(length / 2) / np.maximum(length, _SMALL), 0.5)
    w, (x, y, z) = np.cos(length / 2), (root * gain[:, None]).T
    # The product of the quaternions (cos a/2, 0, 0, sin a/2) and (w, x, y, z).
    cos, sin = np.cos(angle / 2), np.sin(angle / 2)
    vector = np.stack([cos * x - sin * y, cos * y + sin * x, cos * z + sin * w], axis=-1)
    w = cos * w - sin * z
    vector = np.where(w[:, None] < 0, -vector, vector)
    sine = np.linalg.norm(vector, axis=-1)
    gain = np.where(sine > _SMALL, 2 * np.arctan2(sine, np.abs(w)) / np.maximum(sine, _SMALL), 2.0)
    turned = np.where((angle == 0)[:, None], root, vector * gain[:, None])
    return np.concatenate([turned, values[:, 3:]], axis=-1)


def _flip(field: Field, needs: Needs) -> tuple[int, ...]:
    symbol = field.shape[0]
    if symbol == JOINTS2D:
        return skeletons.get(needs.skeleton2d).flip
    if symbol == JOINTS3D:
        return skeletons.get(needs.skeleton3d or needs.skeleton2d).flip
    return field.flip or tuple(range(symbol))


def _exchanged(points, weight, placement: Placement, flip) -> tuple[np.ndarray, np.ndarray | None]:
    flip, mirror = list(flip), placement.mirror[:, None]
    points = np.where(mirror[..., None], points[:, flip], points)
    return points, None if weight is None else np.where(mirror, weight[:, flip], weight)
