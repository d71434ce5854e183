"""Rigs in files pose the same body: read and posed again by code that shares nothing with the writer."""

import json
import struct

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe.body.data import load_body_model
from hpe.errors import UserError
from hpe.export.bvh import to_bvh
from hpe.export.glb import to_glb
from hpe.export.motion import BodyMotion

Y_UP = np.array([1.0, -1.0, -1.0])


@pytest.fixture(scope="module")
def motion():
    generator = np.random.default_rng(0)
    pose = (
        Rotation.from_rotvec(generator.normal(scale=0.4, size=(5 * 24, 3))).as_matrix().reshape(5, 24, 3, 3)
    )
    pose[:, 0] = Rotation.from_rotvec(np.array([[np.pi, 0.1 * k, 0] for k in range(5)])).as_matrix()
    return BodyMotion(
        load_body_model("default"),
        pose,
        generator.normal(size=10),
        generator.normal(size=(5, 3)) + np.array([0, 0, 4]),
        np.arange(5) / 25.0,
        name="she",
    )


def posed(motion):
    """Vertices and joints (T, ., 3) by the textbook, camera axes."""
    body = motion.body
    rest = body.v_template + body.shape_dirs @ motion.shape
    joints = body.joint_regressor @ rest
    all_vertices, all_joints = [], []
    for pose, translation in zip(motion.pose, motion.translation, strict=True):
        transforms = []
        for joint, parent in enumerate(body.parents):
            local = np.eye(4)
            local[:3, :3], local[:3, 3] = pose[joint], joints[joint] - (joints[parent] if parent >= 0 else 0)
            transforms.append(local if parent < 0 else transforms[parent] @ local)
        transforms = np.stack(transforms)
        all_joints.append(transforms[:, :3, 3] + translation)
        moved = np.einsum("jab,vb->vja", transforms[:, :3, :3], rest)
        moved += transforms[:, :3, 3] - np.einsum("jab,jb->ja", transforms[:, :3, :3], joints)
        all_vertices.append(np.einsum("vj,vja->va", body.weights, moved) + translation)
    return np.stack(all_vertices), np.stack(all_joints)


def read_glb(content):
    """A reader of binary glTF: the document, and a function from an accessor to an array."""
    magic, version, length = struct.unpack_from("<III", content)
    assert (magic, version, length) == (0x46546C67, 2, len(content))
    size, kind = struct.unpack_from("<II", content, 12)
    assert kind == 0x4E4F534A
    document = json.loads(content[20 : 20 + size])
    start = 20 + size + 8
    kinds = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
    widths = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}

    def array(index):
        accessor = document["accessors"][index]
        view = document["bufferViews"][accessor["bufferView"]]
        width = widths[accessor["type"]]
        values = np.frombuffer(
            content, kinds[accessor["componentType"]], accessor["count"] * width, start + view["byteOffset"]
        )
        return values.reshape(-1, width)

    return document, array


def skinned(document, array, number, frame):
    """Vertices (V, 3) of skin `number` at a frame of the animation, by a reader's own arithmetic."""
    skin = document["skins"][number]
    animation = document.get("animations", [{"channels": []}])[0]
    mesh = next(node["mesh"] for node in document["nodes"] if node.get("skin") == number)
    attributes = document["meshes"][mesh]["primitives"][0]["attributes"]
    rest = array(attributes["POSITION"]).astype(np.float64)
    inverse = array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(1, 2)
    joints = np.concatenate([array(attributes[f"JOINTS_{k}"]) for k in (0, 1)], axis=1)
    weights = np.concatenate([array(attributes[f"WEIGHTS_{k}"]) for k in (0, 1)], axis=1)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-6)
    moved = [dict(entry) for entry in document["nodes"]]
    for channel in animation["channels"]:
        if channel["target"]["node"] in skin["joints"]:
            values = array(animation["samplers"][channel["sampler"]]["output"])
            moved[channel["target"]["node"]][channel["target"]["path"]] = values[frame]
    places = {}

    def walk(node, parent):
        local = np.eye(4)
        local[:3, :3] = Rotation.from_quat(moved[node]["rotation"]).as_matrix()
        local[:3, 3] = moved[node]["translation"]
        places[node] = parent @ local
        for child in moved[node].get("children", ()):
            walk(child, places[node])

    walk(skin["joints"][0], np.eye(4))
    transforms = np.stack([places[node] for node in skin["joints"]]) @ inverse
    homogeneous = np.concatenate([rest, np.ones((len(rest), 1))], axis=1)
    return np.einsum("vk,vkab,vb->va", weights, transforms[joints], homogeneous)[:, :3]


