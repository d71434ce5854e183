"""The table of fields: what may be registered, and that its page says what it says."""

import dataclasses
import pathlib

import pytest

from hpe import fields, skeletons
from hpe.fields import Codec, Field, Kind, Stored

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "fields.md"
NORMALS = Field(
    key="normals",
    shape=("S", "S", 3),
    dtype="uint8",
    kind=Kind.MAP,
    weight="normals_weight",
    doc="toy",
)


@pytest.fixture
def table(monkeypatch):
    monkeypatch.setattr(fields, "TABLE", dict(fields.TABLE))


def test_the_page_is_the_table():
    assert PAGE.read_text() == fields.to_markdown(fields.FIELDS), "python -m hpe.fields > docs/fields.md"


def test_keys_weights_and_record_keys_are_all_different():
    keys = [field.key for field in fields.FIELDS] + [field.weight for field in fields.FIELDS if field.weight]
    stored = [field.stored.key for field in fields.FIELDS if field.stored]
    assert len(set(keys)) == len(keys)
    assert len(set(stored)) == len(stored)


def test_shapes_become_numbers():
    sides = {"size": 64, "skeleton2d": "mpii16", "skeleton3d": "h36m17"}
    assert fields.get("image").sides(**sides) == (64, 64, 3)
    assert fields.get("joints2d").sides(**sides) == (16, 2)
    assert fields.get("joints3d").sides(**sides) == (17, 3)
    assert fields.get("joints3d").sides(size=64, skeleton2d="lsp14") == (14, 3)
    assert fields.get("joints3d").weight_shape == ("K",)
    assert fields.get("pose").weight_shape == ()


def test_labels_of_parts_change_sides():
    flip = fields.get("part_labels").flip
    left, right = (1 + skeletons.SMPL24.index(f"{side}_knee") for side in ("left", "right"))
    assert (flip[0], flip[left], flip[right]) == (0, right, left)


@pytest.mark.usefixtures("table")
def test_a_field_is_registered_once_or_again():
    assert fields.register(NORMALS) is NORMALS
    fields.register(dataclasses.replace(NORMALS))
    assert fields.get("normals") == NORMALS
    assert fields.all_fields()[-1] == NORMALS


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": "image"}, "already"),
        ({"key": "valid", "doc": "another"}, "already"),
        ({"key": "joints2d_weight"}, "key of another"),
        ({"weight": "pose_weight"}, "key of another"),
        ({"stored": Stored("maps/depth_mm", Codec.PNG)}, "records keep 'depth'"),
    ],
)
def test_keys_are_not_taken_twice(changes, message):
    with pytest.raises(ValueError, match=message):
        fields.register(dataclasses.replace(NORMALS, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": ("S", 3)}, r"shaped \(S, S\)"),
        ({"shape": ("S", "S", 0)}, "above 0"),
        ({"shape": ("S", "S", "B")}, "above 0"),
        ({"kind": Kind.CONSTANT}, r"shaped \(S, S\)"),
        ({"dtype": "float16"}, "dtype"),
        ({"kind": Kind.POINTS2D, "shape": ("J", 3)}, r"points, 2"),
        ({"kind": Kind.CAMERA, "shape": (4,)}, "weak perspective"),
        ({"stored": Stored("x", Codec.FLOATS)}, "cannot be stored"),
        ({"kind": Kind.CONSTANT, "shape": (3,), "stored": Stored("x", Codec.PNG)}, "cannot be stored"),
        ({"kind": Kind.CONSTANT, "shape": (3,), "stored": Stored("x", Codec.JOINTS)}, "joints by symbol"),
        ({"kind": Kind.CONSTANT, "shape": ("J",), "stored": Stored("x", Codec.FLOATS)}, "of numbers"),
        ({"kind": Kind.CONSTANT, "shape": (), "stored": Stored("x", Codec.TEXT)}, "uint8 cannot be"),
        ({"kind": Kind.SIDES, "shape": (3,), "flip": (0, 2)}, "permutation"),
    ],
)
def test_fields_that_contradict_themselves_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(NORMALS, **changes)


def test_an_unknown_key_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"Unknown field 'joint2d'; known are .*joints2d"):
        fields.get("joint2d")
