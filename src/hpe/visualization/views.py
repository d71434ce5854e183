"""People over their frame: skeletons, meshes, meshes beside their turned selves, or seen from elsewhere alone.

Meshes are drawn by the pinhole camera of the frame, as any other renderer would that knows this camera alone. Left
limbs are darker and bluer, right ones lighter and warmer, on skeletons and on the free body alike.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpe import skeletons
from hpe.body.data import DEFAULT_BODY
from hpe.geometry.crops import box_crop
from hpe.skeletons import SMPL24
from hpe.systems.prediction import is_found
from hpe.visualization.maps import draw_maps
from hpe.visualization.meshes import PAPER, ROTATED_DEGREES, draw_mesh, rotated_mesh
from hpe.visualization.rasterizer import LIGHT_BLUE, Camera
from hpe.visualization.skeletons import draw_skeleton, draw_skeleton3d
from hpe.visualization.view import View

if TYPE_CHECKING:
    from hpe.people.person import Person

# Azimuth and elevation in degrees of the views from elsewhere; farther from the camera is right, and up.
_STANDPOINTS = {View.SIDE: (90.0, 0.0), View.TOP: (0.0, 90.0)}

# What limbs are tinted with, and how much, so that trousers stay trousers.
_TINTS = {"left_": (30, 70, 200), "right_": (255, 200, 120)}
_TINT = 0.4

_STICKS_ELEVATION = 10.0


def draw_people(
    image: np.ndarray,
    people: Sequence[Person],
    *,
    view: View | str | None = None,
    azimuth: float = ROTATED_DEGREES,
) -> np.ndarray:
    """Draws people over their frame.

    Args:
        image: (H, W, 3) uint8 RGB.
        people: of this frame.
        view: what to draw; by default the mesh, or the skeleton where there is none.
        azimuth: degrees by which the turned bodies are turned about the vertical.

    Returns:
        (H, W', 3) uint8 RGB; twice as wide for `View.BOTH`. People without a mesh show the 3D skeleton instead, and
        the 2D skeleton alone if they have no 3D joints either.

    Raises:
        UserError: the view is of maps that the system does not have.
        ValueError: the image is not (H, W, 3) uint8, or there is no such view.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"image must be (H, W, 3) uint8 RGB. Received: shape={image.shape}, dtype={image.dtype}"
        )
    view = View.MESH if view is None else View(view)
    if view is View.ATTENTION:
        return draw_maps(image, people, view.value)
    solid = [person for person in people if person.vertices is not None or person.joints3d is not None]
    if view is View.SKELETON or (people and not solid):
        return _skeletons_over(image, people)
    if view is View.MESH:
        return _meshes_over(image, people)
    if view in _STANDPOINTS:
        return _turned(image.shape[:2], solid, *_STANDPOINTS[view])
    turned = _turned(image.shape[:2], solid, azimuth)
    if view is View.ROTATED:
        return turned
    return np.concatenate([_meshes_over(image, people), turned], axis=1)


def person_panel(image: np.ndarray, person: Person, *, size: int = 224) -> np.ndarray:
    """Shows one person closely: picture | skeleton | mesh over the picture | mesh turned by 60 degrees.

    Without a mesh the last two columns are the 3D skeleton as the camera sees it and turned by 60 degrees, if there
    is one. What lies outside the frame is plain.

    Args:
        image: (H, W, 3) uint8 RGB, the frame.
        person: of this frame.
        size: side of every column in pixels.

    Returns:
        (size, 4 size, 3) uint8 RGB, or (size, 2 size, 3) for a person of 2D joints alone.
    """
    cut, person = close_up(image, person, size=size)
    columns = [cut, _skeletons_over(cut, [person])]
    if person.vertices is not None:
        columns.append(_meshes_over(cut, [person]))
        columns.append(_turned((size, size), [person], ROTATED_DEGREES))
    elif person.joints3d is not None:
        columns += [_turned((size, size), [person], azimuth) for azimuth in (0.0, ROTATED_DEGREES)]
    return np.concatenate(columns, axis=1)


