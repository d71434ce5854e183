"""PARE as a system: what it is shown, what its losses compare, and what of true bodies it is judged by."""

import dataclasses

import numpy as np
import pytest
from keras import ops

from hpe import skeletons, systems
from hpe.body.data import load_body_model, save_body_model
from hpe.errors import SettingError, UserError
from hpe.networks import pare_encoders
from hpe.systems.inputs import ImageInput
from hpe.systems.settings.pare import Method, PareConfig
from tests.networks.cheap_hrnet import cheap_hrnet

SIZE = 32
IMAGES = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
SMALL = {"hrnet_width": 2, "part_filters": 4, "shape_features": 4, "compile_body": False}
numpy = ops.convert_to_numpy


@pytest.fixture(autouse=True, scope="module")
def cheap():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pare_encoders, "build_hrnet", cheap_hrnet)
        yield


def build(**options):
    return systems.get("pare").build(PareConfig(**SMALL | options), ImageInput(img_size=SIZE))


@pytest.fixture(scope="module")
def system():
    return build()


@pytest.fixture(scope="module")
def in_spin():
    return build(skeleton="spin49", method=Method.BASELINE)


def truth(system, known=(1, 0)):
    """Samples of which the first has everything and the second 2D joints alone, or nothing."""
    joints = len(skeletons.get(system.skeleton))
    rng, known = np.random.default_rng(1), np.array(known, "f4")
    pose = rng.normal(scale=0.1, size=(2, 72)).astype("f4")
    return {
        "joints2d": rng.uniform(-0.5, 0.5, (2, joints, 2)).astype("f4"),
        "joints2d_weight": np.ones((2, joints), "f4"),
        "joints3d": rng.normal(size=(2, joints, 3)).astype("f4"),
        "joints3d_weight": np.repeat(known[:, None], joints, 1),
        "pose": pose,
        "pose_weight": known,
        "shape": rng.normal(size=(2, 10)).astype("f4"),
        "shape_weight": known,
        "part_labels": rng.integers(0, 25, (2, SIZE, SIZE)).astype("u1"),
        "part_labels_weight": known,
    }


def test_it_is_a_system_of_images(system):
    assert (system.name, system.input_key, system.input_shape) == ("pare", "image", (SIZE, SIZE, 3))
    assert system.needs.fields == ("image", "joints2d", "joints3d", "pose", "shape", "part_labels")
    assert set(system.networks) == {"backbone", "fusion", "head"}
    variables = [id(v) for network in system.networks.values() for v in network.variables]
    own = [id(v) for v in (*system.optimizers["main"].variables, *system.non_trainable_variables)]
    assert sorted(variables) == sorted(own)
    outputs = system.infer(IMAGES)
    shapes = {key: tuple(value.shape[1:]) for key, value in outputs.items()}
    assert shapes == {
        "rotmats": (24, 3, 3),
        "shape": (10,),
        "camera": (3,),
        "joints3d": (19, 3),
        "joints2d": (19, 2),
        "vertices": (6000, 3),
        "attention": (8, 8, 24),
    }
    rotations = numpy(outputs["rotmats"])
    np.testing.assert_allclose(
        rotations @ rotations.swapaxes(-1, -2), np.broadcast_to(np.eye(3), rotations.shape), atol=1e-5
    )
    np.testing.assert_allclose(numpy(outputs["attention"]).sum(axis=(1, 2)), 1, atol=1e-5)


def test_prediction_has_a_map_for_the_view_of_attention(system):
    prediction = system.to_prediction(system.infer(IMAGES))
    assert prediction.maps["attention"].shape == (2, 8, 8, 24)
    assert prediction.pose.shape == (2, 24, 3, 3)


def test_a_new_network_shows_the_mean_body(system):
    outputs = system.infer(IMAGES)
    np.testing.assert_allclose(numpy(outputs["camera"])[0], (0.9, 0, 0), atol=0.05)
    # Upright before the camera: the head is above the feet, and y points down.
    heights = numpy(outputs["joints3d"])[0, :, 1]
    joints = skeletons.COCOPLUS19
    assert heights[joints.index("head_top")] < heights[joints.index("right_ankle")] - 1.2


def test_losses_are_weighted_and_of_what_is_known(system):
    outputs = system.forward(IMAGES, training=True)
    assert "vertices" not in outputs
    losses = system.losses(outputs, truth(system))
    assert set(losses.weights) == set(system.optimizers["main"].loss_names) == set(losses.parts)
    assert losses.weights["keypoint_loss"] == 60 * 5
    assert losses.weights["shape_loss"] == pytest.approx(60 * 0.001)
    counts = {name: float(mean.count) for name, mean in losses.parts.items()}
    assert counts["pose_loss"] == 24 * 9
    assert counts["part_loss"] == 8 * 8
    assert counts["joints3d_loss"] == 19 * 3
    nothing = truth(system, known=(0, 0))
    nothing["joints2d_weight"] = np.zeros_like(nothing["joints2d_weight"])
    values = {name: float(value) for name, value in system.losses(outputs, nothing).values().items()}
    assert values.pop("camera_loss") > 0
    assert set(values.values()) == {0.0}