def test_a_reader_of_glb_poses_the_same_vertices_in_every_frame(motion):
    document, array = read_glb(to_glb([motion]))
    times = array(document["animations"][0]["samplers"][0]["input"])[:, 0]
    np.testing.assert_allclose(times, motion.times, atol=1e-6)
    expected, _ = posed(motion)
    for frame in range(5):
        vertices = skinned(document, array, 0, frame)
        assert np.abs(vertices * Y_UP - expected[frame]).max() < 1e-4  # metres


def test_a_glb_of_one_frame_has_a_pose_and_no_animation(motion):
    still = BodyMotion(motion.body, motion.pose[:1], motion.shape, motion.translation[:1], np.zeros(1))
    document, array = read_glb(to_glb([still, still]))
    assert "animations" not in document
    assert [len(document[table]) for table in ("skins", "meshes", "scenes")] == [2, 2, 1]
    assert document["scenes"][0]["nodes"] == [0, 24, 25, 49]
    normals = array(document["meshes"][0]["primitives"][0]["attributes"]["NORMAL"])
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-5)
    assert "buffers" not in read_glb(to_glb([]))[0]


def test_quaternions_of_an_animation_never_jump(motion):
    angles = np.linspace(0, 4 * np.pi, 40)
    pose = np.tile(np.eye(3), (40, 24, 1, 1))
    pose[:, 5] = Rotation.from_rotvec(angles[:, None] * [0, 0, 1.0]).as_matrix()
    turning = BodyMotion(motion.body, pose, np.zeros(10), np.zeros((40, 3)), angles)
    document, array = read_glb(to_glb([turning]))
    animation = document["animations"][0]
    for sampler in animation["samplers"][1:]:
        values = array(sampler["output"])
        assert (np.sum(values[1:] * values[:-1], axis=1) > 0).all()


def test_a_reader_of_bvh_finds_the_same_joints(motion):
    lines = [line.split() for line in to_bvh(motion).splitlines()]
    names, parents, offsets, stack = [], [], [], []
    body_end = lines.index(["MOTION"])
    for words in lines[1:body_end]:
        if words[0] in ("ROOT", "JOINT", "End"):
            parents.append(stack[-1] if stack else -1)
            names.append(words[1])
            offsets.append(None)
        elif words[0] == "{":
            stack.append(len(names) - 1)
        elif words[0] == "}":
            stack.pop()
        elif words[0] == "OFFSET":
            offsets[stack[-1]] = np.array(words[1:], float)
        else:
            expected = ["Zrotation", "Yrotation", "Xrotation"]
            assert words[-3:] == expected
    assert lines[body_end + 1] == ["Frames:", "5"]
    assert float(lines[body_end + 2][2]) == pytest.approx(0.04)
    _, expected = posed(motion)
    order = {name: index for index, name in enumerate(names)}
    from hpe.skeletons import SMPL24

    for frame, words in enumerate(lines[body_end + 3 :]):
        numbers = np.array(words, float)
        turns = iter(numbers[3:].reshape(-1, 3))
        places, axes = [], []
        for name, parent, offset in zip(names, parents, offsets, strict=True):
            if name == "Site":
                places.append(None)
                axes.append(None)
                continue
            z, y, x = (
                Rotation.from_euler(axis, angle, degrees=True)
                for axis, angle in zip("zyx", next(turns), strict=True)
            )
            local = (z * y * x).as_matrix()
            places.append(numbers[:3] if parent < 0 else places[parent] + axes[parent] @ offset)
            axes.append(local if parent < 0 else axes[parent] @ local)
        found = np.stack([places[order[joint]] for joint in SMPL24.joints]) / 100 * Y_UP
        assert np.abs(found - expected[frame]).max() < 1e-3  # metres


def test_motions_that_make_no_sense_are_refused(motion):
    with pytest.raises(ValueError, match="must rise"):
        BodyMotion(motion.body, motion.pose, motion.shape, motion.translation, np.zeros(5))
    with pytest.raises(ValueError, match="translation must be shaped"):
        BodyMotion(motion.body, motion.pose, motion.shape, motion.translation[:2], motion.times)
    broken = motion.pose.copy()
    broken[2, 3, 1, 1] = np.nan
    with pytest.raises(UserError, match="she: pose is not finite"):
        BodyMotion(motion.body, broken, motion.shape, motion.translation, motion.times, name="she")
