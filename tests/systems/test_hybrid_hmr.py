"""The hybrid HMR: where it starts, what its losses are made of, what it says about a body."""

import dataclasses

import keras
import numpy as np
import pytest

from hpe import fields, skeletons
from hpe.backends.autodiff import input_gradient
from hpe.body.data import load_body_model, save_body_model
from hpe.errors import UserError
from hpe.systems.hybrid_hmr import (
    HybridHmr,
    HybridHmrConfig,
    MocapShapes,
    _normal_shapes,
    mean_theta,
    split_theta,
)
from tests.body.body_files import random_tables, smpl_sized_tables
from tests.systems.conftest import SEED, SIZE, build

numpy = keras.ops.convert_to_numpy


def truth(outputs, **changes):
    """A batch that agrees with the outputs wherever it says something, and says everything."""
    joints2d = numpy(outputs["joints2d"])
    count = len(joints2d)
    mask = np.zeros((count, SIZE, SIZE), np.uint8)
    mask[:, 20:40, 22:30] = 1
    theta = numpy(outputs["stages"][-1])
    batch = {
        "joints2d": joints2d.copy(),
        "joints2d_weight": np.ones((count, 19), np.float32),
        "silhouette": mask,
        "silhouette_weight": np.ones(count, np.float32),
        "pose": theta[:, 3:75],
        "shape": theta[:, 75:],
        "pose_weight": np.ones(count, np.float32),
        "shape_weight": np.ones(count, np.float32),
        "joints3d": numpy(outputs["joints3d"]),
        "joints3d_weight": np.ones((count, 19), np.float32),
    }
    return {**batch, **changes}


def parts(system, outputs, batch):
    """The total and the parts of the losses but for the critic's score."""
    alone = reconfigured(system)
    alone.adversary = None
    losses = alone.losses(outputs, batch)
    return float(losses.total), {name: float(value) for name, value in losses.values().items()}


def reconfigured(system, **changes):
    """The same networks with other weights of the losses."""
    other = object.__new__(type(system))
    other.__dict__.update(system.__dict__, config=dataclasses.replace(system.config, **changes))
    return other


def test_it_starts_at_the_mean_body_standing_upright_before_the_camera(system, images):
    blind = reconfigured(system)
    width = system.encoder.output_shape[-1]
    blind.encoder = lambda images, training: np.zeros((len(images), width), np.float32)
    outputs = blind.forward(images, training=False)
    theta = mean_theta(system.body.data)
    for stage in outputs["stages"]:
        assert np.abs(numpy(stage) - theta).max() < 0.1
    joints = dict(zip(skeletons.COCOPLUS19.joints, numpy(outputs["joints2d"])[0], strict=True))
    for side in ("left", "right"):
        # y points down: from the head to the feet it grows.
        heights = [joints[name][1] for name in ("head_top", "neck", f"{side}_hip", f"{side}_knee")]
        assert heights == sorted(heights)
        assert joints[f"{side}_knee"][1] < joints[f"{side}_ankle"][1]
    # It faces the camera: its right is on the left of the picture.
    assert joints["right_shoulder"][0] < joints["left_shoulder"][0] - 0.1
    assert np.abs(numpy(outputs["joints2d"])).max() < 1
    assert 1.2 < joints["right_ankle"][1] - joints["head_top"][1] < 1.7


def test_the_first_correction_is_small(system, images):
    outputs = system.forward(images, training=True, seed=SEED)
    correction = numpy(outputs["stages"][0]) - mean_theta(system.body.data)
    assert correction.std() < 0.25  # radians, mostly


def test_dropout_is_a_function_of_the_seed(system, images, outputs):
    again = system.forward(images, training=True, seed=SEED)
    other = system.forward(images, training=True, seed=SEED + 1)
    np.testing.assert_allclose(numpy(again["stages"][-1]), numpy(outputs["stages"][-1]), atol=1e-6)
    assert np.abs(numpy(other["stages"][-1]) - numpy(outputs["stages"][-1])).max() > 1e-3