def test_openpose_joints_count_as_they_are_told(in_spin):
    outputs, batch = in_spin.forward(IMAGES, training=True), truth(in_spin)
    weight = batch["joints2d_weight"]
    first = float(in_spin.losses(outputs, batch).values()["keypoint_loss"])
    batch["joints2d"][:, :25] += 9.0
    assert float(in_spin.losses(outputs, batch).values()["keypoint_loss"]) == pytest.approx(first, rel=1e-6)
    batch["joints2d_weight"] = weight * (np.arange(49) < 25)
    assert float(in_spin.losses(outputs, batch).values()["keypoint_loss"]) == 0


def test_49_joints_lie_on_the_body(in_spin):
    rest = in_spin.true_joints(np.zeros((1, 72)), np.zeros((1, 10)))[0]
    at = dict(zip(skeletons.SPIN49.joints, rest, strict=True))
    for side, sign in (("left", 1), ("right", -1)):
        assert sign * at[f"op_{side}_small_toe"][0] > sign * at[f"op_{side}_big_toe"][0] > 0
        assert at[f"op_{side}_big_toe"][2] > at[f"op_{side}_heel"][2] + 0.15
        assert at[f"op_{side}_big_toe"][1] < at[f"{side}_knee"][1] - 0.3
    assert at["op_mid_hip"] == pytest.approx(at["pelvis"], abs=0.05)
    assert at["head_top"][1] > at["jaw"][1] > at["thorax"][1] > at["spine"][1] > at["pelvis"][1]


def test_bodies_of_men_and_women_are_posed_by_their_own_model(tmp_path):
    data = load_body_model()
    tall = dataclasses.replace(data, v_template=2 * data.v_template)
    save_body_model(tmp_path / "tall.npz", tall)
    system = build(body_model_male=str(tmp_path / "tall.npz"), method=Method.BASELINE)
    assert system.body_models == (data.name, f"{data.name}_male")
    pose, shape = np.zeros((3, 72), "f4"), np.zeros((3, 10), "f4")
    models = np.array([data.name, f"{data.name}_male", "other"], "S")
    heights = np.ptp(system.true_vertices(pose, shape, models)[..., 1], axis=1)
    np.testing.assert_allclose(heights / heights[0], [1, 2, 1], rtol=1e-4)
    # Judged by both, trained on the shapes of its own.
    assert system.needs.body_models == (data.name,)


@pytest.mark.parametrize(("encoder", "side"), [("small", 8), ("resnet50_pytorch", 4)])
def test_other_encoders_give_their_maps(monkeypatch, encoder, side):
    def cheap_resnet(depth, *, image_size):
        return cheap_hrnet(1, image_size=image_size, coarsest=True)

    monkeypatch.setattr(pare_encoders, "build_resnet", cheap_resnet)
    system = build(encoder=encoder)
    # Without weights, what joins the maps is no network that a checkpoint would have to hold.
    assert list(system.networks) == ["encoder", "head"]
    # Twice larger for each convolution, until it is a quarter of the picture.
    assert system.infer(IMAGES)["attention"].shape == (2, side, side, 24)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"skeleton": "lsp14"}, "skeleton=lsp14: must be cocoplus19 or spin49"),
        ({"encoder": "none"}, "encoder"),
        ({"part_layers": 0}, "part_layers=0"),
        ({"map_strides": ("3",)}, "map_strides=3"),
        ({"joint_regressor_extra": "a.npy"}, "needs `skeleton=spin49`"),
        ({"joint_regressor_extra": "a.npy", "skeleton": "spin49"}, "no such file"),
        ({"encoder_weights": "a.npz"}, "no such weights file"),
        ({"encoder": "resnet50_pytorch", "encoder_weights": "a.npz"}, "none or a PyTorch file"),
        ({"loss_scale": 0.0}, "every loss weighs 0"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(options, message):
    with pytest.raises((UserError, ValueError), match=message) as caught:
        build(**options)
    assert "\n" not in str(caught.value)


def test_body_of_another_size_is_no_body_of_men(tmp_path):
    data = load_body_model()
    smaller = dataclasses.replace(
        data,
        v_template=data.v_template[:-1],
        shape_dirs=data.shape_dirs[:-1],
        weights=data.weights[:-1],
        joint_regressor=data.joint_regressor[:, :-1],
        faces=data.faces[(data.faces < len(data.v_template) - 1).all(axis=1)],
        keypoint_regressors={name: rows[:, :-1] for name, rows in data.keypoint_regressors.items()},
        vertex_colors=None,
        vertex_regions=None,
        pose_dirs=None,
    )
    save_body_model(tmp_path / "smaller.npz", smaller)
    with pytest.raises(SettingError, match="has 5999 vertices"):
        build(body_model_female=str(tmp_path / "smaller.npz"))
