"""Synthetic people: a posed, dressed and lit body over a background, with everything about it known exactly.

Every sample is a pure function of (seed, index), so that any process can make any part of a dataset. The
camera is weak-perspective and the picture is rendered with it: joints, mask and camera agree without error.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from hpe.body.data import NUM_SHAPES, BodyModelData
from hpe.body.parts import part_of_vertices
from hpe.datasets.sample import Sample
from hpe.formats.images import encode_mask
from hpe.options import option
from hpe.skeletons import COCOPLUS19, SMPL24
from hpe.synthetic import backgrounds
from hpe.synthetic.clothes import Wardrobe, dress, wardrobe
from hpe.synthetic.dressed_body import NumpyBody
from hpe.synthetic.part_labels import draw_part_labels, encode_labels
from hpe.synthetic.poses import random_pose
from hpe.synthetic.textures import pattern
from hpe.visualization.meshes import composite
from hpe.visualization.rasterizer import Light, render_mask, weak_perspective_camera

PERSON_HEIGHT = 150  # Pixels; the convention of LSP and HMR for samples without a scale.
_LARGEST_SHAPE = 2.5
_LEAST_VISIBLE = 8  # Joints; a person placed so that fewer are inside the image is moved to its middle.
_SHADOW_DETAIL = 2  # The shadow is rendered at a fraction of the image's size.


@dataclasses.dataclass(frozen=True)
class SyntheticConfig:
    """What synthetic people look like; the help of the fields says what they mean."""

    image_size: int = option(256, "Side of a synthetic image in pixels; the person is about 150 pixels tall.")
    backgrounds: str = option(
        "", "Folder of photographs, best without people, to stand synthetic people before; empty: painted."
    )
    occluders: float = option(0.0, "Share of synthetic people that something stands in front of.")
    heading: float = option(180.0, "Synthetic people turn away from the camera by up to this many degrees.")
    seed: int = option(0, "Seed of the synthetic people.")

    def __post_init__(self):
        if self.image_size < 64:
            raise ValueError(f"image_size must be at least 64. Received: image_size={self.image_size}")
        if not 0 <= self.occluders <= 1:
            raise ValueError(f"occluders must lie in [0, 1]. Received: occluders={self.occluders}")
        if not 0 <= self.heading <= 180:
            raise ValueError(f"heading must lie in [0, 180]. Received: heading={self.heading}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative. Received: seed={self.seed}")


def generate(index: int, config: SyntheticConfig, body_data: BodyModelData, *, poses=None) -> Sample:
    """Makes one synthetic person.

    Args:
        index: which one; the same index of the same configuration gives the same bytes.
        config: what it looks like.
        body_data: the body model.
        poses: (N, 72) axis-angle poses to draw from, such as motion capture; their root rotation is not
            used. None draws a random pose within the joint limits.

    Returns:
        A Sample with image, mask, labels of parts, 2D and 3D joints (cocoplus19), pose, shape and camera.

    Raises:
        UserError: the folder of backgrounds is missing or holds no picture.
    """
    rng = np.random.default_rng([config.seed, index])
    size = config.image_size
    body, clothes, parts = _prepared(body_data)
    stand = _stand(rng, body, poses, heading=np.radians(config.heading))
    camera = _place(rng, stand, size)
    joints2d = weak_perspective_camera(camera, size).project(stand.keypoints)[:, :2]

    background = _background(rng, config, stand, camera)
    picture, labels = _picture(rng, stand, dress(rng, clothes), parts, camera, background)
    mask = labels > 0
    visible = _inside(joints2d, size)
    if rng.uniform() < config.occluders:
        picture, mask, hidden = _occlude(rng, picture, mask)
        visible[visible] = ~hidden[tuple(np.round(joints2d[visible]).astype(int).clip(0, size - 1).T[::-1])]
    shown = joints2d[visible] if visible.any() else joints2d
    return Sample(
        name=f"synthetic_{config.seed}_{index:07d}.jpg",
        image=_photographed(rng, picture),
        height=size,
        width=size,
        skeleton=COCOPLUS19.name,
        joints2d=joints2d.astype(np.float32),
        visibility=visible.astype(np.float32),
        center=((shown.min(axis=0) + shown.max(axis=0)) / 2).astype(np.float32),
        scale=None,
        mask=encode_mask(mask.astype(np.uint8) * 255),
        part_labels=encode_labels(labels),
        skeleton3d=COCOPLUS19.name,
        joints3d=stand.keypoints,
        confidence3d=np.ones(len(COCOPLUS19), np.float32),
        pose=stand.pose,
        shape=stand.shape,
        body_model=body_data.name,
        camera=camera,
    )


_last_prepared: tuple[NumpyBody, Wardrobe, np.ndarray] | None = None


def _prepared(data: BodyModelData) -> tuple[NumpyBody, Wardrobe, np.ndarray]:
    """Returns what posing, dressing and labelling need to know of a body; the last body's is kept."""
    global _last_prepared
    kept = _last_prepared
    if kept is None or kept[0].data is not data:
        kept = _last_prepared = NumpyBody(data), wardrobe(data), part_of_vertices(data)
    return kept


