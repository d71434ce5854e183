"""People as files: what is read back is what was written, by readers that know nothing of this package."""

import json
import pathlib

import numpy as np
import pytest

from hpe import skeletons
from hpe.errors import UserError
from hpe.export.people import save_people
from hpe.geometry.cameras import frame_camera
from hpe.people.person import BodyParameters, Person

SCHEMA = json.loads((pathlib.Path(__file__).parents[2] / "docs" / "person.schema.json").read_text())


def person(**changes):
    rng = np.random.default_rng(0)
    fields = {
        "box": (1.0, 2.0, 30.0, 40.0),
        "score": 0.75,
        "track_id": None,
        "joints2d": rng.uniform(0, 100, (19, 2)).astype(np.float32),
        "confidence": rng.uniform(0, 1, 19).astype(np.float32),
        "skeleton": "cocoplus19",
        "joints3d": rng.normal(size=(17, 3)).astype(np.float32),
        "joints3d_skeleton": "h36m17",
        "vertices": rng.normal(size=(5, 3)).astype(np.float32),
        "faces": np.int32([[0, 1, 2], [2, 3, 4]]),
        "camera": frame_camera((120, 160)),
        "translation": np.float32([0, 0.5, 3]),
        "body": BodyParameters("smpl", np.tile(np.eye(3, dtype=np.float32), (24, 1, 1)), np.zeros(10)),
        "reprojection_error": 1.25,
    }
    return Person(**fields | changes)


_OPTIONAL = ("joints3d", "joints3d_skeleton", "vertices", "faces", "camera", "translation", "body")
BARE = dict.fromkeys((*_OPTIONAL, "reprojection_error"))


@pytest.mark.parametrize("changes", [{}, BARE, {"track_id": 7}])
def test_json_follows_the_schema_and_holds_the_numbers(tmp_path, changes):
    jsonschema = pytest.importorskip("jsonschema")
    someone = person(**changes)
    someone.save(tmp_path / "new" / "a.JSON")
    read = json.loads((tmp_path / "new" / "a.JSON").read_text())
    jsonschema.validate(read, SCHEMA)
    (frame,) = read["frames"]
    (found,) = frame["people"]
    assert (frame["frame"], frame["time"], read["frames_per_second"]) == (0, None, None)
    np.testing.assert_allclose(found["joints2d"], someone.joints2d, atol=1e-3)
    assert read["skeletons"][found["skeleton"]]["joints"] == list(skeletons.COCOPLUS19.joints)
    assert found["track_id"] == someone.track_id
    if someone.joints3d is None:
        assert found["joints3d"] is found["body"] is frame["camera"] is None
    else:
        np.testing.assert_allclose(found["joints3d"], someone.joints3d, atol=1e-5)
        assert frame["camera"] == {"focal": [200.0, 200.0], "center": [79.5, 59.5], "size": [160, 120]}


def test_what_is_not_finite_is_null_in_json(tmp_path):
    joints2d = person().joints2d.copy()
    joints2d[3, 0] = np.nan
    person(joints2d=joints2d).save(tmp_path / "a.json")
    read = json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)
    assert read["frames"][0]["people"][0]["joints2d"][3][0] is None


def test_npz_holds_everything_and_no_pickle(tmp_path):
    save_people([person(), person(**BARE)], tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as read:
        assert int(read["people"]) == 2
        np.testing.assert_array_equal(read["person0_vertices"], person().vertices)
        np.testing.assert_array_equal(read["person0_body_pose"], person().body.pose)
        np.testing.assert_array_equal(read["person0_camera_focal"], (200, 200))
        assert str(read["person1_skeleton"]) == "cocoplus19"
        assert "person1_joints3d" not in read


def read_obj(path):
    lines = [line.split() for line in path.read_text().splitlines()]
    vertices = np.array([line[1:] for line in lines if line[0] == "v"], float)
    return vertices, np.array([line[1:] for line in lines if line[0] == "f"], int) - 1


def read_ply(path):
    header, body = path.read_bytes().split(b"end_header\n")
    counts = [int(line.split()[-1]) for line in header.decode().splitlines() if line.startswith("element")]
    vertices = np.frombuffer(body, "<f4", 3 * counts[0]).reshape(-1, 3)
    rest = np.frombuffer(body[12 * counts[0] :], np.uint8).reshape(counts[1], 13)
    assert (rest[:, 0] == 3).all()
    return vertices, np.ascontiguousarray(rest[:, 1:]).view("<i4")


@pytest.mark.parametrize(("ending", "read"), [("obj", read_obj), ("ply", read_ply)])
def test_meshes_stand_upright_in_modelling_programs(tmp_path, ending, read):
    path = tmp_path / f"a.{ending}"
    save_people([person(), person()], path)
    vertices, faces = read(path)
    expected = person().vertices * (1, -1, -1)
    np.testing.assert_allclose(vertices, np.concatenate([expected, expected]), atol=1e-5)
    np.testing.assert_array_equal(faces, [[0, 1, 2], [2, 3, 4], [5, 6, 7], [7, 8, 9]])


def test_what_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"a\.fbx: people are written to files that end in \.json, \.csv, "):
        person().save(tmp_path / "a.fbx")
    with pytest.raises(
        UserError, match=r"a\.obj: holds meshes, and this model predicts none; choose another"
    ):
        person(**BARE).save(tmp_path / "a.obj")
    with pytest.raises(UserError, match=r"a\.ply: there is nobody to write"):
        save_people([], tmp_path / "a.ply")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file: cannot be written"):
        person().save(tmp_path / "file" / "a.json")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_person_becomes_a_rig(tmp_path):
    body = BodyParameters(
        "default", np.tile(np.eye(3, dtype=np.float32), (24, 1, 1)), np.zeros(10, np.float32)
    )
    she = person(body=body)
    she.save(tmp_path / "she.glb")
    she.save(tmp_path / "she.bvh")
    assert (tmp_path / "she.glb").read_bytes().startswith(b"glTF")
    assert (tmp_path / "she.bvh").read_text().startswith("HIERARCHY")
    with pytest.raises(UserError, match=r"b\.bvh: this format holds one person, not 2"):
        save_people([she, she], tmp_path / "b.bvh")
    with pytest.raises(UserError, match=r"s\.glb: the arrays of the body smpl are not in the package"):
        person().save(tmp_path / "s.glb")
