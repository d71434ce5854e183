"""Pictures of Human3.6M: HEMlets' crops and frames of videos, and one line for each thing that is wrong."""

import json

import cv2
import h5py
import numpy as np
import pytest

from hpe import datasets
from hpe.datasets.human36m.cameras import Camera, read_h5
from hpe.datasets.human36m.dataset import find_recordings
from hpe.datasets.human36m.hemlets_h5 import hemlets_h5
from hpe.datasets.human36m.names import CAMERAS, RAW_JOINTS, Trial
from hpe.datasets.human36m.videos import check_camera, h36m_videos, load_frame
from hpe.datasets.sample import Sample, Skipped
from hpe.errors import UserError
from tests import h36m_folders as folders

FRAMES = 5
FOCAL, CENTER = np.array([1145.0, 1144.0]), np.array([512.5, 515.5])


def crops(frames=FRAMES):
    """Arrays of a file of HEMlets: people of a metre and a half, 5 m before the camera."""
    rng = np.random.default_rng(0)
    joints3d = rng.uniform(-700, 700, (frames, 32, 3))
    joints3d += rng.uniform(-300, 300, (frames, 1, 3)) + np.array([0, 0, 5000.0])
    joints18 = joints3d[:, RAW_JOINTS]
    joints18 = np.concatenate([joints18, (joints18[:, 11:12] + joints18[:, 14:15]) / 2], axis=1)
    full = FOCAL * joints18[..., :2] / joints18[..., 2:] + CENTER
    low, high = full.min(axis=1), full.max(axis=1)
    scale = 256 * 0.8 / (high - low).max(axis=1)
    corner = (low + high) / 2 - 128 / scale[:, None]
    pixels = (full - corner[:, None]) * scale[:, None, None]
    depth = (joints18[..., 2:] - joints18[:, :1, 2:]) / 2000 * 255 + 127.5
    images = np.zeros((frames, 256, 256, 3), np.uint8)
    for image, points in zip(images, pixels, strict=True):
        cv2.circle(image, tuple(int(x) for x in np.rint(points[16])), 4, (250, 10, 10), -1)
    return {
        "images": images,
        "joints": np.concatenate([pixels, depth], axis=2).astype(np.float32),
        "joints3d_cam": joints3d.astype(np.float32),
        "trans": np.concatenate([corner, scale[:, None]], axis=1).astype(np.float32),
        "camid": np.tile([11.0, 4.0, 1.0], (frames, 1)),
    }


def write(path, **changes):
    with h5py.File(path, "w") as file:
        for name, values in (crops() | changes).items():
            if values is not None:
                file[name] = values
    return path


def test_crops_of_hemlets_are_samples(tmp_path):
    path = write(tmp_path / "S_11_C_4_1.h5")
    write(tmp_path / "S_1_C_2_7.h5")
    (tmp_path / "S11.json").write_text(json.dumps({"WalkingDog 1.60457274": "S_11_C_4_1"}))
    train, val = datasets.get("h36m_pictures").sources(
        datasets.get("h36m_pictures").config(hemlets_h5=str(tmp_path)), datasets.WriteConfig()
    )
    assert (train.name, len(train.items), val.name) == ("hemlets_train", FRAMES, "hemlets_val")
    assert (train.items[0].subject, val.provenance.source) == ("S1", "Human3.6M")
    sample = val.load(val.items[3])
    expected = crops()
    assert (sample.action, sample.camera_name, sample.frame) == ("WalkDog", "60457274", 3)
    np.testing.assert_allclose(sample.joints2d, expected["joints"][3, :, :2], atol=1e-3)
    np.testing.assert_allclose(
        sample.joints3d[:17] * 1000, expected["joints3d_cam"][3, list(RAW_JOINTS)], atol=0.01
    )
    # The camera was fitted to the labels: it sees them where they are, and it is the one that took them.
    np.testing.assert_allclose(sample.pinhole.project(sample.joints3d), sample.joints2d, atol=0.05)
    np.testing.assert_allclose(sample.pinhole.focal / expected["trans"][3, 2], FOCAL, rtol=1e-3)
    # Blue first in the file; the circle lies on the right wrist.
    picture = cv2.imdecode(np.frombuffer(sample.image, np.uint8), cv2.IMREAD_COLOR)
    x, y = np.rint(sample.joints2d[16]).astype(int)
    assert picture[y, x, 0] > 150 > picture[y, x, 2]
    (alone,) = hemlets_h5(path)
    assert len(alone.items) == FRAMES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trans": None}, "has no trans"),
        ({"joints": np.zeros((FRAMES, 16, 3), "f4")}, "joints must be 5x18x3. Received: 5x16x3"),
        ({"joints3d_cam": np.zeros((FRAMES, 17, 3), "f4")}, "joints3d_cam must be 5x32x3"),
        ({"joints3d_cam": crops()["joints3d_cam"] / 1000}, "seem to be in metres"),
        ({"joints3d_cam": crops()["joints3d_cam"][::-1]}, "px off|no camera sees"),
        ({"joints": crops()["joints"] * np.float32([1, 1, 0.5])}, "depths of joints are"),
        ({"images": np.zeros((FRAMES, 128, 128, 3), "u1")}, "images must be 5x256x256x3"),
    ],
)
def test_bad_crops_are_refused_in_one_line(tmp_path, changes, message):
    with pytest.raises(UserError, match=message) as caught:
        hemlets_h5(write(tmp_path / "S_11_C_4_1.h5", **changes))
    assert "\n" not in str(caught.value)


