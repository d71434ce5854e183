import dataclasses
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hpe.body.body_model import BodyModel
from hpe.body.data import load_body_model, save_body_model
from hpe.skeletons import COCOPLUS19, SMPL24
from hpe.synthetic.poses import random_pose
from tests.body.body_files import random_tables, write_pickle


def textbook(data, rotmats, shape, keypoints="cocoplus19"):
    """SMPL's equations as the paper writes them, in float64, one body at a time, with 4x4 matrices."""
    outputs = {"joints": [], "keypoints": [], "vertices": []}
    for rotation, beta in zip(np.asarray(rotmats, np.float64), np.asarray(shape, np.float64), strict=True):
        shaped = data.v_template.astype(np.float64).copy()
        for k, coefficient in enumerate(beta):
            shaped += coefficient * data.shape_dirs[:, :, k]
        joints = data.joint_regressor.astype(np.float64) @ shaped
        posed = shaped.copy()
        if data.pose_dirs is not None:
            feature = (rotation[1:] - np.eye(3)).ravel()
            for p, value in enumerate(feature):
                posed += value * data.pose_dirs[:, :, p]
        transforms = []
        for j, parent in enumerate(data.parents):
            local = np.eye(4)
            local[:3, :3] = rotation[j]
            local[:3, 3] = joints[j] if parent < 0 else joints[j] - joints[parent]
            transforms.append(local if parent < 0 else transforms[parent] @ local)
        outputs["joints"].append([transform[:3, 3] for transform in transforms])
        relative = []
        for transform, joint in zip(transforms, joints, strict=True):
            rest = np.eye(4)
            rest[:3, 3] = -joint
            relative.append(transform @ rest)
        blended = np.tensordot(data.weights.astype(np.float64), np.stack(relative), axes=1)
        homogeneous = np.concatenate([posed, np.ones((len(posed), 1))], axis=1)
        vertices = np.stack([(m @ v)[:3] for m, v in zip(blended, homogeneous, strict=True)])
        outputs["vertices"].append(vertices)
        outputs["keypoints"].append(data.keypoint_regressors[keypoints].astype(np.float64) @ vertices)
    return {key: np.array(value) for key, value in outputs.items()}


def _inputs(batch=3, seed=0):
    generator = np.random.default_rng(seed)
    rotmats = Rotation.from_rotvec(generator.normal(size=(batch * 24, 3))).as_matrix()
    return rotmats.reshape(batch, 24, 3, 3).astype(np.float32), generator.normal(size=(batch, 10)).astype(
        np.float32
    )


def _numpy(outputs):
    return {key: keras.ops.convert_to_numpy(value) for key, value in outputs.items()}


@pytest.fixture(scope="module")
def default():
    return load_body_model()


@pytest.fixture(scope="module")
def default_layer(default):
    return BodyModel(default)


@pytest.fixture(params=["pickle", "npz", "without pose correctives"])
def small(request, tmp_path, monkeypatch):
    tables = random_tables(pose_dirs=request.param != "without pose correctives")
    if request.param == "npz":
        np.savez(tmp_path / "a.npz", **tables)
        return load_body_model(tmp_path / "a.npz")
    return load_body_model(write_pickle(tmp_path / "a.pkl", tables, monkeypatch))


@pytest.mark.parametrize("keypoints", ["cocoplus19", "h36m17"])
def test_small_smpl_files_agree_with_the_textbook(small, keypoints):
    rotmats, shape = _inputs()
    expected = textbook(small, rotmats, shape, keypoints)
    layer = BodyModel(small, keypoints)
    for vertices in (True, False):
        outputs = _numpy(layer(rotmats, shape, vertices=vertices))
        assert set(outputs) == set(expected) - (set() if vertices else {"vertices"})
        for key, value in outputs.items():
            # Random vertices a few units from the origin: an absolute 1e-5 would ask more than float32 has.
            np.testing.assert_allclose(value, expected[key], rtol=1e-5, atol=1e-5, err_msg=key)


@pytest.mark.parametrize("keypoints", ["cocoplus19", "h36m17"])
def test_the_default_body_agrees_with_the_textbook(default, keypoints):
    rotmats, shape = _inputs(batch=2, seed=1)
    expected = textbook(default, rotmats, shape, keypoints)
    layer = BodyModel(default, keypoints)
    for vertices in (True, False):
        for key, value in _numpy(layer(rotmats, shape, vertices=vertices)).items():
            np.testing.assert_allclose(value, expected[key], atol=1e-5, err_msg=key)


