"""Turned crops: one map for pixels, masks, joints, camera and body; what is not turned is as before."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage
from scipy.spatial.transform import Rotation

from hpe import skeletons
from hpe.pipeline import augmentation, crops, rotation
from hpe.pipeline.augmentation import Jitter, Placement
from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.images import evaluation_batches, training_batches
from tests.pipeline.people import encode, make_sample, textured_image, write_shards

TURNING = PipelineConfig(img_size=224, shuffle_buffer=3, rotation_max=60)


def _take(dataset, count):
    return list(dataset.take(count).as_numpy_iterator())


def _placement(corner, extent, angle, mirror=False, reduction=1):
    return Placement(
        tf.constant(corner),
        tf.constant(extent),
        tf.constant(reduction),
        tf.constant(bool(mirror)),
        tf.constant(angle, tf.float32),
    )


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("records"), [4])


def test_angles_are_normal_with_a_cut_and_three_in_five_crops_turn():
    angle = np.degrees(augmentation.draw_jitter(TURNING, tf.constant([1, 2], tf.int64), 20000).angle)
    turned = angle[angle != 0]
    assert len(turned) / len(angle) == pytest.approx(0.6, abs=0.02)
    assert np.abs(angle).max() <= 60.001
    assert np.mean(np.abs(turned) < 30) == pytest.approx(0.683, abs=0.02)
    assert np.mean(turned > 0) == pytest.approx(0.5, abs=0.02)


def test_other_jitter_stays_when_crops_turn():
    key = tf.constant([1, 2], tf.int64)
    plain = augmentation.draw_jitter(PipelineConfig(), key, 50)
    more = augmentation.draw_jitter(dataclasses.replace(TURNING, half_body_probability=0.5), key, 50)
    assert plain.angle is None
    assert plain.half is None
    for one, other in zip(plain[:3], more[:3], strict=True):
        np.testing.assert_array_equal(one, other)


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


@pytest.mark.parametrize("root", [(0, 0, 0), (np.pi, 0, 0), (0, 0, 3.1), (1e-9, 0, 0), (0.3, -2.0, 0.7)])
@pytest.mark.parametrize("angle", [0.0, 0.4, -1.5, np.pi])
def test_turned_roots_are_those_of_scipy(root, angle):
    pose = np.concatenate([root, np.arange(69)]).astype(np.float32)
    turned = rotation.turn_pose(tf.constant(pose), tf.constant(angle, tf.float32)).numpy()
    expected = Rotation.from_rotvec([0, 0, angle]) * Rotation.from_rotvec(root)
    actual = Rotation.from_rotvec(turned[:3])
    np.testing.assert_allclose(actual.as_matrix(), expected.as_matrix(), atol=1e-5)
    np.testing.assert_array_equal(turned[3:], pose[3:])


def test_a_body_that_is_not_known_stays_zero(tmp_path):
    shard = write_shards(tmp_path, [1], samples=[make_sample(0, pose=None, shape=None, body_model=None)])
    for batch in _take(training_batches([shard], TURNING, batch_size=1, seed=0), 5):
        assert not batch["pose"].any()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize(
    ("corner", "extent", "reduction", "angle"),
    [
        ((10, 20), 60, 1, 0.5),
        ((-40, -13), 150, 1, -1.0),  # beyond the image on all sides
        ((70, 60), 90, 1, 2.0),
        ((0, 4), 96, 2, 0.3),
        ((8, 16), 96, 4, -0.7),
        ((300, 200), 50, 1, 0.4),  # all outside
        ((-300, -200), 48, 2, 0.4),
        ((10, 20), 60, 1, 0.0),
    ],
)
def test_pixels_lie_where_points_are_mapped_to(corner, extent, reduction, angle, mirror, suffix):
    """The crop has at every pixel what the image has at the point that is mapped there."""
    size = 48 if reduction > 1 else 64
    encoded = encode(textured_image(0, 120, 97), suffix)
    placement = _placement(corner, extent, angle, mirror, reduction)
    batch = Placement(*(values[None] for values in placement))
    image, silhouette, _ = (
        values[0]
        for values in crops.crop_people(
            tf.constant([encoded]), tf.constant([b""]), batch, size=size, names=tf.constant(["x"])
        )
    )
    assert not silhouette.numpy().any()
    source = tf.io.decode_image(encoded).numpy().astype(float)
    points = np.stack(np.meshgrid(np.arange(97.0), np.arange(120.0)), axis=-1).reshape(-1, 2)
    mapped = augmentation.points_to_crop(tf.constant(points, tf.float32), placement, size=size).numpy()
    inside = ((mapped > 1) & (mapped < size - 2)).all(axis=1)
    inside &= ((points > 2 * reduction) & (points < np.subtract((97, 120), 3 * reduction))).all(axis=1)
    seen = ndimage.map_coordinates(image.numpy()[..., 1].astype(float), mapped[inside][:, ::-1].T, order=1)
    there = source.reshape(-1, 3)[inside, 1]
    if max(corner) < 100 and min(corner) > -100:
        assert inside.sum() > 300
        assert np.abs(seen - there).mean() < (2.0 if reduction == 1 else 4.0)
    else:
        assert image.numpy().std(axis=(0, 1)).max() < 40  # its border, drawn out


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


def test_head_size_is_in_pixels_of_the_crop(tmp_path):
    shard = write_shards(tmp_path, [2], samples=[make_sample(0, head_size=20.0, scale=400.0), make_sample(1)])
    batch = _take(evaluation_batches([shard], PipelineConfig(img_size=250), batch_size=2), 1)[0]
    # The box of 400 takes 0.8 of 250 pixels.
    np.testing.assert_allclose(batch["head_size"], [10, 0], rtol=1e-3)


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


def test_a_window_that_is_not_turned_stays():
    placement = _placement((10, 20), 60, 0.0)
    window = augmentation.turned_window(placement)
    assert window.extent.numpy() == 60
    assert window.corner.numpy().tolist() == [10, 20]
    assert Jitter(tf.zeros([2, 2]), tf.ones([2]), tf.zeros([2], tf.bool)).rows(slice(1, 2)).angle is None
