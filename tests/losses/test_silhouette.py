"""Mesh reprojection against brute force, its invariants and its gradient against finite differences."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops
from scipy.spatial.distance import cdist

from hpe.backends.autodiff import input_gradient
from hpe.losses.silhouette import directed_distances, mesh_reprojection

SIZE = 48


def _directions(points, mask):
    pixels = np.argwhere(mask)[:, ::-1].astype(float)
    matrix = cdist(pixels, points.astype(float))
    return matrix.min(axis=1).mean(), matrix.min(axis=0).mean()


def _loss(points, mask, has):
    loss, per_image = mesh_reprojection(*(ops.convert_to_tensor(x) for x in (points, mask, has)))
    return float(loss.value), ops.convert_to_numpy(per_image)


def _gradient(points, mask, has):
    tensors = [ops.convert_to_tensor(x) for x in (mask, has)]
    return ops.convert_to_numpy(input_gradient(lambda p: mesh_reprojection(p, *tensors)[0].value, points))


def _disc(x, y, radius, size=SIZE):
    rows, columns = np.mgrid[:size, :size]
    return ((columns - x) ** 2 + (rows - y) ** 2 <= radius**2).astype("uint8")


@pytest.fixture
def batch():
    """Four images: a disc, a disc whose points reach far outside, no mask given, an empty mask."""
    rng = np.random.default_rng(1)
    points = rng.normal(size=(4, 60, 2)).astype("float32") * 9 + 24
    points[1] = points[1] * 5 - 80
    mask = np.stack([_disc(20, 25, 9), _disc(47, 0, 14), _disc(24, 24, 5), np.zeros((SIZE, SIZE), "uint8")])
    return points, mask, np.array([1, 1, 0, 1], "float32")


def test_equals_brute_force(batch):
    points, mask, _ = batch
    loss, per_image = _loss(*batch)
    expected = [sum(_directions(points[i], mask[i])) for i in (0, 1)]
    np.testing.assert_allclose(per_image[:2], expected, atol=1e-4)
    assert not per_image[2:].any()
    assert abs(loss - np.mean(expected)) < 1e-4


def test_gradient_equals_finite_differences(batch):
    """Checked in a random direction of each image, against the brute force in double precision."""
    points, mask, _ = batch
    gradient = _gradient(*batch)
    rng = np.random.default_rng(5)
    for i in (0, 1):
        direction = rng.normal(size=points[i].shape)
        step = 1e-6 * direction
        ahead, behind = (sum(_directions(points[i] + s, mask[i])) for s in (step, -step))
        assert np.isclose((gradient[i] * direction).sum(), (ahead - behind) / 2e-6 / 2, rtol=1e-3, atol=1e-5)
    assert not gradient[2:].any()


def test_identical_sets_have_no_distance():
    mask = _disc(20, 25, 9)[None]
    points = np.argwhere(mask[0])[None, :, ::-1].astype("float32")
    loss, _ = _loss(points, mask, np.ones(1, "float32"))
    assert loss <= 1e-5
    assert np.isfinite(_gradient(points, mask, np.ones(1, "float32"))).all()


def test_gradient_is_finite_with_a_vertex_exactly_on_a_pixel(batch):
    points, mask, has = batch
    points[0, 0] = 20, 25
    points[0, 1] = 20, 25
    gradient = _gradient(points, mask, has)
    assert np.isfinite(gradient).all()
    assert gradient[0].any()


def test_moving_a_far_pixel_changes_only_the_way_from_mask_to_mesh():
    near = _disc(15, 15, 6)
    points = np.argwhere(near)[None, :, ::-1].astype("float32")
    distances = []
    for column in (40, 46):
        mask = near.copy()
        mask[15, column] = 1
        distances.append([float(d[0]) for d in directed_distances(points, mask[None])])
    (first, mesh_to_mask), (second, still) = distances
    assert mesh_to_mask == still
    assert np.isclose(second - first, 6 / (near.sum() + 1), rtol=1e-4)


def test_independent_of_the_rest_of_the_batch(batch):
    points, mask, has = batch
    _, together = _loss(*batch)
    for i in range(4):
        _, alone = _loss(points[i : i + 1], mask[i : i + 1], has[i : i + 1])
        np.testing.assert_allclose(alone[0], together[i], rtol=1e-6)


def test_no_mask_at_all_is_zero_with_zero_gradient(batch):
    points, mask, _ = batch
    for masks, has in ((mask, np.zeros(4, "float32")), (np.zeros_like(mask), np.ones(4, "float32"))):
        loss, per_image = _loss(points, masks, has)
        assert loss == 0
        assert not per_image.any()
        assert not _gradient(points, masks, has).any()


def test_nan_spoils_its_own_image_only_and_raises_nothing(batch):
    points, mask, has = batch
    clean = _loss(*batch)
    points[2:] = np.nan  # images that do not count
    loss, per_image = _loss(points, mask, has)
    assert loss == clean[0]
    assert np.isfinite(_gradient(points, mask, has)).all()
    points[0, 7] = np.nan
    loss, per_image = _loss(points, mask, has)
    assert np.isnan(loss)
    assert np.isnan(per_image[0])
    assert per_image[1] == clean[1][1]


def test_vertices_far_outside_the_image_pull_back(batch):
    points, mask, has = batch
    points[0, 0] = 1e6, -1e6
    loss, _ = _loss(points, mask, has)
    assert np.isfinite(loss)
    gradient = _gradient(points, mask, has)
    assert gradient[0, 0, 0] > 0 > gradient[0, 0, 1]


def test_masks_of_other_types_and_values_are_the_same(batch):
    points, mask, has = batch
    for other in (mask > 0, mask * np.uint8(255), mask.astype("float32")):
        assert _loss(points, other, has)[0] == _loss(*batch)[0]


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch runs eagerly here")
def test_compiled_equals_eager(batch):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        compile_ = tf.function
    else:
        import jax

        compile_ = jax.jit
    points, mask, has = (ops.convert_to_tensor(x) for x in batch)
    loss, gradient = compile_(
        lambda p: (
            mesh_reprojection(p, mask, has)[0].value,
            input_gradient(lambda q: mesh_reprojection(q, mask, has)[0].value, p),
        )
    )(points)
    assert np.isclose(float(loss), _loss(*batch)[0], rtol=1e-6)
    np.testing.assert_allclose(np.asarray(gradient), _gradient(*batch), atol=1e-7)


_FULL_MASK = """
import json, resource, sys, time
import numpy as np
from keras import ops
from hpe.backends.autodiff import input_gradient
from hpe.losses.silhouette import mesh_reprojection

def gradient(points, mask):
    has = ops.ones(len(points))
    return ops.convert_to_numpy(input_gradient(lambda p: mesh_reprojection(p, mask, has)[0].value, points))

def most_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

points = np.random.default_rng(0).normal(size=(2, 6890, 2)).astype("float32") * 40 + 112
gradient(points[:, :9], np.ones((2, 8, 8), "uint8"))  # what the backend loads the first time is not the loss
before, start = most_memory(), time.process_time()
found = gradient(points, np.ones((2, 224, 224), "uint8"))
seconds = time.process_time() - start
print(json.dumps([bool(np.isfinite(found).all() and found.any()), most_memory() - before, seconds]))
"""


def test_a_full_mask_needs_no_pixel_by_vertex_matrix():
    """50,176 pixels by 6,890 vertices are 1.4 GB for one image; two images would take 2.8 GB.

    The most memory that a process ever had never falls, so what other tests took would hide it: a new process.
    """
    done = subprocess.run([sys.executable, "-c", _FULL_MASK], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    is_good, memory, seconds = json.loads(done.stdout.splitlines()[-1])
    assert is_good
    assert memory < 400e6
    assert seconds < 10