@dataclasses.dataclass(frozen=True)
class _Stand:
    """A person before the camera.

    Attributes:
        pose, shape: (72,) and (10,) float32.
        faces: (F, 3) int32.
        vertices, keypoints: (V, 3) and (19, 3) float32, metres, camera frame.
        upright: (3, 3) rotation from the world, whose y axis is plumb, into the camera frame.
        elevation: radians that the camera looks down.
    """

    pose: np.ndarray
    shape: np.ndarray
    faces: np.ndarray
    vertices: np.ndarray
    keypoints: np.ndarray
    upright: np.ndarray
    elevation: float


def _stand(rng, body, poses, *, heading) -> _Stand:
    """Draws a pose, a shape, a heading and the tilt of the camera."""
    shape = np.clip(rng.standard_normal(NUM_SHAPES), -_LARGEST_SHAPE, _LARGEST_SHAPE).astype(np.float32)
    shape[body.data.shape_dirs.shape[2] :] = 0
    pose = random_pose(rng) if poses is None else np.array(poses[rng.integers(len(poses))], np.float32)
    elevation = np.radians(rng.uniform(-5, 25))
    upright = Rotation.from_euler("xz", [elevation, np.radians(rng.normal(0, 4))])
    lean = Rotation.from_euler("x", _balancing_lean(body, pose))
    if rng.uniform() < 0.06:  # A fall, a dive, gymnastics.
        lean = Rotation.from_euler("xz", rng.uniform(-np.pi, np.pi, 2)) * lean
    turn = Rotation.from_euler("y", rng.uniform(-heading, heading))
    to_camera_axes = Rotation.from_euler("x", np.pi)  # The rest pose has y up and z towards the viewer.
    pose[:3] = (upright * to_camera_axes * turn * lean).as_rotvec()
    vertices, _ = body.pose(pose, shape)
    keypoints = body.keypoints(COCOPLUS19.name, vertices)
    return _Stand(pose, shape, body.data.faces, vertices, keypoints, upright.as_matrix(), elevation)


def _balancing_lean(body, pose) -> float:
    """Returns the angle about x to lean forward so that the standing foot comes below the pelvis.

    Poses know nothing of the ground: a person bending over has, with an upright pelvis, both legs in the air
    before it. Whoever sits, both knees bent, keeps most of the upright trunk.
    """
    unturned = pose.copy()
    unturned[:3] = 0
    joints = body.mean_joints(unturned)
    at = {name: joints[n] for n, name in enumerate(SMPL24.joints)}
    foot = min(at["left_ankle"], at["right_ankle"], key=lambda joint: joint[1])
    angle = np.arctan2(foot[2] - at["pelvis"][2], at["pelvis"][1] - foot[1])
    bends = [np.linalg.norm(pose.reshape(-1, 3)[SMPL24.index(f"{side}_knee")]) for side in ("left", "right")]
    return float(np.clip(angle, -1.2, 1.2) * (0.3 if min(bends) > 1.0 else 0.75))


def _place(rng, stand, size) -> np.ndarray:
    """Returns the weak-perspective camera (3,) that puts the person, about 150 pixels tall, into the image."""
    lowest = stand.vertices[:, :2].min(axis=0)
    highest = stand.vertices[:, :2].max(axis=0)
    # A crouching person is nearer than its height says, but not as near as to fill the picture.
    extent = max(np.hypot(*(highest - lowest)) * 0.9, 1.2)
    pixels_per_metre = PERSON_HEIGHT / extent * np.exp(np.clip(rng.normal(0, 0.1), -0.25, 0.25))
    far = rng.uniform() < 0.12
    offset = rng.uniform(-0.45, 0.45, 2) if far else np.clip(rng.normal(0, 0.05, 2), -0.15, 0.15)
    scale = 2 * pixels_per_metre / size

    def camera_for(offset):
        middle = offset * size / pixels_per_metre
        return np.float32([scale, *(middle - (lowest + highest) / 2)])

    camera = camera_for(offset)
    joints = weak_perspective_camera(camera, size).project(stand.keypoints)[:, :2]
    return camera if _inside(joints, size).sum() >= _LEAST_VISIBLE else camera_for(np.zeros(2))


def _inside(joints2d, size) -> np.ndarray:
    """Whether joints (J, 2) lie in the image, whose pixels reach half a pixel around their centres."""
    return ((joints2d >= -0.5) & (joints2d < size - 0.5)).all(axis=1)


