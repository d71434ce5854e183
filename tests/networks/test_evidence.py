import keras
import numpy as np
import pytest
from keras import ops

from hpe.networks import evidence
from hpe.networks.body_lifter import PARAMETERS_SIZE, split_parameters
from hpe.skeletons import COCOPLUS19

SIDE, SIZE = 12, 48


def to_normalized(pixels):
    return 2.0 * np.asarray(pixels, np.float32) / SIZE - 1.0


def test_the_first_cell_is_the_middle_of_its_pixels():
    # Pixels 0 to 3, whose centres are at integers.
    assert float(evidence.cells(to_normalized(1.5), SIDE)) == pytest.approx(0.0, abs=1e-5)
    assert float(evidence.cells(to_normalized(SIZE - 2.5), SIDE)) == pytest.approx(SIDE - 1, abs=1e-5)


def test_peaks_are_found_to_a_fraction_of_a_cell():
    joints = to_normalized(np.random.default_rng(0).uniform(12, 36, size=(2, 14, 2)))
    cells = ops.convert_to_numpy(evidence.cells(joints, SIDE))
    rows, columns = np.mgrid[:SIDE, :SIDE]
    squared = (columns[None, ..., None] - cells[:, None, None, :, 0]) ** 2
    squared = squared + (rows[None, ..., None] - cells[:, None, None, :, 1]) ** 2
    found = ops.convert_to_numpy(evidence.peaks(np.float32(-0.5 * squared / 0.8**2)))
    np.testing.assert_allclose(found[..., :2], joints, atol=0.1 * 2 / SIDE)
    assert (found[..., 2] > 0.95).all()
    unsure = ops.convert_to_numpy(evidence.peaks(np.zeros((1, SIDE, SIDE, 14), np.float32)))
    assert (unsure[..., 2] < 0.2).all()


def test_maps_are_read_between_their_cells_and_at_the_border_beyond():
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    maps = np.stack([columns, rows, 2 * rows - columns], axis=-1)[None]
    points = np.random.default_rng(1).uniform(-0.8, 0.8, size=(1, 20, 2)).astype(np.float32)
    x, y = np.moveaxis(ops.convert_to_numpy(evidence.cells(points, SIDE)), -1, 0)
    found = ops.convert_to_numpy(evidence.sample(maps, points))
    np.testing.assert_allclose(found, np.stack([x, y, 2 * y - x], axis=-1), atol=1e-4)
    outside = ops.convert_to_numpy(evidence.sample(maps, np.float32([[[5.0, -5.0]]])))
    np.testing.assert_allclose(outside[0, 0, :2], [SIDE - 1, 0], atol=1e-5)


def test_limbs_are_crossed_in_metres():
    joints = np.random.default_rng(2).uniform(-1, 1, size=(1, 19, 2)).astype(np.float32)
    elbow, wrist = COCOPLUS19.index("left_elbow"), COCOPLUS19.index("left_wrist")
    joints[0, elbow], joints[0, wrist] = (0.0, 0.0), (0.0, 0.4)
    points = ops.convert_to_numpy(evidence.profile_points(joints, np.float32([0.5])))
    assert points.shape == (1, evidence.NUM_PROFILE_POINTS, 2)
    for along in (0.25, 0.75, 1.3):
        for across in (-0.1, -0.05, 0.0, 0.05, 0.1):
            expected = np.array([0.5 * across, 0.4 * along])
            assert np.abs(points[0] - expected).max(axis=-1).min() < 1e-3


@pytest.fixture(scope="module")
def networks():
    keras.utils.set_random_seed(0)
    return evidence.EvidenceMaps(21, "coco17"), evidence.BodyCorrection(8, range(17), width=16, num_blocks=1)


def test_maps_and_body_have_the_shapes_they_promise(networks):
    maps, correction = networks
    generator = np.random.default_rng(3)
    detections = generator.uniform(0, 1, size=(2, 17, 3)).astype(np.float32)
    found = maps(generator.normal(size=(2, SIDE, SIDE, 21)).astype(np.float32), detections)
    assert found["heatmaps"].shape == (2, SIDE, SIDE, 14)
    assert found["mask"].shape == (2, SIDE, SIDE, 1)
    assert evidence.peaks(found["heatmaps"]).shape == (2, 14, 3)
    seen = found | {"detections": detections}
    seen["pooled"] = generator.normal(size=(2, 8)).astype(np.float32)
    parameters = generator.normal(size=(2, PARAMETERS_SIZE)).astype(np.float32)
    body = split_parameters(ops.convert_to_tensor(parameters))
    points = generator.uniform(-1, 1, size=(2, 19, 2)).astype(np.float32)
    seen["joints"] = np.concatenate([points[:, :14], np.ones((2, 14, 1), np.float32)], axis=-1)
    stages = correction(body, seen, project=lambda body: points)
    assert len(stages) == 2
    # The last layer starts near zero, so that the body that is given is where the training starts.
    for name, value in body.items():
        np.testing.assert_allclose(stages[-1][name], value, atol=0.1)
        assert np.abs(ops.convert_to_numpy(stages[-1][name] - value)).max() > 0


def test_parameters_of_a_body_are_those_it_is_made_of():
    parameters = np.random.default_rng(4).normal(size=(3, PARAMETERS_SIZE)).astype(np.float32)
    body = split_parameters(ops.convert_to_tensor(parameters))
    again = split_parameters(evidence.flat_parameters(body))
    for name, value in body.items():
        np.testing.assert_allclose(again[name], value, atol=1e-5)


def test_networks_are_built_again_from_their_configuration(networks):
    for network in networks:
        again = type(network).from_config(network.get_config())
        assert [tuple(w.shape) for w in again.weights] == [tuple(w.shape) for w in network.weights]


def test_the_camera_puts_joints_where_they_were_found():
    rng = np.random.default_rng(4)
    camera = np.float32([[0.8, 0.1, -0.2], [1.3, 0.0, 0.3]])
    body = rng.normal(size=(2, 19, 2)).astype(np.float32)
    points = camera[:, None, :1] * (body + camera[:, None, 1:])
    joints = rng.normal(size=(2, 14, 3)).astype(np.float32)
    joints[..., 2] = rng.uniform(0, 1, size=(2, 14))
    joints[..., :2] = 1.1 * points[:, :14] + 0.3 + 0.1 * joints[..., :2]
    moved, shown = map(ops.convert_to_numpy, evidence.held_camera(camera, points, joints, near=camera))
    np.testing.assert_allclose(moved[:, None, :1] * (body + moved[:, None, 1:]), shown, atol=1e-4)
    for row in range(2):  # NumPy's least squares for gain and offset of the points
        weight = np.repeat(np.sqrt(joints[row, :, 2]), 2)[:, None]
        equations = np.column_stack([points[row, :14].reshape(-1), np.tile([1, 0], 14), np.tile([0, 1], 14)])
        gain, x, y = np.linalg.lstsq(
            weight * equations, weight[:, 0] * joints[row, :, :2].reshape(-1), rcond=None
        )[0]
        np.testing.assert_allclose(shown[row], gain * points[row] + [x, y], atol=1e-4)
    # Joints that are found nowhere in particular, or the wrong way round, do not shrink or mirror a body.
    for joints[0, :, :2], joints[1, :, 2] in ((-points[0, :14], 0), (0.2, 1e-9)):
        moved = ops.convert_to_numpy(evidence.held_camera(camera, points, joints, near=camera)[0])
        np.testing.assert_allclose(moved[0, 0], camera[0, 0] / 1.4, rtol=1e-5)
        assert np.isfinite(moved).all()