def close_up(image: np.ndarray, person: Person, *, size: int) -> tuple[np.ndarray, Person]:
    """Cuts a square around a person's box out of the frame; what lies outside the frame is plain.

    Args:
        image: (H, W, 3) uint8 RGB, the frame.
        person: of this frame.
        size: side of the square in pixels.

    Returns:
        (size, size, 3) uint8 RGB, and the person in its pixels and camera.
    """
    crop = box_crop(person.box, size)
    cut = crop.take(image)
    height, width = image.shape[:2]
    # By areas of pixels: the frame ends half a pixel beyond the centre of its last.
    x, y = ((np.arange(size) - crop.offset[axis]) / crop.scale for axis in (0, 1))
    inside = ((y >= -0.5) & (y <= height - 0.5))[:, None] & ((x >= -0.5) & (x <= width - 0.5))
    cut = np.where(inside[..., None], cut, np.uint8(PAPER))
    offset = np.asarray(crop.offset)
    camera = person.camera
    if camera is not None:
        center = crop.scale * camera.center + offset
        camera = dataclasses.replace(
            camera, focal=camera.focal * crop.scale, center=center, size=(size, size)
        )
    return cut, dataclasses.replace(person, joints2d=crop.scale * person.joints2d + offset, camera=camera)


def _skeletons_over(image: np.ndarray, people: Sequence[Person]) -> np.ndarray:
    picture = image.copy()
    for person in people:
        picture = draw_skeleton(
            picture, person.joints2d, skeletons.get(person.skeleton), visibility=is_found(person.confidence)
        )
    return picture


def _meshes_over(image: np.ndarray, people: Sequence[Person]) -> np.ndarray:
    """Draws meshes from the farthest to the nearest, and the skeletons of those who have none."""
    meshes = [person for person in people if person.vertices is not None and person.camera is not None]
    others = [person for person in people if person.vertices is None or person.camera is None]
    picture = np.ascontiguousarray(_skeletons_over(image, others))
    for person in sorted(meshes, key=lambda person: -float(np.mean(person.vertices[:, 2]))):
        camera = person.camera
        draw_mesh(
            picture,
            person.vertices,
            person.faces,
            Camera(*camera.focal, *camera.center),
            vertex_colors=_colors(person),
        )
    return picture


def _turned(
    size: tuple[int, int], people: Sequence[Person], azimuth: float, elevation: float | None = None
) -> np.ndarray:
    """Returns the turned people on a plain picture of (height, width)."""
    side = min(size)
    picture = np.full((*size, 3), PAPER, np.uint8)
    meshes = [person for person in people if person.vertices is not None]
    if meshes:
        starts = np.cumsum([0, *(len(person.vertices) for person in meshes)])[:-1]
        colors = [
            np.tile(np.uint8(LIGHT_BLUE), (len(person.vertices), 1)) if color is None else color
            for person, color in zip(meshes, map(_colors, meshes), strict=True)
        ]
        square = rotated_mesh(
            np.concatenate([person.vertices for person in meshes]),
            np.concatenate([person.faces + start for person, start in zip(meshes, starts, strict=True)]),
            side,
            degrees=azimuth,
            elevation=elevation or 0.0,
            vertex_colors=np.concatenate(colors),
        )
    elif people:
        # Each in a part of its own: the lines of several would be hard to tell apart.
        columns = int(np.ceil(np.sqrt(len(people))))
        cell = side // columns
        square = np.full((side, side, 3), PAPER, np.uint8)
        for number, person in enumerate(people):
            top, left = (cell * place for place in divmod(number, columns))
            skeleton = skeletons.get(person.joints3d_skeleton)
            square[top : top + cell, left : left + cell] = draw_skeleton3d(
                person.joints3d,
                skeleton,
                cell,
                azimuth=azimuth,
                # Sticks are read best from a little above.
                elevation=_STICKS_ELEVATION if elevation is None else elevation,
            )
    else:
        return picture
    picture[:] = square[0, 0]
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    picture[top : top + side, left : left + side] = square
    return picture


def _colors(person: Person) -> np.ndarray | None:
    """Returns the clothes (V, 3) of the free body, None for others."""
    if person.body is None or person.vertices is None:
        return None
    name, colors = free_body()
    return colors if name == person.body.model and len(colors) == len(person.vertices) else None


@functools.cache
def free_body() -> tuple[str, np.ndarray]:
    """Returns the name of the free body and the colours (V, 3) uint8 of its clothes, tinted by side."""
    with np.load(DEFAULT_BODY, allow_pickle=False) as tables:
        name, colors, weights = str(tables["name"]), tables["vertex_colors"], tables["weights"]
    colors = colors.astype(np.float32)
    for side, tint in _TINTS.items():
        limbs = [index for index, joint in enumerate(SMPL24.joints) if joint.startswith(side)]
        share = _TINT * weights[:, limbs].astype(np.float32).sum(axis=1, keepdims=True)
        colors += share * (np.float32(tint) - colors)
    return name, np.round(colors).astype(np.uint8)