@pytest.mark.parametrize(
    "parents",
    [
        [-1, *range(23)],
        [-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 0, 13, 13, 15, 14, 17, 2, 19, 20, 20, 20],
    ],
    ids=["one chain", "limb after limb"],
)
def test_joints_may_be_numbered_otherwise(small, parents):
    data = dataclasses.replace(small, parents=np.array(parents, np.int32))
    rotmats, shape = _inputs()
    expected = textbook(data, rotmats, shape)
    for vertices in (True, False):
        for key, value in _numpy(BodyModel(data)(rotmats, shape, vertices=vertices)).items():
            np.testing.assert_allclose(value, expected[key], rtol=1e-5, atol=3e-5, err_msg=key)


def test_a_vertex_subset_is_the_rows_of_all(default, default_layer):
    rotmats, shape = _inputs(batch=2)
    subset = [5, 17, 5999, 3]
    layer = BodyModel(default, vertex_subset=subset)
    whole, part = _numpy(default_layer(rotmats, shape)), _numpy(layer(rotmats, shape))
    assert layer.num_vertices == 4
    np.testing.assert_allclose(part["vertices"], whole["vertices"][:, subset], atol=1e-6)
    np.testing.assert_allclose(part["keypoints"], whole["keypoints"], atol=5e-6)


def test_rest_pose_and_mean_shape_give_the_template(default, default_layer):
    outputs = _numpy(
        default_layer(np.tile(np.eye(3, dtype=np.float32), (1, 24, 1, 1)), np.zeros((1, 10), np.float32))
    )
    np.testing.assert_allclose(outputs["vertices"][0], default.v_template, atol=1e-6)
    np.testing.assert_allclose(outputs["joints"][0], default.joint_regressor @ default.v_template, atol=1e-5)


def test_pose_correctives_vanish_when_only_the_root_turns(tmp_path):
    tables = random_tables()
    np.savez(tmp_path / "with.npz", **tables)
    tables.pop("posedirs")
    np.savez(tmp_path / "without.npz", **tables)
    rotmats = np.tile(np.eye(3, dtype=np.float32), (1, 24, 1, 1))
    rotmats[0, 0] = Rotation.from_rotvec([0.3, 2.0, -1.0]).as_matrix()
    shape = _inputs(1)[1]
    first, second = (
        _numpy(BodyModel(load_body_model(tmp_path / name))(rotmats, shape))
        for name in ("with.npz", "without.npz")
    )
    np.testing.assert_allclose(first["vertices"], second["vertices"], atol=2e-5)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(-3.0, 3.0, width=32), min_size=3, max_size=3), st.integers(0, 1000))
