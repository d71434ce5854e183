import keras
import numpy as np
import pytest

from hpe import systems
from hpe.errors import SettingError
from hpe.geometry.cameras import normalized_to_pixels, weak_perspective_project
from hpe.systems.inputs import ImageInput
from hpe.systems.movenet import MoveNetBodyConfig
from hpe.systems.refinement import Evidence, Refinement
from hpe.visualization.rasterizer import render_mask, weak_perspective_camera

SIZE, PEOPLE = 64, 3


@pytest.fixture(scope="module")
def system():
    keras.utils.set_random_seed(0)
    config = MoveNetBodyConfig(lifter_size=16, lifter_blocks=1, compile_body=False)
    return systems.get("movenet").build(config, ImageInput(img_size=SIZE))


@pytest.fixture(scope="module")
def crops():
    return np.random.default_rng(0).integers(0, 256, (PEOPLE, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def inferred(system):
    """Bodies that nearly stand, and joints that are some pixels off theirs."""
    generator = np.random.default_rng(1)
    joints = np.float32([[0.1, -0.8], [0.2, 0.9]])[:, None] * np.linspace(0, 1, 17)[None, :, None]
    joints = np.tile(joints.sum(axis=0), (PEOPLE, 1, 1)) + 0.1 * generator.normal(size=(PEOPLE, 17, 2))
    detections = np.concatenate([joints, np.full((PEOPLE, 17, 1), 0.8)], axis=-1).astype(np.float32)
    return {name: np.asarray(value) for name, value in system.infer_joints2d(detections).items()}


def errors(system, body, joints):
    return np.linalg.norm(np.asarray(body["joints2d"])[..., :2] - joints[..., :2], axis=-1).mean(axis=1)


def moved(inferred):
    """Joints that a person of the predicted body could nearly have: its own, larger, and moved."""
    joints = np.concatenate([1.1 * inferred["joints2d"], np.ones((PEOPLE, 19, 1))], axis=-1)
    joints[..., 0] += 0.05
    return joints.astype(np.float32)


def test_people_come_nearer_to_their_joints_each_by_itself(system, inferred, crops):
    joints, refinement = moved(inferred), Refinement(system, steps=10)
    together = refinement(inferred, crops, Evidence(joints))
    assert (errors(system, together, joints) < 0.8 * errors(system, inferred, joints)).all()
    projected = weak_perspective_project(np.asarray(together["joints3d"]), np.asarray(together["camera"]))
    np.testing.assert_allclose(projected, together["joints2d"], atol=1e-5)
    for person in range(PEOPLE):
        one = slice(person, person + 1)
        alone = refinement(
            {name: value[one] for name, value in inferred.items()}, crops[one], Evidence(joints[one])
        )
        for name in ("rotmats", "shape", "camera", "vertices"):
            np.testing.assert_allclose(alone[name][0], together[name][person], atol=2e-4)


def test_a_mask_draws_the_outline(system, inferred, crops):
    vertices, camera = inferred["vertices"], inferred["camera"]
    wider = camera * [1.0, 1.0, 1.0] + [0.0, 0.08, 0.0]
    masks = np.stack(
        [
            render_mask(
                vertices[n], system.body.data.faces, weak_perspective_camera(wider[n], SIZE), (SIZE, SIZE)
            )
            for n in range(PEOPLE)
        ]
    )
    nothing = np.zeros((PEOPLE, 19, 3), np.float32)
    has = np.float32([1, 1, 0])
    body = Refinement(system, steps=8)(inferred, crops, Evidence(nothing, masks, has))

    def middles(body):
        points = weak_perspective_project(np.asarray(body["vertices"]), np.asarray(body["camera"]))
        return normalized_to_pixels(points, SIZE)[..., 0].mean(axis=1)

    columns = np.array([np.nonzero(mask)[1].mean() for mask in masks])
    off = np.abs(np.stack([middles(inferred), middles(body)]) - columns)
    assert (off[1, :2] < 0.6 * off[0, :2]).all()
    # Without joints and without a mask nobody is moved.
    np.testing.assert_allclose(body["camera"][2], camera[2], atol=1e-5)


def test_the_joints_found_are_those_that_are_fitted(system, inferred, crops):
    body = Refinement(system, steps=10)(inferred, crops)
    found = inferred["detections"]
    seen = system.seen_joints
    before = np.linalg.norm(inferred["joints2d"][:, seen] - found[..., :2], axis=-1).mean()
    after = np.linalg.norm(np.asarray(body["joints2d"])[:, seen] - found[..., :2], axis=-1).mean()
    assert after < before


def test_what_has_no_body_is_refused():
    config = systems.get("lifter")
    system = config.build(config.config(), config.input())
    with pytest.raises(SettingError, match="lifter predicts no body"):
        Refinement(system, steps=1)
