"""The table of fields: what a batch can hold, its unit and frame, how it moves with a crop, how records keep it.

Records, the pipeline and the pages of docs/ are made from this table, so that a new field is one `register(...)` in
the file that brings it. docs/fields.md prints it: `python -m hpe.fields > docs/fields.md`.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence

from hpe import skeletons
from hpe.skeletons.parts import PART_FLIP, PARTS

# The symbols of shapes.
CROP_SIDE, JOINTS2D, JOINTS3D = "S", "J", "K"

_DTYPES = ("float32", "uint8", "int32", "int64", "string")


class Kind(enum.Enum):
    """How a field moves when the crop is moved, turned, scaled or mirrored."""

    IMAGE = "image"  # resampled, by area or bilinear; beyond the picture its border
    MAP = "map"  # resampled, nearest or bilinear; beyond the picture the background's value
    POINTS2D = "points2d"  # the crop's similarity; mirrored with the skeleton's flip
    POINTS3D = "points3d"  # turned about the optical axis with the crop; mirrored
    ROTATIONS = "rotations"  # the root is turned with the crop; mirrored
    CAMERA = "camera"  # follows the crop exactly: weak perspective (3,) or a matrix of intrinsics (3, 3)
    LENGTH = "length"  # pixels of the stored image become pixels of the crop
    SIDES = "sides"  # a list; a mirrored crop exchanges its entries
    CONSTANT = "constant"  # left alone


class Codec(enum.Enum):
    """How a record stores a field; every codec but IMAGE may be absent from a record."""

    FLOATS = "floats"  # a list of floats, in C order
    INTS = "ints"  # a list of whole numbers, in C order
    TEXT = "text"
    IMAGE = "image"  # the original JPEG or PNG bytes
    MASK = "mask"  # PNG (the original code: also JPEG) of the stored image's size; 1 where it is 128 or more
    PNG = "png"  # grey PNG of 8 or 16 bits, of the stored image's size; value = Stored.scale * what the PNG says
    JOINTS = "joints"  # coordinates and weight of each joint in the record's own joint set, row after row


@dataclasses.dataclass(frozen=True)
class Stored:
    """How records keep a field.

    Attributes:
        key: its key in a `tf.train.Example`.
        codec: what lies there.
        scale: of PNG, what one step of the stored numbers is worth: 0.001 for depths in millimetres.
    """

    key: str
    codec: Codec
    scale: float = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Field:
    """One entry of the table.

    Attributes:
        key: its key in a batch.
        shape: without the batch's axis; of whole numbers and of the symbols S (side of the crop in pixels), J
            (joints of `Needs.skeleton2d`) and K (joints of `Needs.skeleton3d`).
        dtype: float32, uint8, int32, int64 or string.
        kind: how it moves with the crop.
        doc: what it is, in one sentence without a full stop.
        unit: of its numbers; empty without one.
        frame: what its numbers are measured from.
        weight: key of its weight in a batch, which is 0 where a sample lacks the field: of points one number for
            each, else one number. None where the field itself says so.
        stored: how records keep it; None where the pipeline makes it.
        flip: what a mirrored crop exchanges: of points whose number is no symbol, and of lists of kind SIDES,
            the permutation of the entries, of maps of labels that of the labels. Joints by symbol follow
            their joint set.
        smooth: maps are resampled bilinearly instead of by the nearest pixel.
        background: value of a map beyond the picture.
    """

    key: str
    shape: tuple[int | str, ...]
    dtype: str
    kind: Kind
    doc: str
    unit: str = ""
    frame: str = ""
    weight: str | None = None
    stored: Stored | None = None
    flip: tuple[int, ...] = ()
    smooth: bool = False
    background: float = 0.0

    def __post_init__(self):
        if unknown := [side for side in self.shape if not _is_side(side)]:
            raise ValueError(
                f"field {self.key}: shapes are of numbers above 0 and of {CROP_SIDE}, {JOINTS2D} and {JOINTS3D}. "
                f"Received: {unknown[0]!r}"
            )
        if self.dtype not in _DTYPES:
            raise ValueError(
                f"field {self.key}: dtype is one of {', '.join(_DTYPES)}. Received: {self.dtype}"
            )
        if problem := _problem(self):
            raise ValueError(f"field {self.key}: {problem}. Received: shape={self.shape}")

    @property
    def weight_shape(self) -> tuple[int | str, ...]:
        """Shape of the weight beside it."""
        return self.shape[:1] if self.kind in (Kind.POINTS2D, Kind.POINTS3D) else ()

    def sides(self, *, size: int, skeleton2d: str, skeleton3d: str | None = None) -> tuple[int, ...]:
        """Returns the shape in numbers.

        Args:
            size: side of the crop in pixels.
            skeleton2d: joint set of 2D joints.
            skeleton3d: joint set of 3D joints; None for that of the 2D joints.
        """
        counts = {
            CROP_SIDE: size,
            JOINTS2D: len(skeletons.get(skeleton2d)),
            JOINTS3D: len(skeletons.get(skeleton3d or skeleton2d)),
        }
        return tuple(counts.get(side, side) for side in self.shape)


@dataclasses.dataclass(frozen=True)
class Needs:
    """What a system's losses and judging read of a batch; the pipeline parses, decodes and moves only that.

    Attributes:
        fields: keys of the table; their weights come with them.
        skeleton2d: joint set of 2D joints.
        skeleton3d: joint set of 3D joints; None for that of the 2D joints.
        body_models: names of the body models whose pose and shape are truth; those of others count as absent.
            Empty: of all.
        joint_table: name of a published table of `hpe.skeletons.rules` by which joints come from the sets that it
            has an entry for; None for what the rules say, see docs/skeletons.md.
        streams: what else is fed beside the batches, with how many of it for each sample: `{"mocap": 12}`.
    """

    fields: tuple[str, ...]
    skeleton2d: str
    skeleton3d: str | None = None
    body_models: tuple[str, ...] = ()
    joint_table: str | None = None
    streams: Mapping[str, int] = dataclasses.field(default_factory=dict)


def register(field: Field) -> Field:
    """Adds a field to the table and returns it; the same field may be registered again.

    Raises:
        ValueError: if its key, its weight's or its record's is taken by another field.
    """
    known = TABLE.get(field.key)
    if known == field:
        return field
    if known is not None:
        raise ValueError(f"There is a field {field.key!r} already: {known.doc}.")
    taken = {key for other in TABLE.values() for key in (other.key, other.weight)}
    if clash := {field.key, field.weight} & (taken - {None}):
        raise ValueError(f"field {field.key}: {sorted(clash)[0]!r} is the key of another field or weight.")
    if field.stored:
        keys = {other.stored.key: other.key for other in TABLE.values() if other.stored}
        if field.stored.key in keys:
            raise ValueError(
                f"field {field.key}: records keep {keys[field.stored.key]!r} as {field.stored.key!r} already."
            )
    TABLE[field.key] = field
    return field


def get(key: str) -> Field:
    """Returns the field of a key; raises ValueError with the known keys if there is none."""
    if key not in TABLE:
        raise ValueError(f"Unknown field {key!r}; known are {', '.join(sorted(TABLE))}.")
    return TABLE[key]


def all_fields() -> tuple[Field, ...]:
    """Returns the whole table: the package's own fields and those that were registered, in order."""
    return tuple(TABLE.values())


