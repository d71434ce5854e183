"""Synthetic people: a posed, dressed and lit body over a background, with everything about it known exactly.

Every sample is a pure function of (seed, index), so that any process can make any part of a dataset. The
camera is weak-perspective and the picture is rendered with it: joints, mask and camera agree without error.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from hpe.body.data import BodyModelData
from hpe.body.parts import part_of_vertices
from hpe.datasets.sample import Sample
from hpe.formats.images import encode_mask
from hpe.options import option
from hpe.skeletons import COCOPLUS19
from hpe.synthetic import backgrounds
from hpe.synthetic.captured import Postures, read_postures
from hpe.synthetic.clothes import Wardrobe, dress, wardrobe
from hpe.synthetic.dressed_body import NumpyBody
from hpe.synthetic.obstacles import Frame, beside, cut, inside, occlude
from hpe.synthetic.part_labels import draw_part_labels, encode_labels
from hpe.synthetic.standing import Stand, stand
from hpe.visualization.meshes import composite
from hpe.visualization.rasterizer import Light, render_mask, weak_perspective_camera

PERSON_HEIGHT = 150  # Pixels; the convention of LSP and HMR for samples without a scale.
_LEAST_VISIBLE = 8  # Joints; a person placed so that fewer are inside the image is moved to its middle.
_SHADOW_DETAIL = 2  # The shadow is rendered at a fraction of the image's size.
# Keeps what may be added to a picture apart from what it is without it.
_ADDED = 4241


@dataclasses.dataclass(frozen=True)
class SyntheticConfig:
    """What synthetic people look like; the help of the fields says what they mean."""

    image_size: int = option(256, "Side of a synthetic image in pixels; the person is about 150 pixels tall.")
    backgrounds: str = option(
        "", "Folder of photographs, best without people, to stand synthetic people before; empty: painted."
    )
    occluders: float = option(0.0, "Share of synthetic people that something stands in front of.")
    others: float = option(
        0.0, "Share of synthetic people beside, before or behind whom somebody else stands."
    )
    truncated: float = option(
        0.0, "Share of synthetic people of whom the picture's frame cuts something off."
    )
    postures: str = option(
        "", "Folder of motion capture whose postures some synthetic people take; empty: none."
    )
    postures_share: float = option(0.5, "Share of synthetic people that take postures of `postures`.")
    heading: float = option(180.0, "Synthetic people turn away from the camera by up to this many degrees.")
    seed: int = option(0, "Seed of the synthetic people.")

    def __post_init__(self):
        if self.image_size < 64:
            raise ValueError(f"image_size must be at least 64. Received: image_size={self.image_size}")
        for name in ("occluders", "others", "truncated", "postures_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1]. Received: {name}={getattr(self, name)}")
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
            used. None draws a random pose within the joint limits, or one of the configuration's recordings.

    Returns:
        A Sample with image, mask, labels of parts, 2D and 3D joints (cocoplus19), pose, shape and camera.

    Raises:
        UserError: the folder of backgrounds or of postures is missing or holds nothing.
    """
    rng, added = (np.random.default_rng([config.seed, index, *more]) for more in ((), (_ADDED,)))
    size = config.image_size
    body, clothes, parts = _prepared(body_data)
    postures = None if poses is None else Postures(np.asarray(poses), np.zeros(len(poses), bool))
    if config.postures and poses is None and added.uniform() < config.postures_share:
        postures = read_postures(config.postures)
    heading = np.radians(config.heading)
    person = stand(rng, body, postures, heading=heading)
    camera = _place(rng, person, size)
    joints2d = weak_perspective_camera(camera, size).project(person.keypoints)[:, :2]

    background = _background(rng, config, person, camera)
    company = None
    if added.uniform() < config.others:
        other = stand(added, body, postures, heading=heading, beside=person)
        company = beside(added, person, other, camera, size)
        if not company.in_front:
            background = _drawn(added, other, dress(added, clothes), company.camera, background)
    picture, labels = _picture(rng, person, dress(rng, clothes), parts, camera, background)
    mask = labels > 0
    visible, hidden = inside(joints2d, (size, size)), np.zeros((size, size), bool)
    if company is not None and company.in_front:
        picture = _drawn(added, other, dress(added, clothes), company.camera, picture)
        hidden |= render_mask(
            other.vertices, other.faces, weak_perspective_camera(company.camera, size), hidden.shape
        )
    if rng.uniform() < config.occluders:
        picture, covered = occlude(rng, picture, mask)
        hidden |= covered
    mask &= ~hidden
    visible[visible] = ~hidden[tuple(np.round(joints2d[visible]).astype(int).clip(0, size - 1).T[::-1])]
    frame = Frame(picture, mask, labels, joints2d, visible, camera)
    if added.uniform() < config.truncated:
        frame = cut(added, frame, least=_LEAST_VISIBLE)
    shown = frame.joints2d[frame.visible] if frame.visible.any() else frame.joints2d
    height, width = frame.mask.shape
    return Sample(
        name=f"synthetic_{config.seed}_{index:07d}.jpg",
        image=_photographed(rng, frame.picture),
        height=height,
        width=width,
        skeleton=COCOPLUS19.name,
        joints2d=frame.joints2d.astype(np.float32),
        visibility=frame.visible.astype(np.float32),
        center=((shown.min(axis=0) + shown.max(axis=0)) / 2).astype(np.float32),
        scale=None,
        mask=encode_mask(frame.mask.astype(np.uint8) * 255),
        part_labels=encode_labels(frame.labels),
        skeleton3d=COCOPLUS19.name,
        joints3d=person.keypoints,
        confidence3d=np.ones(len(COCOPLUS19), np.float32),
        pose=person.pose,
        shape=person.shape,
        body_model=body_data.name,
        camera=frame.camera,
    )