def test_truth_that_agrees_costs_nothing(system, outputs):
    _, values = parts(system, outputs, truth(outputs))
    assert values["kpr_loss"] == pytest.approx(0, abs=1e-6)
    assert values["body_loss"] == pytest.approx(0, abs=1e-6)
    assert values["joints3d_loss"] == pytest.approx(0, abs=1e-9)
    assert values["mr_loss"] > 0


def test_losses_are_those_of_the_specification(system, outputs):
    rng = np.random.default_rng(1)
    batch = truth(outputs)
    visible = (rng.uniform(size=(2, 19)) < 0.6).astype(np.float32)
    batch["joints2d"] = rng.normal(size=(2, 19, 2)).astype("f4")
    batch["joints2d_weight"] = visible
    batch["shape"] = batch["shape"] + np.float32([[0.5], [1.0]])
    batch["pose_weight"] = batch["shape_weight"] = np.float32([0, 1])
    batch["joints3d"] = batch["joints3d"].copy()
    batch["joints3d"][0, 5] += np.float32([0.3, 0, 0])  # neither hip
    total, values = parts(system, outputs, batch)

    difference = np.abs(numpy(outputs["joints2d"]) - batch["joints2d"]).sum(-1)
    kpr = (visible * difference).sum() / (2 * visible.sum())
    assert values["kpr_loss"] == pytest.approx(kpr, rel=1e-5)
    # Ten coefficients that are 1 off among 216 numbers of rotations and 10 of shape, of one sample.
    assert values["body_loss"] == pytest.approx(10 / 226, rel=1e-4)
    assert values["joints3d_loss"] == pytest.approx(0.3**2 / (2 * 19 * 3), rel=1e-4)
    vertices, camera = numpy(outputs["vertices"]), numpy(outputs["camera"])
    points = (camera[:, None, :1] * (vertices[..., :2] + camera[:, None, 1:]) + 1) * SIZE / 2
    rows, columns = np.nonzero(batch["silhouette"][0])
    pixels = np.stack([columns, rows], -1)
    distances = []
    for person in points:
        matrix = np.linalg.norm(pixels[:, None] - person[None], axis=-1)
        distances.append(matrix.min(0).mean() + matrix.min(1).mean())
    assert values["mr_loss"] == pytest.approx(np.mean(distances) * 224 / SIZE, rel=1e-4)

    config = system.config
    expected = (
        config.kpr_loss_weight * kpr
        + config.mr_loss_weight * values["mr_loss"]
        + config.body_loss_weight * values["body_loss"]
        + config.joints3d_loss_weight * values["joints3d_loss"]
    )
    assert total == pytest.approx(expected, rel=1e-5)


def test_weights_and_switches(system, outputs):
    batch = truth(outputs)
    batch["joints2d"] += 0.1
    off = {"use_kpr_loss": False, "body_loss_weight": 0.0, "joints3d_loss_weight": 0.0}
    only_mesh = reconfigured(system, **off, mr_loss_weight=0.5)
    total, values = parts(only_mesh, outputs, batch)
    assert total == pytest.approx(0.5 * values["mr_loss"], rel=1e-5)
    assert values.keys() == {"kpr_loss", "mr_loss"}  # the keypoints are still worth looking at
    assert values["kpr_loss"] == pytest.approx(0.1, rel=1e-4)
    only_keypoints = reconfigured(
        system, **{**off, "use_kpr_loss": True, "use_mesh_repro_loss": False, "kpr_loss_weight": 7.0}
    )
    total, values = parts(only_keypoints, outputs, batch)
    assert total == pytest.approx(0.7, rel=1e-4)
    assert values.keys() == {"kpr_loss"}