def to_markdown(fields: Sequence[Field]) -> str:
    """Returns the table of fields as docs/fields.md shows it."""
    return _PAGE.format(rows="\n".join(map(_row, fields)))


def _is_side(side: int | str) -> bool:
    return side in (CROP_SIDE, JOINTS2D, JOINTS3D) if isinstance(side, str) else side > 0


def _problem(field: Field) -> str:
    """Returns why shape and kind of a field do not go together, or an empty string."""
    shape, kind = field.shape, field.kind
    images = kind in (Kind.IMAGE, Kind.MAP)
    if images != (CROP_SIDE in shape) or (images and shape[:2] != (CROP_SIDE, CROP_SIDE)):
        return "images and maps, and nothing else, are shaped (S, S) or (S, S, channels)"
    for points, dimensions in ((Kind.POINTS2D, 2), (Kind.POINTS3D, 3)):
        if kind is points and (len(shape) != 2 or shape[1] != dimensions):
            return f"{points.value} are shaped (points, {dimensions})"
    if kind is Kind.ROTATIONS and shape != (72,):
        return "rotations are the 72 axis-angle values of 24 joints, root first"
    if kind is Kind.CAMERA and shape not in ((3,), (3, 3)):
        return "a camera is weak perspective, (3,), or a matrix of intrinsics, (3, 3)"
    if kind is Kind.LENGTH and shape:
        return "a length is one number"
    if kind is Kind.SIDES and (len(shape) != 1 or sorted(field.flip) != list(range(shape[0]))):
        return "what changes sides is a list with a permutation of its entries as `flip`"
    codec = field.stored.codec if field.stored else None
    if images != (codec in (Codec.IMAGE, Codec.MASK, Codec.PNG)) and codec is not None:
        return f"{kind.value} cannot be stored as {codec.value}"
    if codec is Codec.JOINTS and (
        kind not in (Kind.POINTS2D, Kind.POINTS3D) or not isinstance(shape[0], str) or field.weight is None
    ):
        return "only joints by symbol, with a weight, are stored as joints"
    if codec in (Codec.FLOATS, Codec.INTS) and any(isinstance(side, str) for side in shape):
        return f"what is stored as {codec.value} has a shape of numbers"
    if (codec is Codec.TEXT) != (field.dtype == "string") and codec is not None:
        return f"{field.dtype} cannot be stored as {codec.value}"
    return ""


