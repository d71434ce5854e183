"""Judging people in pictures: truth that is known, errors that are known, and every lack of truth."""

import numpy as np
import pytest

from hpe import systems
from hpe.body.body_model import BodyModel
from hpe.body.data import load_body_model
from hpe.errors import UserError
from hpe.evaluation.feasibility import Comparison, FeasibilityReference
from hpe.evaluation.judging import judge
from hpe.geometry.rotations import axis_angle_to_rotmat
from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.image_source import ImageSource
from hpe.pipeline.images import USUAL, evaluation_batches
from hpe.records.reading import find_shards
from hpe.records.writing import write_dataset
from hpe.synthetic.people import SyntheticConfig, generate
from hpe.systems.prediction import Prediction
from tests.written_people import write_people

COUNT = 5
CONFIG = PipelineConfig(img_size=224)  # the records' own resolution: masks are not resampled


class KnowingSystem:
    """Stands for a system in the evaluator: its body, and nothing else."""

    def __init__(self, body_models=("default",)):
        self.body = BodyModel(load_body_model())
        self.body_models = body_models
        self.skeleton = "cocoplus19"
        self.input_key = "image"
        self.metrics = systems.get("hybrid_hmr").metrics

    def true_vertices(self, pose, shape):
        return np.asarray(self.body(axis_angle_to_rotmat(pose.reshape(-1, 24, 3)), shape)["vertices"])


class KnowingPredictor:
    """Answers with predictions that were made beforehand, in the order of the records."""

    def __init__(self, system, size, answers):
        self.system, self.image_size, self.answers, self.asked = system, size, answers, 0

    def __call__(self, images):
        count = len(images)
        rows = (np.arange(self.asked, self.asked + count)) % len(self.answers["joints2d"])
        self.asked += count
        fields = {name: None if value is None else value[rows] for name, value in self.answers.items()}
        faces = self.system.body.data.faces if fields.get("vertices") is not None else None
        return Prediction(skeleton="cocoplus19", faces=faces, **fields)


@pytest.fixture(scope="module")
def system():
    return KnowingSystem()


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic")
    data = load_body_model()
    look = SyntheticConfig(image_size=224, seed=1)
    people = (generate(index, look, data) for index in range(COUNT))
    write_dataset(people, folder, "synthetic", skeleton="cocoplus19", progress=False)
    return find_shards(folder, ["synthetic"])


@pytest.fixture(scope="module")
def truth(synthetic, system):
    """What a system that knows everything answers."""
    (batch,) = evaluation_batches(synthetic, CONFIG, batch_size=COUNT).as_numpy_iterator()
    assert batch["camera_weight"].all()
    camera, joints3d = batch["camera"], batch["joints3d"]
    return {
        "joints2d": camera[:, None, :1] * (joints3d[..., :2] + camera[:, None, 1:]),
        "joints3d": joints3d,
        "camera": camera,
        "vertices": system.true_vertices(batch["pose"], batch["shape"]),
    }


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("boxes")
    write_people(folder, count=7)
    return find_shards(folder, ["people"])


def evaluate(system, shards, answers, *, batch_size=2, size=224, **options):
    predictor = KnowingPredictor(system, size, answers)
    source = ImageSource(shards, PipelineConfig(img_size=size), USUAL)
    return judge(predictor, source, batch_size=batch_size, show_progress=False, **options)


def test_who_knows_the_truth_makes_no_error(system, synthetic, truth):
    result = evaluate(system, synthetic, truth)
    values = result.values()
    assert values["images"] == COUNT
    assert values["keypoint_loss@cocoplus19"] == pytest.approx(0, abs=1e-3)
    assert values["pck0.2torso@lsp14"] == 1
    for name in ("mpjpe@lsp14", "pa_mpjpe@lsp14", "pve@body"):
        assert values[name] == pytest.approx(0, abs=0.01), name
    # Masks are cut out pixel by pixel, at fractions of pixels: a person's edge is some hundred pixels long.
    assert values["silhouette_iou@crop"] > 0.96
    assert values["silhouette_accuracy@crop"] > 0.995
    assert values["silhouette_f1@crop"] > 0.98
    # Vertices are denser than pixels nowhere: the way from mask to vertex is not quite 0.
    assert values["mesh_loss@crop"] < 2.5
    for name in ("silhouette_iou@picture", "silhouette_f1@picture"):
        assert values[name] > 0.99, name
    assert result.names[3] == b"synthetic_1_0000003.jpg"
    assert all(metric.count in (None, COUNT) for metric in result.metrics)