def test_garbage_of_what_a_sample_lacks_costs_nothing(system, outputs):
    batch = truth(outputs)
    full, _ = parts(system, outputs, batch)
    for key, weight in (("pose", "pose_weight"), ("shape", "shape_weight"), ("joints3d", "joints3d_weight")):
        batch[key] = np.full_like(batch[key], 1e6)
        batch[weight] = np.zeros_like(batch[weight])
    batch["silhouette_weight"] = np.zeros(2, np.float32)
    batch["joints2d"] = np.full((2, 19, 2), 1e6, np.float32)
    batch["joints2d_weight"] = np.zeros((2, 19), np.float32)
    total, values = parts(system, outputs, batch)
    assert total == 0
    assert set(values.values()) == {0.0}
    assert full > 0


def test_the_silhouette_loss_is_in_pixels_of_224_at_every_size(system):
    vertices = np.zeros((1, len(system.body.data.v_template), 3), np.float32)
    outputs = {
        "vertices": vertices,
        "camera": np.float32([[1, 0.25, -0.125]]),
        "joints2d": np.zeros((1, 19, 2), np.float32),
        "rotmats": np.zeros((1, 24, 3, 3), np.float32),
        "shape": np.zeros((1, 10), np.float32),
        "joints3d": np.zeros((1, 19, 3), np.float32),
    }
    values = []
    for size in (SIZE, 2 * SIZE):
        sized = reconfigured(system)
        sized.image_size = size
        batch = {
            "joints2d": np.zeros((1, 19, 2), np.float32),
            "joints2d_weight": np.zeros((1, 19), np.float32),
            "silhouette": np.zeros((1, size, size), np.uint8),
            "silhouette_weight": np.ones(1, np.float32),
            "pose": np.zeros((1, 72), np.float32),
            "shape": np.zeros((1, 10), np.float32),
            "pose_weight": np.zeros(1, np.float32),
            "shape_weight": np.zeros(1, np.float32),
            "joints3d": np.zeros((1, 19, 3), np.float32),
            "joints3d_weight": np.zeros((1, 19), np.float32),
        }
        batch["silhouette"][0, size // 2, size // 4] = 1
        values.append(parts(sized, outputs, batch)[1]["mr_loss"])
    # Both ways: from (1.25, 0.875) of the half side to (0.5, 1).
    assert values[0] == pytest.approx(2 * 112 * np.hypot(0.75, 0.125), rel=1e-5)
    assert values[1] == pytest.approx(values[0], rel=1e-5)


def test_training_without_silhouettes_poses_no_vertices_but_the_same_joints(system, images, outputs):
    lean = reconfigured(system, use_mesh_repro_loss=False).forward(images, training=True, seed=SEED)
    assert "vertices" not in lean
    np.testing.assert_allclose(numpy(lean["joints3d"]), numpy(outputs["joints3d"]), atol=1e-5)


def test_a_prediction_says_everything_about_the_last_stage(system, images):
    inferred = system.infer(images)
    assert "stages" not in inferred
    prediction = system.to_prediction(inferred)
    assert len(prediction) == 2
    assert prediction.skeleton == "cocoplus19"
    camera, vertices, joints = prediction.camera, prediction.vertices, prediction.joints3d
    assert vertices.shape == (2, len(system.body.data.v_template), 3)
    projected = camera[:, None, :1] * (joints[..., :2] + camera[:, None, 1:])
    np.testing.assert_allclose(prediction.joints2d, projected, atol=1e-5)
    regressor = system.body.data.keypoint_regressors["cocoplus19"]
    np.testing.assert_allclose(np.einsum("kv,bvc->bkc", regressor, vertices), joints, atol=1e-4)
    np.testing.assert_allclose(np.linalg.det(prediction.pose), 1, atol=1e-4)
    assert prediction.faces is system.body.data.faces


def test_true_vertices_are_those_of_the_body_that_it_predicts(system, images):
    theta = numpy(system.forward(images, training=False)["stages"][-1])
    _, pose, shape = split_theta(theta)
    predicted = system.to_prediction(system.infer(images)).vertices
    np.testing.assert_allclose(system.true_vertices(pose, shape), predicted, atol=1e-5)


def test_body_parameters_of_other_models_are_no_truth(system):
    assert system.body_models == ("default",)


def test_without_a_critic():
    alone = build(encoder_only=True)
    assert alone.adversary is None
    assert (alone.training_networks, set(alone.optimizers), alone.needs.streams) == ({}, {"main"}, {})
    assert alone.networks.keys() == {"encoder", "regressor"}


def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match="critic_steps=2: there is no critic with `encoder_only`"):
        HybridHmrConfig(critic_steps=2, encoder_only=True)
    with pytest.raises(ValueError, match="num_stage=0: must be at least 1"):
        HybridHmrConfig(num_stage=0)
    with pytest.raises(ValueError, match=r"dropout.*: must be in \[0, 1\)"):
        HybridHmrConfig(dropout=1.0)