def _row(field: Field) -> str:
    stored = f"`{field.stored.key}` ({field.stored.codec.value})" if field.stored else "-"
    weight = f"`{field.weight}` {_shape(field.weight_shape)}" if field.weight else "-"
    cells = (
        f"`{field.key}`",
        f"{_shape(field.shape)} {field.dtype}",
        field.kind.value,
        weight,
        field.unit or "-",
        field.frame or "-",
        stored,
        field.doc,
    )
    return f"| {' | '.join(cells)} |"


def _shape(shape: tuple[int | str, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


_CROP = "crop"
_CAMERA = "camera: x right, y down, z forward"

FIELDS: tuple[Field, ...] = (
    Field(
        key="image",
        shape=("S", "S", 3),
        dtype="uint8",
        kind=Kind.IMAGE,
        stored=Stored("image/encoded", Codec.IMAGE),
        doc="the crop, RGB",
    ),
    Field(
        key="silhouette",
        shape=("S", "S"),
        dtype="uint8",
        kind=Kind.MAP,
        weight="silhouette_weight",
        stored=Stored("image/seg_gt", Codec.MASK),
        doc="1 where the person is, else 0",
    ),
    Field(
        key="part_labels",
        shape=("S", "S"),
        dtype="uint8",
        kind=Kind.MAP,
        weight="part_labels_weight",
        stored=Stored("maps/part_labels", Codec.PNG),
        # The labels are the joints of smpl24, counted from 1, so that left and right are known.
        flip=(0, *(1 + joint for joint in skeletons.SMPL24.flip)),
        doc="part of the body: 1 and the number of the joint of `smpl24` that moves it; 0 is the background",
    ),
    Field(
        key="depth",
        shape=("S", "S"),
        dtype="float32",
        kind=Kind.MAP,
        weight="depth_weight",
        unit="m",
        frame="camera: z forward",
        stored=Stored("maps/depth_mm", Codec.PNG, scale=0.001),
        doc="depth of every pixel; 0 where it is unknown",
    ),
    Field(
        key="joints2d",
        shape=("J", 2),
        dtype="float32",
        kind=Kind.POINTS2D,
        weight="joints2d_weight",
        unit="half crop sides",
        frame="crop: -1 to 1, x right, y down",
        stored=Stored("keypoints/xyv", Codec.JOINTS),
        doc="2D joints; the weight is the confidence of whoever found them. Of pose sequences: pixels from the "
        "principal point, or X / Z and Y / Z",
    ),
    Field(
        key="joints3d",
        shape=("K", 3),
        dtype="float32",
        kind=Kind.POINTS3D,
        weight="joints3d_weight",
        unit="m",
        frame=_CAMERA,
        stored=Stored("keypoints3d/xyzc", Codec.JOINTS),
        doc="3D joints; of pose sequences from the pelvis",
    ),
    Field(
        key="part_order",
        shape=(len(PARTS),),
        dtype="int32",
        kind=Kind.SIDES,
        stored=Stored("body/part_order", Codec.INTS),
        flip=PART_FLIP,
        doc="of each part of `skeletons.parts` which joint is nearer to the camera: 1 the parent, 2 neither, 3 the "
        "child; 0 where nobody has said. For pictures without 3D joints",
    ),
    Field(
        key="pose",
        shape=(72,),
        dtype="float32",
        kind=Kind.ROTATIONS,
        weight="pose_weight",
        unit="rad",
        frame="parent joint; the root's: camera",
        stored=Stored("body/pose", Codec.FLOATS),
        doc="axis-angle rotations of the 24 joints of `smpl24`",
    ),
    Field(
        key="shape",
        shape=(10,),
        dtype="float32",
        kind=Kind.CONSTANT,
        weight="shape_weight",
        stored=Stored("body/shape", Codec.FLOATS),
        doc="shape coefficients of the body model",
    ),
    Field(
        key="body_model",
        shape=(),
        dtype="string",
        kind=Kind.CONSTANT,
        stored=Stored("body/model", Codec.TEXT),
        doc="body model that pose and shape belong to; empty where it is unknown",
    ),
    Field(
        key="gender",
        shape=(),
        dtype="string",
        kind=Kind.CONSTANT,
        stored=Stored("body/gender", Codec.TEXT),
        doc="male, female or neutral: of which body pose and shape are; empty where it is unknown",
    ),
    Field(
        key="camera",
        shape=(3,),
        dtype="float32",
        kind=Kind.CAMERA,
        weight="camera_weight",
        unit="1 / m, m, m",
        frame=_CROP,
        stored=Stored("image/camera", Codec.FLOATS),
        doc="weak-perspective s, tx, ty: half crop sides = s (X_xy + t)",
    ),
    Field(
        key="intrinsics",
        shape=(3, 3),
        dtype="float32",
        kind=Kind.CAMERA,
        weight="intrinsics_weight",
        unit="pixels",
        frame=_CROP,
        stored=Stored("camera/intrinsics", Codec.FLOATS),
        doc="pinhole camera: pixels of the crop = K X / Z, the lens aside",
    ),
    Field(
        key="distortion",
        shape=(5,),
        dtype="float32",
        kind=Kind.CONSTANT,
        frame="stored image",
        stored=Stored("camera/distortion", Codec.FLOATS),
        doc="k1, k2, k3, p1, p2 of `geometry.cameras.perspective_project`; 0 without a lens",
    ),
    Field(
        key="camera_rotation",
        shape=(3, 3),
        dtype="float32",
        kind=Kind.CONSTANT,
        weight="camera_rotation_weight",
        frame="world to the stored image's camera",
        stored=Stored("camera/rotation", Codec.FLOATS),
        doc="R of X_camera = R (X_world - T)",
    ),
    Field(
        key="camera_translation",
        shape=(3,),
        dtype="float32",
        kind=Kind.CONSTANT,
        weight="camera_translation_weight",
        unit="m",
        frame="world",
        stored=Stored("camera/translation_m", Codec.FLOATS),
        doc="T of X_camera = R (X_world - T): the camera's centre",
    ),
    Field(
        key="camera_name",
        shape=(),
        dtype="string",
        kind=Kind.CONSTANT,
        stored=Stored("camera/name", Codec.TEXT),
        doc="name of the camera; empty where it is unknown",
    ),
    Field(
        key="head_size",
        shape=(),
        dtype="float32",
        kind=Kind.LENGTH,
        unit="pixels",
        frame=_CROP,
        stored=Stored("image/head_size", Codec.FLOATS),
        doc="unit of PCKh: 0.6 of the diagonal of the head's box; 0 where it is unknown",
    ),
    Field(
        key="name",
        shape=(),
        dtype="string",
        kind=Kind.CONSTANT,
        stored=Stored("image/filename", Codec.TEXT),
        doc="for messages and pictures",
    ),
    Field(
        key="subject",
        shape=(),
        dtype="string",
        kind=Kind.CONSTANT,
        stored=Stored("source/subject", Codec.TEXT),
        doc="who is seen; empty where it is unknown",
    ),
    Field(
        key="action",
        shape=(),
        dtype="string",
        kind=Kind.CONSTANT,
        stored=Stored("source/action", Codec.TEXT),
        doc="what is done; empty where it is unknown",
    ),
    Field(
        key="sequence",
        shape=(),
        dtype="string",
        kind=Kind.CONSTANT,
        stored=Stored("source/sequence", Codec.TEXT),
        doc="video or recording that the image is of; empty without one",
    ),
    Field(
        key="frame",
        shape=(),
        dtype="int64",
        kind=Kind.CONSTANT,
        stored=Stored("source/frame", Codec.INTS),
        doc="number of the image in its sequence, from 0",
    ),
    Field(
        key="frames_per_second",
        shape=(),
        dtype="float32",
        kind=Kind.CONSTANT,
        unit="1 / s",
        stored=Stored("source/fps", Codec.FLOATS),
        doc="rate of the sequence; 0 where it is unknown",
    ),
    Field(
        key="silhouette_file",
        shape=(),
        dtype="string",
        kind=Kind.CONSTANT,
        frame="stored image",
        doc="the silhouette of the whole picture, encoded as it is stored; empty without one",
    ),
    Field(
        key="image_size",
        shape=(2,),
        dtype="int32",
        kind=Kind.CONSTANT,
        unit="pixels",
        frame="stored image",
        doc="height and width of the stored image",
    ),
    Field(
        key="image_to_crop",
        shape=(2, 3),
        dtype="float32",
        kind=Kind.CONSTANT,
        unit="pixels",
        frame="stored image to crop",
        doc="affine map from pixels of the stored image to those of the crop, mirroring included",
    ),
    Field(
        key="valid",
        shape=(),
        dtype="float32",
        kind=Kind.CONSTANT,
        doc="0 in the rows that fill up the last batch of an evaluation, else 1",
    ),
)

TABLE: dict[str, Field] = {field.key: field for field in FIELDS}

_PAGE = """# What a batch holds

A batch is a dict of these fields, with the batch's axis first. S is the side of the crop in pixels, J the number \
of joints of the 2D joint set, K that of the 3D joint set. A system names the fields that it reads \
(`System.needs`); only those are parsed, decoded and moved into the crop. What a sample lacks is zeros with a \
weight of 0. Centres of pixels lie at whole numbers.

The kind says how a field moves with the crop:

| kind | moved by the crop as |
|---|---|
| image | resampled, by area or bilinear; beyond the picture its border |
| map | resampled, nearest or bilinear; beyond the picture the background's value |
| points2d | the crop's similarity; mirrored with the joint set's flip |
| points3d | turned about the optical axis with the crop; mirrored |
| rotations | the root is turned with the crop; mirrored |
| camera | follows the crop exactly |
| length | pixels of the stored image become pixels of the crop |
| sides | left alone; a mirrored crop exchanges the entries of left and right |
| constant | left alone |

| key | shape and type | kind | weight | unit | frame | in records | content |
|---|---|---|---|---|---|---|---|
{rows}

A file of your own adds a field with `hpe.fields.register(hpe.fields.Field(...))`, and datasets fill it by \
`Sample.extra`; nothing else has to be touched. This page is printed from src/hpe/fields.py by \
`python -m hpe.fields > docs/fields.md`.
"""

if __name__ == "__main__":
    print(to_markdown(FIELDS), end="")