_last_prepared: tuple[NumpyBody, Wardrobe, np.ndarray] | None = None


def _prepared(data: BodyModelData) -> tuple[NumpyBody, Wardrobe, np.ndarray]:
    """Returns what posing, dressing and labelling need to know of a body; the last body's is kept."""
    global _last_prepared
    kept = _last_prepared
    if kept is None or kept[0].data is not data:
        kept = _last_prepared = NumpyBody(data), wardrobe(data), part_of_vertices(data)
    return kept


def _place(rng, stand: Stand, size) -> np.ndarray:
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
    return camera if inside(joints, (size, size)).sum() >= _LEAST_VISIBLE else camera_for(np.zeros(2))


def _background(rng, config, stand: Stand, camera) -> np.ndarray:
    """Returns the scene (H, W, 3) float32, with the person's shadow on its floor if it is a painted one."""
    size = config.image_size
    if config.backgrounds:
        return backgrounds.photograph(rng, size, config.backgrounds).astype(np.float32)
    foot = weak_perspective_camera(camera, size).project(stand.vertices)[:, 1].max()
    scene = backgrounds.procedural(rng, size, horizon=foot - rng.uniform(0.03, 0.3) * PERSON_HEIGHT)
    return scene.astype(np.float32) * _shadow(rng, stand, camera, size)[..., None]


def _shadow(rng, stand: Stand, camera, size) -> np.ndarray:
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


def _picture(rng, stand: Stand, colors, parts, camera, background):
    """Renders the person before the background: (H, W, 3) uint8, edges smoothed, and the exact parts (H, W)."""
    view = weak_perspective_camera(camera, background.shape[0])
    picture = _drawn(rng, stand, colors, camera, background)
    return picture, draw_part_labels(stand.vertices, stand.faces, view, background.shape[:2], parts)


def _drawn(rng, stand: Stand, colors, camera, background):
    """Renders somebody before the background: (H, W, 3) uint8, edges smoothed."""
    tint = 1 + rng.normal(0, 0.05, 3)
    return composite(
        np.clip(background, 0, 255),
        stand.vertices,
        stand.faces,
        weak_perspective_camera(camera, background.shape[0]),
        vertex_colors=np.clip(colors * tint, 0, 255).astype(np.uint8),
        light=_lights(rng, stand),
    )


def _lights(rng, stand: Stand):
    """A sun or lamp from above and anywhere but straight behind, and a weaker light from another side."""
    lights = []
    for ambient, diffuse in ((rng.uniform(0.35, 0.65), rng.uniform(0.35, 0.8)), (0.0, rng.uniform(0, 0.3))):
        azimuth, height = rng.uniform(-2.0, 2.0), rng.uniform(0.2, 1.3)
        direction = np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)
        lights.append(Light(tuple(stand.upright @ direction), ambient, diffuse))
    return lights


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