def _background(rng, config, stand, camera) -> np.ndarray:
    """Returns the scene (H, W, 3) float32, with the person's shadow on its floor if it is a painted one."""
    size = config.image_size
    if config.backgrounds:
        return backgrounds.photograph(rng, size, config.backgrounds).astype(np.float32)
    foot = weak_perspective_camera(camera, size).project(stand.vertices)[:, 1].max()
    scene = backgrounds.procedural(rng, size, horizon=foot - rng.uniform(0.03, 0.3) * PERSON_HEIGHT)
    return scene.astype(np.float32) * _shadow(rng, stand, camera, size)[..., None]


def _shadow(rng, stand, camera, size) -> np.ndarray:
    """Returns (size, size) float32 factors of light on a floor below the person."""
    # Seen quite flat the floor would be a line: pretend to look down on it a little.
    elevation = max(stand.elevation, 0.2)
    plumb = stand.vertices @ stand.upright
    lowest = plumb[plumb[:, 1].argmax()]
    fall = plumb[:, 1] - lowest[1]
    slant = rng.uniform(-0.9, 0.9, 2)
    onto_floor = np.stack(
        [plumb[:, 0] - slant[0] * fall, np.full_like(fall, lowest[1]), plumb[:, 2] - slant[1] * fall], 1
    )
    flat = (onto_floor - lowest) @ Rotation.from_euler("x", elevation).as_matrix().T + stand.upright @ lowest
    view = weak_perspective_camera(camera, size).scaled(1 / _SHADOW_DETAIL)
    small = size // _SHADOW_DETAIL
    mask = render_mask(flat, stand.faces, view, (small, small)).astype(np.float32)
    soft = cv2.GaussianBlur(cv2.resize(mask, (size, size)), (0, 0), rng.uniform(1.5, 5))
    return 1 - np.float32(rng.uniform(0, 0.55)) * soft


def _picture(rng, stand, colors, parts, camera, background):
    """Renders the person before the background: (H, W, 3) uint8, edges smoothed, and the exact parts (H, W)."""
    view = weak_perspective_camera(camera, background.shape[0])
    tint = 1 + rng.normal(0, 0.05, 3)
    picture = composite(
        np.clip(background, 0, 255),
        stand.vertices,
        stand.faces,
        view,
        vertex_colors=np.clip(colors * tint, 0, 255).astype(np.uint8),
        light=_lights(rng, stand),
    )
    return picture, draw_part_labels(stand.vertices, stand.faces, view, background.shape[:2], parts)


def _lights(rng, stand):
    """A sun or lamp from above and anywhere but straight behind, and a weaker light from another side."""
    lights = []
    for ambient, diffuse in ((rng.uniform(0.35, 0.65), rng.uniform(0.35, 0.8)), (0.0, rng.uniform(0, 0.3))):
        azimuth, height = rng.uniform(-2.0, 2.0), rng.uniform(0.2, 1.3)
        direction = np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)
        lights.append(Light(tuple(stand.upright @ direction), ambient, diffuse))
    return lights


def _occlude(rng, picture, mask):
    """Puts a box or a bar in front of a part of the person; returns picture, visible mask and what it hides."""
    size = mask.shape[0]
    rows, columns = np.nonzero(mask)
    shape = np.zeros((size, size), np.uint8)
    if len(rows):
        pick = rng.integers(len(rows))
        sides = rng.uniform(0.06, 0.25, 2) * size
        box = cv2.boxPoints(((int(columns[pick]), int(rows[pick])), tuple(sides), rng.uniform(0, 180)))
        cv2.fillPoly(shape, [np.round(box).astype(np.int32)], 1)
    hidden = shape.astype(bool)
    picture = picture.copy()
    picture[hidden] = pattern(rng, size, size)[hidden]
    return picture, mask & ~hidden, hidden


def _photographed(rng, picture) -> bytes:
    """Gives a rendering the look of a photograph - contrast, softness, grain - and returns it as JPEG."""
    saturation, contrast, brightness = rng.uniform(0.6, 1.15), rng.uniform(0.75, 1.15), rng.normal(4, 12)
    mixing = contrast * (saturation * np.eye(3) + (1 - saturation) / 3)
    offset = 128 * (1 - contrast) + brightness
    image = cv2.transform(picture, np.c_[mixing, np.full(3, offset)].astype(np.float32))
    sigma = rng.uniform(0, 1.1)
    if sigma > 0.25:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    # The sum of two uniform numbers is as good as normal for grain, and bytes are cheap to draw.
    first, second = np.frombuffer(rng.bytes(2 * image.size), np.uint8).reshape(2, *image.shape)
    grain = first.astype(np.float32)
    grain += second
    grain -= 255
    grain *= np.float32(rng.uniform(0.5, 7) / 104.5)
    grain += image
    pixels = np.clip(grain, 0, 255, out=grain).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 96))]
    return cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), quality)[1].tobytes()