def test_files_of_other_names_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"S_<subject>_C_<camera>_<video>"):
        hemlets_h5(write(tmp_path / "test4.h5"))
    with pytest.raises(UserError, match="holds no file"):
        hemlets_h5(tmp_path)


def write_video(path, frames=folders.FRAMES, rate=50.0, joints=None, size=(1000, 1002)):
    """Frame n is n grey levels bright; on its joints there are dots."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate, size)
    assert writer.isOpened()
    for number in range(frames):
        picture = np.full((size[1], size[0], 3), min(20 * number, 255), np.uint8)
        for point in () if joints is None else joints[number]:
            cv2.circle(picture, tuple(int(x) for x in np.rint(point)), 5, (255, 255, 255), -1)
        writer.write(picture)
    writer.release()
    return path


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return find_recordings(folders.write_npz(tmp_path_factory.mktemp("positions")))


@pytest.fixture
def folder(tmp_path):
    folders.write_cameras_h5(tmp_path)
    return tmp_path


def test_frames_of_videos_are_samples(folder, recordings):
    camera = read_h5(folder / "cameras.h5")["S9", "54138969"]
    joints3d = folders.expected_joints3d("S9", "Photo 1", "54138969")
    pixels = camera.project(joints3d)
    write_video(folder / "S9" / "Videos" / "TakingPhoto 1.54138969.avi", joints=pixels)
    write_video(folder / "S9" / "Videos" / "Greeting 1.54138969.avi")
    (source,) = h36m_videos(folder, recordings, every=2)
    assert source.name == "h36m_frames_val"
    skipped = [item for item in source.items if isinstance(item, Skipped)]
    assert [item.reason for item in skipped] == ["video has no 3D positions"]
    samples = [source.load(item) for item in source.items if not isinstance(item, Skipped)]
    assert [sample.frame for sample in samples] == [0, 2, 4]
    for sample in samples:
        assert isinstance(sample, Sample)
        assert (sample.subject, sample.action, sample.frames_per_second) == ("S9", "Photo", 50)
        picture = cv2.imdecode(np.frombuffer(sample.image, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape[:2] == (sample.height, sample.width)
        for x, y in np.rint(sample.joints2d).astype(int):
            if 0 <= y < sample.height and 0 <= x < sample.width:
                assert picture[y, x].min() > 200
        np.testing.assert_allclose(sample.pinhole.project(sample.joints3d), sample.joints2d, atol=0.05)
        np.testing.assert_allclose(sample.joints3d, joints3d[sample.frame], atol=1e-5)
        # What is between the dots tells which frame it is.
        assert abs(float(np.median(picture)) - 20 * sample.frame) < 4
    # Frames that are asked for out of order are the same.
    again = load_frame(next(item for item in source.items if not isinstance(item, Skipped)))
    assert again.image == samples[0].image


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("S9/Photo 1.54138969.avi", {"rate": 25.0}, "25 frames per second, not the 50"),
        ("S9/Photo 1.54138969.avi", {"frames": 60, "size": (64, 64)}, "has 60 frames, but .* of 6"),
        ("S9/Phoning 2.54138969.avi", {"size": (64, 64)}, "none of its 1 videos .*no 3D positions"),
        ("Photo 1.54138969.avi", {"size": (64, 64)}, "no folder of a subject"),
        ("S9/Dancing 1.54138969.avi", {"size": (64, 64)}, "no action of Human3.6M"),
        ("S9/Photo 1.12345678.avi", {"size": (64, 64)}, "no camera 12345678"),
    ],
)
def test_bad_videos_are_refused_in_one_line(folder, recordings, name, options, message):
    write_video(folder / name, **options)
    with pytest.raises(UserError, match=message) as caught:
        h36m_videos(folder, recordings)
    assert "\n" not in str(caught.value)


def test_a_folder_without_videos_is_refused(folder, recordings):
    with pytest.raises(UserError, match="holds no videos"):
        h36m_videos(folder, recordings)


def test_exchanged_cameras_are_named():
    cameras = {name: folders_camera("S9", name) for name in CAMERAS}
    world = folders.raw_positions("S9", "Photo 1")[:, list(RAW_JOINTS)].astype(np.float64) / 1000
    first, second = list(CAMERAS)[:2]
    pixels = cameras[first].project(cameras[first].to_camera(world))
    check_camera("a.mp4", world, pixels, first, cameras)
    with pytest.raises(UserError, match=rf"px off .* camera {second}; 0 px of camera {first}.*exchanged"):
        check_camera("a.mp4", world, pixels, second, cameras)
    assert str(Trial("S9", "Photo", "1")) == "S9/Photo 1"


def folders_camera(subject, name):
    taken = folders.camera(subject, name)
    return Camera(taken.rotation, taken.centre / 1000, taken.f, taken.c, taken.k, taken.p)