def test_errors_of_known_size(system, synthetic, truth):
    joints2d = truth["joints2d"] + np.float32([0.05, -0.03])
    joints3d = truth["joints3d"].copy()
    joints3d[:, 0] += np.float32([0, 0, 0.07])  # one ankle of the 14 joints
    vertices = truth["vertices"] + np.float32([0.003, 0.004, 0])
    answers = {**truth, "joints2d": joints2d, "joints3d": joints3d, "vertices": vertices}
    values = evaluate(system, synthetic, answers).values()
    assert values["keypoint_loss@cocoplus19"] == pytest.approx(60 * 0.04, abs=1e-2)
    assert values["mpjpe@lsp14"] == pytest.approx(70 / 14, abs=0.01)
    assert values["pve@body"] == pytest.approx(5, abs=0.01)
    assert values["pck0.2torso@lsp14"] == 1  # 7 pixels of a torso of some 45


def test_alignment_takes_similarities_out_and_nothing_else_does(system, synthetic, truth):
    larger = {**truth, "joints3d": 1.2 * truth["joints3d"] + np.float32([0.1, 0, 3])}
    values = evaluate(system, synthetic, larger).values()
    assert values["pa_mpjpe@lsp14"] == pytest.approx(0, abs=0.01)
    hips = truth["joints3d"][:, 2:4].mean(axis=1, keepdims=True)
    distances = np.linalg.norm(truth["joints3d"][:, :14] - hips, axis=-1)
    assert values["mpjpe@lsp14"] == pytest.approx(1000 * 0.2 * distances.mean(), rel=1e-4)


def test_metrics_by_hand_on_boxes(system, boxes):
    (batch,) = evaluation_batches(boxes, PipelineConfig(img_size=56), batch_size=7).as_numpy_iterator()
    rng = np.random.default_rng(0)
    joints2d = batch["joints2d"][..., :2] + rng.normal(scale=0.05, size=(7, 19, 2)).astype(np.float32)
    # Every vertex at the middle of the crop: a mesh of no area.
    answers = {
        "joints2d": joints2d,
        "joints3d": np.zeros((7, 19, 3), np.float32),
        "camera": np.tile(np.float32([1, 0, 0]), (7, 1)),
        "vertices": np.zeros((7, len(system.body.data.v_template), 3), np.float32),
    }
    result = evaluate(system, boxes, answers, size=56, batch_size=3)
    values = result.values()
    difference = np.abs(joints2d - batch["joints2d"][..., :2])[:, :14]
    assert values["keypoint_loss@cocoplus19"] == pytest.approx(60 * difference.mean(), rel=1e-4)
    of_samples = result.samples["keypoint_loss@cocoplus19"]
    np.testing.assert_allclose(of_samples, 60 * difference.mean(axis=(1, 2)), rtol=1e-4)
    truth = batch["joints2d"][:, :14, :2]
    torso = np.linalg.norm(truth[:, 9] - truth[:, 2], axis=-1)  # left shoulder, right hip
    hits = np.linalg.norm(joints2d[:, :14] - truth, axis=-1) < 0.2 * torso[:, None]
    assert values["pck0.2torso@lsp14"] == pytest.approx(hits.mean())
    distances = []
    for mask in batch["silhouette"]:
        rows, columns = np.nonzero(mask)
        from_middle = np.hypot(columns - 28, rows - 28)
        distances.append(from_middle.mean() + from_middle.min())
    assert values["mesh_loss@crop"] == pytest.approx(np.mean(distances) * 4, rel=1e-4)
    assert values["silhouette_iou@crop"] == 0
    assert values["silhouette_accuracy@crop"] == pytest.approx(1 - batch["silhouette"].mean())
    assert not {"mpjpe@lsp14", "pa_mpjpe@lsp14", "pve@body"} & values.keys()


