"""Turned crops, from records to batches: pixels, masks, joints, camera and body go together."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from hpe import skeletons
from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.images import evaluation_batches, training_batches
from tests.pipeline.people import encode, make_sample, write_shards

TURNING = PipelineConfig(img_size=224, shuffle_buffer=3, rotation_max=60)


def _take(dataset, count):
    return list(dataset.take(count).as_numpy_iterator())


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("records"), [4])


def test_projecting_turned_joints_with_the_camera_of_the_crop_gives_its_keypoints(shard):
    for batch in _take(training_batches([shard], TURNING, batch_size=4, seed=3), 6):
        camera = batch["camera"][:, None]
        projected = camera[..., :1] * (batch["joints3d"][..., :2] + camera[..., 1:])
        assert np.abs(projected - batch["joints2d"]).max() * 112 < 2e-3


def test_a_pose_turns_as_the_joints_do(shard):
    """Angle and mirror are found from the 3D joints; the root of the body follows them."""
    plain = {
        batch["name"][0]: batch for batch in _take(evaluation_batches([shard], TURNING, batch_size=1), 4)
    }
    flips = turns = 0
    for batch in _take(training_batches([shard], TURNING, batch_size=4, seed=1), 4):
        for row, name in enumerate(batch["name"]):
            before, after = plain[name]["joints3d"][0], batch["joints3d"][row]
            mirrored = batch["joints3d_weight"][row, 0] != plain[name]["joints3d_weight"][0, 0]
            if mirrored:
                after = after[list(skeletons.COCOPLUS19.flip)] * [-1, 1, 1]
            found, distance = Rotation.align_vectors(after, before)
            assert distance < 1e-3
            reflection = np.diag([-1.0 if mirrored else 1.0, 1, 1])
            root = Rotation.from_rotvec(plain[name]["pose"][0, :3])
            expected = reflection @ (found * root).as_matrix() @ reflection
            actual = Rotation.from_rotvec(batch["pose"][row, :3])
            np.testing.assert_allclose(actual.as_matrix(), expected, atol=1e-3)
            flips += mirrored
            turns += np.linalg.norm(found.as_rotvec()) > 0.01
    assert 2 < flips < 14
    assert 4 < turns < 15


def test_markers_and_masks_turn_with_their_joints(tmp_path):
    rng = np.random.default_rng(0)
    joints = np.zeros((19, 2), np.float32)
    joints[:4] = np.add([[50, 50], [110, 50], [50, 110], [110, 110]], rng.uniform(-12, 12, (4, 2)))
    rows, columns = np.mgrid[:160, :160]
    blobs = [np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8) for x, y in joints[:4]]
    image = np.repeat((255 * np.max(blobs, axis=0)).astype(np.uint8)[..., None], 3, axis=-1)
    sample = make_sample(
        0,
        image=encode(image, ".jpg"),
        mask=encode(np.where(image[..., 0] > 127, 255, 0).astype(np.uint8)),
        height=160,
        width=160,
        joints2d=joints,
        visibility=(np.arange(19) < 4).astype(np.float32),
        center=np.array([80, 80], np.float32),
    )
    shard = write_shards(tmp_path, [1], samples=[sample])
    seen = 0
    for batch in _take(training_batches([shard], TURNING, batch_size=1, seed=0), 16):
        picture, silhouette = batch["image"][0, ..., 0], batch["silhouette"][0]
        dots, count = ndimage.label(picture > 60)
        centers = np.array(ndimage.center_of_mass(picture, dots, range(1, count + 1)))
        blobs, count = ndimage.label(silhouette)
        mask_centers = np.array(ndimage.center_of_mass(silhouette, blobs, range(1, count + 1)))
        pixels = (batch["joints2d"][0][batch["joints2d_weight"][0] > 0][:, ::-1] + 1) * 112
        for pixel in pixels[((pixels > 12) & (pixels < 212)).all(axis=1)]:
            assert np.linalg.norm(centers - pixel, axis=1).min() < 0.3
            assert np.linalg.norm(mask_centers - pixel, axis=1).min() < 0.7
            seen += 1
    assert seen > 40


def test_batches_are_a_function_of_seed_and_step(shard):
    config = dataclasses.replace(TURNING, img_size=32, half_body_probability=0.5)
    whole = _take(training_batches([shard], config, batch_size=2, seed=5), 5)
    resumed = _take(training_batches([shard], config, batch_size=2, seed=5, start_step=3), 2)
    part = _take(training_batches([shard], config, batch_size=2, seed=5, shard_index=1, num_shards=2), 5)
    for one, other in zip(whole[3:], resumed, strict=True):
        np.testing.assert_array_equal(one["image"], other["image"])
        np.testing.assert_array_equal(one["joints2d"], other["joints2d"])
    for one, other in zip(whole, part, strict=True):
        np.testing.assert_array_equal(one["image"][1:], other["image"])
