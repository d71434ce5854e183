"""A record of a person in an image, drawn: every field that it has, of the package or registered."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping

import cv2
import numpy as np
import tensorflow as tf

from hpe import fields, skeletons
from hpe.errors import UserError
from hpe.fields import Codec, Field, Kind
from hpe.records.maps import decode_map
from hpe.records.schema import parse_examples
from hpe.skeletons import Skeleton
from hpe.visualization.skeletons import draw_skeleton, draw_skeleton3d

_TINT = np.array([255, 40, 160], np.float32)
_TINT_STRENGTH = 0.35
_POINT_COLOR = (255, 160, 0)
# What the picture shows, or every record has.
_NOT_TOLD = ("image", "silhouette", "joints2d", "joints3d", "image_size", "name", "body_model")


class PersonRecord:
    """What a record holds, in the joint sets that it is annotated in.

    Args:
        serialized: a complete record, see `hpe.records.pictures`.

    Attributes:
        skeleton, skeleton3d: joint sets; `cocoplus19` of records of the originals.
        name: of the sample.
    """

    def __init__(self, serialized: bytes):
        feature = tf.train.Example.FromString(serialized).features.feature
        self.skeleton = _skeleton(feature, "image/skeleton")
        self.skeleton3d = _skeleton(feature, "keypoints3d/skeleton")
        parsed = parse_examples(
            tf.constant(serialized),
            [field.key for field in fields.all_fields()],
            skeleton2d=self.skeleton.name,
            skeleton3d=self.skeleton3d.name,
        )
        self._values = {key: value.numpy() for key, value in parsed.items()}
        self.name = self._values["name"].decode(errors="replace")

    def has(self, field: Field) -> bool:
        """Whether the record has a field."""
        value = self._values.get(field.weight or field.key)
        return value is not None and bool(
            value.any() if isinstance(value, np.ndarray | np.generic) else value
        )

    def value(self, field: Field):
        """Returns the value of a field as the table says but for the frame; a map (H, W) or (H, W, channels).

        Raises:
            UserError: naming the record, if an image or a map does not decode.
        """
        value = self._values[field.key]
        if field.stored is None or field.stored.codec not in (Codec.IMAGE, Codec.MASK, Codec.PNG):
            return value
        try:
            if field.stored.codec is not Codec.IMAGE:
                return decode_map(field, value)
            pixels = cv2.imdecode(
                np.frombuffer(value, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
            )
            if pixels is None:
                raise ValueError(f"its {field.key} does not decode")
            return pixels[..., ::-1]
        except (ValueError, cv2.error) as error:
            raise UserError(f"record {self.name}: {error}.") from error

    def weight(self, field: Field) -> np.ndarray:
        """Returns the weight of a field that has one."""
        return self._values[field.weight]

    def caption(self) -> str:
        """Returns its name, how many joints of which set are visible, and what else it has."""
        visible = int((self.weight(fields.get("joints2d")) > 0).sum())
        facts = [self.name, f"{visible}/{len(self.skeleton)} {self.skeleton.name}"]
        facts += ["mask"] if self.has(fields.get("silhouette")) else []
        for field in fields.all_fields():
            if field.key in _NOT_TOLD or not self.has(field):
                continue
            value = self._values[field.key]
            if field.dtype == "string":
                facts.append(f"{field.key}={value.decode(errors='replace')}")
            elif not isinstance(value, bytes) and value.size == 1:
                facts.append(f"{field.key}={value.item():g}")
            else:
                facts.append(field.key)
        return " ".join(facts)


def draw_person(record: PersonRecord, *, size: int, names: bool) -> np.ndarray:
    """Draws a person: image with tinted mask, joints and points, and beside it 3D skeletons and other maps.

    Occluded joints are rings.

    Args:
        record: whom to draw.
        size: the longer side of the image is scaled to this many pixels.
        names: writes the names of the joints.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        UserError: if an image or a map does not decode.
    """
    image = record.value(fields.get("image"))
    factor = size / max(image.shape[:2])
    width, height = (max(1, round(side * factor)) for side in (image.shape[1], image.shape[0]))
    # OpenCV maps pixel centres by p' = (p + 1/2) f - 1/2.
    factors = np.array([width / image.shape[1], height / image.shape[0]])
    picture = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    panels = []
    for field in fields.all_fields():
        if field.key == "image" or not record.has(field):
            continue
        value = record.value(field)
        if field.key == "silhouette":
            picture = _tint(picture, cv2.resize(value, (width, height), interpolation=cv2.INTER_NEAREST))
        elif field.kind is Kind.MAP:
            panels.append(cv2.resize(_colors(field, value), (width, height), interpolation=cv2.INTER_NEAREST))
        elif field.kind is Kind.POINTS2D:
            labelled = value.any(axis=1, keepdims=True)
            picture = _draw_points(
                picture, np.where(labelled, (value + 0.5) * factors - 0.5, 0), field, record, names
            )
        elif field.kind is Kind.POINTS3D and field.stored.codec is Codec.JOINTS:
            panels.append(draw_skeleton3d(value, record.skeleton3d, height, visibility=record.weight(field)))
    return np.concatenate([picture, *panels], axis=1)


def _draw_points(
    picture: np.ndarray, points: np.ndarray, field: Field, record: PersonRecord, names: bool
) -> np.ndarray:
    if field.stored.codec is Codec.JOINTS:
        return draw_skeleton(
            picture, points, record.skeleton, visibility=record.weight(field), names=names, hidden=True
        )
    picture = np.ascontiguousarray(picture)
    for x, y in np.rint(points).astype(int).tolist():
        cv2.circle(picture, (x, y), 3, _POINT_COLOR, -1, cv2.LINE_AA)
    return picture


def _colors(field: Field, values: np.ndarray) -> np.ndarray:
    """Returns a map as RGB: pictures as they are, labels in colours of their own, numbers from dark to bright."""
    if values.ndim == 3 and values.shape[2] == 3 and values.dtype == np.uint8:
        return values
    if values.ndim == 3:
        values = values[..., 0]
    if field.flip:
        # Neighbouring labels are far from each other on the circle of colours.
        palette = [colorsys.hsv_to_rgb(0.618 * label % 1, 0.8, 1.0) for label in range(256)]
        return np.uint8(255 * np.array([(0, 0, 0), *palette[1:]]))[np.clip(values, 0, 255).astype(np.uint8)]
    values = values.astype(np.float32)
    span = np.ptp(values)
    scaled = np.uint8(255 * (values - values.min()) / span) if span else np.zeros(values.shape, np.uint8)
    return cv2.applyColorMap(scaled, cv2.COLORMAP_VIRIDIS)[..., ::-1]


def _skeleton(feature: Mapping, key: str) -> Skeleton:
    """Returns the joint set that a record names, `cocoplus19` if it names none that is known."""
    names = feature[key].bytes_list.value if key in feature else ()
    name = names[0].decode(errors="replace") if names else ""
    return skeletons.SKELETONS.get(name, skeletons.COCOPLUS19)


def _tint(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    strength = np.where(mask > 0, _TINT_STRENGTH, 0)[:, :, None]
    return (image * (1 - strength) + _TINT * strength).round().astype(np.uint8)