def test_the_root_turns_the_body_about_its_pelvis(default_layer, vector, seed):
    rotmats, shape = _inputs(1, seed)
    rotmats[:, 0] = np.eye(3)
    before = _numpy(default_layer(rotmats, shape))
    turn = Rotation.from_rotvec(vector).as_matrix().astype(np.float32)
    rotmats[:, 0] = turn
    after = _numpy(default_layer(rotmats, shape))
    pelvis = before["joints"][:, :1]
    for key, points in before.items():
        np.testing.assert_allclose(after[key], (points - pelvis) @ turn.T + pelvis, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_bones_keep_their_length_in_every_pose(default_layer, seed):
    rotmats, shape = _inputs(1, seed)
    straight = np.tile(np.eye(3, dtype=np.float32), (1, 24, 1, 1))
    bones = np.array(SMPL24.bones)

    def lengths(rotations):
        joints = _numpy(default_layer(rotations, shape, vertices=False))["joints"][0]
        return np.linalg.norm(joints[bones[:, 0]] - joints[bones[:, 1]], axis=1)

    np.testing.assert_allclose(lengths(rotmats), lengths(straight), atol=1e-5)


def test_a_mirrored_pose_gives_the_mirrored_body(default_layer):
    pose = random_pose(np.random.default_rng(4)).reshape(24, 3)
    mirrored = pose[list(SMPL24.flip)] * [1.0, -1.0, -1.0]
    rotmats = Rotation.from_rotvec(np.concatenate([pose, mirrored])).as_matrix().reshape(2, 24, 3, 3)
    shape = np.tile(_inputs(1)[1], (2, 1))
    outputs = _numpy(default_layer(rotmats.astype(np.float32), shape))
    flip = np.array([-1.0, 1.0, 1.0])
    for key, skeleton in (("joints", SMPL24), ("keypoints", COCOPLUS19)):
        original, other = outputs[key]
        np.testing.assert_allclose(other, original[list(skeleton.flip)] * flip, atol=2e-5)


def test_a_vertex_of_one_joint_moves_rigidly(tmp_path):
    tables = random_tables(pose_dirs=False)
    tables["weights"] = np.eye(24)[np.random.default_rng(0).integers(0, 24, 60)]
    np.savez(tmp_path / "a.npz", **tables)
    data = load_body_model(tmp_path / "a.npz")
    rotmats, shape = _inputs(1)
    moved = _numpy(BodyModel(data)(rotmats, shape))["vertices"][0]
    shaped = data.v_template + data.shape_dirs @ shape[0]
    for joint in range(24):
        chosen = tables["weights"][:, joint] > 0.5
        before, after = (
            np.linalg.norm(v[chosen][:, None] - v[chosen][None], axis=-1) for v in (shaped, moved)
        )
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


def test_a_batch_equals_its_single_bodies(default_layer):
    rotmats, shape = _inputs(4)
    whole = _numpy(default_layer(rotmats, shape))
    for i in range(4):
        single = _numpy(default_layer(rotmats[i : i + 1], shape[i : i + 1]))
        for key, value in single.items():
            np.testing.assert_allclose(value[0], whole[key][i], atol=1e-5)


def test_the_layer_compiles_with_xla_and_has_finite_gradients(default_layer):
    import tensorflow as tf

    rotmats, shape = (tf.constant(x) for x in _inputs(2))

    @tf.function(jit_compile=True)
    def run(rotmats, shape):
        with tf.GradientTape() as tape:
            tape.watch((rotmats, shape))
            outputs = default_layer(rotmats, shape)
            total = tf.reduce_sum(outputs["vertices"] ** 2) + tf.reduce_sum(outputs["keypoints"] ** 2)
        return outputs, tape.gradient(total, (rotmats, shape))

    outputs, gradients = run(rotmats, shape)
    for key, value in _numpy(default_layer(rotmats, shape)).items():
        np.testing.assert_allclose(outputs[key], value, atol=1e-5)
    for gradient in gradients:
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0.0


def test_no_array_of_the_body_becomes_a_weight(default_layer):
    assert default_layer.weights == []


def test_float32_holds_under_a_mixed_policy(default):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = BodyModel(default)
    finally:
        keras.config.set_dtype_policy("float32")
    rotmats, shape = _inputs(1)
    outputs = layer(rotmats, shape)
    assert all(keras.backend.standardize_dtype(value.dtype) == "float32" for value in outputs.values())


def test_the_config_names_the_file_and_makes_the_layer_again(smpl_pickle):
    layer = BodyModel(load_body_model(smpl_pickle), "h36m17", vertex_subset=[1, 2])
    config = layer.get_config()
    assert config["data"] == str(smpl_pickle)
    again = BodyModel.from_config(config)
    rotmats, shape = _inputs(1)
    for key, value in _numpy(layer(rotmats, shape)).items():
        np.testing.assert_array_equal(_numpy(again(rotmats, shape))[key], value)


def test_output_shapes_are_as_computed(default_layer):
    rotmats, shape = _inputs(2)
    for vertices in (True, False):
        computed = default_layer.compute_output_shape(rotmats.shape, shape.shape, vertices=vertices)
        actual = default_layer(rotmats, shape, vertices=vertices)
        assert {key: tuple(value.shape) for key, value in actual.items()} == computed


def test_unknown_keypoints_are_refused(default):
    with pytest.raises(ValueError, match=r"has keypoints cocoplus19, h36m17\. Received: keypoints='coco'"):
        BodyModel(default, "coco")


_RUN = """
import sys
import keras, numpy as np
from hpe.body.body_model import BodyModel
from hpe.body.data import load_body_model

inputs = np.load(sys.argv[1])
outputs = {}
for name, path in (("default", "default"), ("small", sys.argv[2])):
    layer = BodyModel(load_body_model(path))
    for vertices in (True, False):
        run = layer
        if keras.backend.backend() == "jax":
            import jax
            run = jax.jit(layer, static_argnames="vertices")
        for key, value in run(inputs["rotmats"], inputs["shape"], vertices=vertices).items():
            outputs[f"{name} {key} {vertices}"] = keras.ops.convert_to_numpy(value)
np.savez(sys.argv[3], **outputs)
"""


def test_jax_gives_the_same_bodies(tmp_path, smpl_pickle, default):
    rotmats, shape = _inputs(2)
    np.savez(tmp_path / "inputs.npz", rotmats=rotmats, shape=shape)
    small = load_body_model(smpl_pickle)
    save_body_model(tmp_path / "small.npz", small)
    environment = dict(os.environ, KERAS_BACKEND="jax", JAX_PLATFORMS="cpu")
    arguments = [str(tmp_path / name) for name in ("inputs.npz", "small.npz", "outputs.npz")]
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    outputs = np.load(tmp_path / "outputs.npz")
    assert len(outputs.files) == 10
    expected = {"default": textbook(default, rotmats, shape), "small": textbook(small, rotmats, shape)}
    for label in outputs.files:
        name, key, _ = label.split()
        np.testing.assert_allclose(outputs[label], expected[name][key], rtol=1e-5, atol=1e-5, err_msg=label)