def test_batches_change_nothing(system, synthetic, truth):
    answers = {**truth, "joints2d": truth["joints2d"] * 1.1, "vertices": truth["vertices"] * 1.05}
    reference = evaluate(system, synthetic, answers, batch_size=COUNT)
    for batch_size in (2, 8):  # the last not full, and a single one that never is
        other = evaluate(system, synthetic, answers, batch_size=batch_size)
        assert other.values() == pytest.approx(reference.values(), rel=1e-5)
        np.testing.assert_array_equal(other.names, reference.names)


def test_systems_without_a_mesh_have_no_metrics_of_one(system, synthetic, truth):
    bare = {"joints2d": truth["joints2d"], "joints3d": truth["joints3d"]}
    result = evaluate(system, synthetic, bare)
    assert {metric.name for metric in result.metrics if not metric.group} == {
        *(
            "images",
            "keypoint_loss@cocoplus19",
            "pck0.2torso@lsp14",
            "mpjpe@lsp14",
            "pa_mpjpe@lsp14",
            "limb_asymmetry@body",
        )
    }


def test_bodies_of_another_model_are_no_truth(synthetic, truth):
    system = KnowingSystem(("smpl",))
    values = evaluate(system, synthetic, truth).values()
    assert "pve@body" not in values
    assert values["mpjpe@lsp14"] == pytest.approx(0, abs=0.01)
    (asked,) = evaluate(system, synthetic, truth, metrics=["pve@body"]).metrics[1:]
    assert asked.reason == "no image has pose of the body model smpl"


def test_bodies_are_judged_whatever_the_batches(system, synthetic, truth):
    (batch,) = evaluation_batches(synthetic, CONFIG, batch_size=COUNT).as_numpy_iterator()
    rotmats = np.array(axis_angle_to_rotmat(batch["pose"].reshape(-1, 24, 3)))
    answers = {**truth, "pose": rotmats, "shape": batch["shape"] + np.float32([3.5] + 9 * [0])}
    reference = FeasibilityReference([batch["pose"][: COUNT - 1]])
    for batch_size in (2, COUNT):
        result = evaluate(
            system, synthetic, answers, batch_size=batch_size, feasibility=Comparison(reference)
        )
        values = result.values()
        (distance,) = reference.nearest(rotmats[-1:])
        assert distance > 1
        assert values["nearest_mocap_pose@mocap"] == pytest.approx(distance / COUNT, abs=1e-4)
        outside, judged = reference.angles_outside(rotmats)
        assert values["angles_outside_limits@mocap"] == pytest.approx(100 * outside.sum() / judged.sum())
        assert values["mean_abs_shape@body"] == pytest.approx(np.abs(answers["shape"]).mean())
        assert values["shape_beyond_3@body"] == pytest.approx(100 * (np.abs(answers["shape"]) > 3).mean())
        assert values["limb_asymmetry@body"] < 5
    unmeasured = [m for m in evaluate(system, synthetic, answers).metrics if not m.is_measured]
    assert {metric.reason for metric in unmeasured} == {"no motion capture was given to compare with"}
    assert len(unmeasured) == 2


@pytest.mark.parametrize(
    "field", ["joints2d", "joints3d", "camera", "vertices", "pose", "shape", "confidence"]
)
def test_predictions_that_are_not_finite_are_refused(system, synthetic, truth, field):
    rest = {"pose": np.tile(np.eye(3, dtype=np.float32), (COUNT, 24, 1, 1)), "shape": np.zeros((COUNT, 10))}
    # Of heat maps that are no numbers, it is all that shows it.
    rest["confidence"] = np.ones((COUNT, 19), np.float32)
    spoiled = {**truth, **rest}[field].copy()
    spoiled[3] = np.nan
    with pytest.raises(UserError, match=r"synthetic_1_0000003\.jpg: its prediction is not finite"):
        evaluate(system, synthetic, {**truth, **rest, field: spoiled})


def test_nothing_to_validate_on(system, truth):
    with pytest.raises(UserError, match="val_datasets: names no dataset"):
        evaluate(system, [], truth)


def test_damaged_records_are_named(system, tmp_path, truth):
    write_people(tmp_path, count=4)
    (shard,) = tmp_path.glob("people-*.tfrecords")
    content = bytearray(shard.read_bytes())
    content[-40] ^= 0xFF
    shard.write_bytes(content)
    with pytest.raises(UserError, match=f"{shard.name}: record 3 is damaged"):
        evaluate(system, find_shards(tmp_path, ["people"]), truth)
