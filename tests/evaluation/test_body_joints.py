"""Joints regressed from bodies, the course's measures, and the files that its programs write."""

import json

import numpy as np
import pytest

from hpe import skeletons
from hpe.body.data import load_body_model
from hpe.errors import SettingError, UserError
from hpe.evaluation import registry
from hpe.evaluation.course_bodies import PredictedJoints, validations_to_json, write_predicted_joints
from hpe.evaluation.judged import Judged
from hpe.systems.prediction import Prediction

DATA = load_body_model()
RNG = np.random.default_rng(0)


class Body:
    """A system whose bodies are its template, shifted by their first shape coefficient."""

    body_models = (DATA.name,)
    skeleton = "spin49"

    def __init__(self):
        self.body = type("", (), {"data": DATA})

    def true_vertices(self, pose, shape):
        return DATA.v_template + np.asarray(shape)[:, :1, None]

    def true_joints(self, pose, shape):
        return JOINTS + np.asarray(shape)[:, :1, None]


JOINTS = RNG.normal(size=(49, 3))


def judged(*, vertices=None, joints3d=None, skeleton="spin49", known=(1, 1)):
    count = len(known)
    batch = {
        "name": np.array([b"a"] * count),
        "pose": np.zeros((count, 72), "f4"),
        "shape": np.zeros((count, 10), "f4"),
        "pose_weight": np.array(known, "f4"),
        "shape_weight": np.ones(count, "f4"),
    }
    vertices = np.tile(DATA.v_template, (count, 1, 1)) if vertices is None else vertices
    number = len(skeletons.get(skeleton))
    prediction = Prediction(
        skeleton,
        np.zeros((count, number, 2)),
        joints3d=np.tile(JOINTS, (count, 1, 1)) if joints3d is None else joints3d,
        vertices=vertices,
    )
    return Judged(batch, prediction, Body(), skeleton2d=skeleton, skeleton3d=skeleton)


def value(name, sample):
    measure = registry.measure(name)
    measure.add(sample)
    rows = measure.rows()
    return measure.value(rows[np.isfinite(rows[:, 0])].sum(axis=0)), rows, measure


def test_equal_bodies_and_shifted_ones_have_no_error_from_their_pelvis():
    shifted = np.tile(DATA.v_template + np.array([0.1, 0.2, 0.3]), (2, 1, 1))
    for name in ("body_mpjpe@3dpw14", "body_pa_mpjpe@3dpw14"):
        assert value(name, judged())[0] == pytest.approx(0, abs=1e-4)
        assert value(name, judged(vertices=shifted))[0] == pytest.approx(0, abs=1e-3)
    larger = np.tile(1.1 * DATA.v_template, (2, 1, 1))
    regressor = DATA.keypoint_regressors["h36m17"]
    joints = regressor @ DATA.v_template
    counted = [i for i, name in enumerate(skeletons.H36M17.joints) if name not in ("pelvis", "spine", "nose")]
    expected = 100 * np.linalg.norm(joints[counted] - joints[0], axis=1).mean()
    assert value("body_mpjpe@3dpw14", judged(vertices=larger))[0] == pytest.approx(expected, rel=1e-4)
    assert value("body_pa_mpjpe@3dpw14", judged(vertices=larger))[0] == pytest.approx(0, abs=1e-3)


def test_the_course_measures_from_the_nose_and_coordinate_by_coordinate():
    moved = np.tile(JOINTS + np.array([0.01, 0.02, 0.04]), (2, 1, 1))
    assert value("course_mpjpe@spin49", judged(joints3d=moved))[0] == pytest.approx(0, abs=1e-6)
    assert value("course_coordinates@spin49", judged(joints3d=moved))[0] == pytest.approx(70 / 3)
    nose = np.tile(JOINTS, (2, 1, 1))
    nose[:, 0] += (0, 0, 0.049)
    assert value("course_mpjpe@spin49", judged(joints3d=nose))[0] == pytest.approx(48, rel=1e-3)


def test_what_cannot_be_measured_is_not():
    _, rows, _ = value("body_mpjpe@3dpw14", judged(known=(1, 0)))
    assert np.isfinite(rows[:, 0]).tolist() == [True, False]
    _, rows, measure = value(
        "course_mpjpe@spin49", judged(skeleton="cocoplus19", joints3d=np.zeros((2, 19, 3)))
    )
    assert not np.isfinite(rows).any()
    assert measure.reason == "needs a system that predicts spin49"
    with pytest.raises(ValueError, match="has the protocol 3dpw14"):
        registry.parse("body_mpjpe@lsp14")


def test_predicted_joints_have_the_course_form(tmp_path):
    kept = PredictedJoints(Body())
    kept.add(judged())
    kept.add(judged(known=(1,)))
    assert kept.write(tmp_path) == ["test_pred_joints.csv"]
    lines = (tmp_path / "test_pred_joints.csv").read_text().splitlines()
    assert len(lines) == 3
    assert lines[0].split(",")[:2] == [f"{number:.18e}" for number in JOINTS[0, :2]]
    np.testing.assert_array_equal(
        np.loadtxt(tmp_path / "test_pred_joints.csv", delimiter=",")[2], JOINTS.ravel()
    )


def test_what_cannot_be_written_is_told_in_one_line(tmp_path):
    joints = np.zeros((2, 49, 3))
    joints[1, 3] = np.nan
    with pytest.raises(UserError, match="row 2 is not finite"):
        write_predicted_joints(tmp_path / "a.csv", joints)
    assert not list(tmp_path.iterdir())
    system = Body()
    system.skeleton = "cocoplus19"
    with pytest.raises(SettingError, match="test_pred_joints: needs a body's spin49"):
        PredictedJoints(system)


def test_validations_are_listed_as_the_course_does():
    values = {
        "course_mpjpe@spin49": 90.5,
        "course_pa_mpjpe@spin49": 60.0,
        "pve@body": 110.0,
        "mpjpe@lsp14": 1.0,
    }
    text = validations_to_json([(120, 1.0, values), (240, 2.0, {})])
    assert json.loads(text) == [
        [120, {"val_mpjpe": 90.5, "val_pampjpe": 60.0, "val_v2v": 110.0}, 1],
        [240, {}, 2],
    ]