def test_values_that_would_fail_later_are_refused_at_once():
    for momentum in (2.0, 1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match=r"encoder_bn_momentum.*: must be in \[0, 1\)"):
            HybridHmrConfig(encoder_bn_momentum=momentum)
    weights = [field.name for field in dataclasses.fields(HybridHmrConfig) if field.name.endswith("_weight")]
    assert len(weights) == 6
    for name in weights:
        for value in (-1.0, float("nan"), float("inf")):
            with pytest.raises(ValueError, match=f"{name}.*: must be finite and not negative"):
                HybridHmrConfig(**{name: value})


def test_a_run_that_could_learn_nothing_is_refused():
    off = {
        "use_kpr_loss": False,
        "encoder_only": True,
        "body_loss_weight": 0.0,
        "joints3d_loss_weight": 0.0,
    }
    with pytest.raises(ValueError, match="every loss is off or weighs 0") as error:
        HybridHmrConfig(**off)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="every loss is off or weighs 0"):
        HybridHmrConfig(**(off | {"use_kpr_loss": True, "kpr_loss_weight": 0.0}))
    for on in ({"use_mesh_repro_loss": True}, {"encoder_only": False}, {"joints3d_loss_weight": 1.0}):
        HybridHmrConfig(**(off | on))


@pytest.mark.parametrize("kind", ["smpl", "other", "copy"])
def test_shapes_of_mocap_files_are_real_for_smpl_only(kind, system, tmp_path):
    if kind == "copy":
        save_body_model(tmp_path / "body.npz", system.body.data)
    else:
        tables = smpl_sized_tables() if kind == "smpl" else random_tables()
        np.savez(tmp_path / "body.npz", **tables)
    body = load_body_model(tmp_path / "body.npz")
    for choice, expected in (
        (MocapShapes.AUTO, kind != "smpl"),
        (MocapShapes.FILES, False),
        (MocapShapes.NORMAL, True),
    ):
        assert _normal_shapes(choice, body) is expected


def test_mean_parameters_replace_those_of_the_body(tmp_path):
    generator = np.random.default_rng(0)
    pose, shape, camera = 0.3 * generator.normal(size=72), generator.normal(size=10), [0.7, 0.1, -0.2]
    np.savez(tmp_path / "mean.npz", pose=pose, shape=shape, cam=camera)
    theta = numpy(build(mean_params=str(tmp_path / "mean.npz")).regressor.mean_theta)[0]
    np.testing.assert_allclose(theta[:3], camera, rtol=1e-6)
    np.testing.assert_allclose(theta[3:6], [np.pi, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(theta[6:75], pose[3:], rtol=1e-6)
    np.testing.assert_allclose(theta[75:], shape, rtol=1e-6)


def test_a_body_of_fewer_shape_components(tmp_path, images):
    """Those that it lacks have no effect, start at 0, and the system predicts them all the same."""
    tables = random_tables()
    tables["shapedirs"] = tables["shapedirs"][:, :, :4]
    tables["mean_shape"] = np.arange(1.0, 5.0)
    np.savez(tmp_path / "body.npz", **tables)
    config = HybridHmrConfig(encoder="small", encoder_weights="none")
    short = HybridHmr(config, load_body_model(tmp_path / "body.npz"), image_size=SIZE)
    theta = numpy(short.regressor.mean_theta)[0]
    np.testing.assert_array_equal(theta[75:], [1, 2, 3, 4, 0, 0, 0, 0, 0, 0])
    outputs = short.infer(images)
    assert tuple(outputs["shape"].shape) == (2, 10)
    pose, shape = np.zeros((1, 72), np.float32), np.zeros((1, 10), np.float32)
    shape[0, 4:] = 3
    template = load_body_model(tmp_path / "body.npz").v_template
    np.testing.assert_allclose(short.true_vertices(pose, shape)[0], template, atol=1e-4)


def test_a_compiled_body_computes_what_the_plain_one_does(system, outputs):
    compiled = build(use_mesh_repro_loss=True, compile_body=True)
    theta = keras.ops.convert_to_tensor(numpy(outputs["stages"][-1]))
    batch = truth(outputs, joints2d=np.full((len(theta), 19, 2), 0.3, np.float32))

    def total(of):
        def function(x):
            posed = of.pose_body(x)
            return of.losses({"stages": [x], **posed}, batch).total

        return function

    both = (total(compiled), total(system))
    np.testing.assert_allclose(*(float(function(theta)) for function in both), rtol=1e-5)
    gradients = [numpy(input_gradient(function, theta)) for function in both]
    np.testing.assert_allclose(*gradients, atol=1e-4 * np.abs(gradients[1]).max())


def test_with_mixed_precision_the_encoder_alone_computes_in_half(images):
    mixed = build(mixed_precision=True, use_mesh_repro_loss=True)
    assert all(variable.dtype == "float32" for variable in mixed.optimizers["main"].variables)
    assert keras.config.dtype_policy().name == "float32"  # for whatever is built next
    features = mixed.encoder(images, training=False)
    assert keras.backend.standardize_dtype(features.dtype) == "bfloat16"
    plain = build(use_mesh_repro_loss=True)
    plain.encoder.set_weights(mixed.encoder.get_weights())
    exact = numpy(plain.encoder(images, training=False))
    # bfloat16 keeps eight bits of every number.
    error = np.abs(numpy(keras.ops.cast(features, "float32")) - exact).mean() / np.abs(exact).mean()
    assert 0 < error < 0.05
    yielded = mixed.forward(images, training=True, seed=SEED)
    for value in (*yielded["stages"], yielded["vertices"], yielded["joints2d"]):
        assert keras.backend.standardize_dtype(value.dtype) == "float32"


def test_the_names_of_the_losses_are_those_that_weigh(system, outputs):
    batch = truth(outputs)
    for changes in ({}, {"use_kpr_loss": False}, {"body_loss_weight": 0.0, "use_mesh_repro_loss": False}):
        changed = reconfigured(system, **changes)
        assert set(changed.optimizers["main"].loss_names) == set(changed.losses(outputs, batch).weights)
    critic = system.optimizers["critic"]
    mocap = {"mocap/pose": np.zeros((2, 3, 72), np.float32), "mocap/shape": np.zeros((2, 3, 10), np.float32)}
    losses = critic.losses(outputs, {**batch, **mocap}, seed=SEED)
    assert set(critic.loss_names) == set(losses.weights)
    assert losses.heading == "critic"


def test_needs_are_what_the_losses_read(system, outputs):
    batch = truth(outputs)
    for changes in (
        {},
        {"body_loss_weight": 0.0},
        {"use_mesh_repro_loss": False, "joints3d_loss_weight": 0.0},
    ):
        changed = reconfigured(system, **changes)
        read = []

        class Read(dict):
            def __getitem__(self, key, read=read):
                read.append(key)
                return super().__getitem__(key)

        changed.losses(outputs, Read(batch))
        known = {field.key for field in fields.all_fields()}
        assert known.intersection(read) | {"image"} == set(changed.needs.fields)
    assert system.needs.streams == {"mocap": 3}


def test_a_file_of_the_settings_that_is_damaged_is_told_before_anything_else(tmp_path):
    (tmp_path / "mean.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(UserError, match=r"mean\.npz: cannot be read"):
        HybridHmrConfig(mean_params=str(tmp_path / "mean.npz")).check_files()
    HybridHmrConfig().check_files()
