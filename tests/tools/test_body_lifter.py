"""What the tool that trains the body lifter makes of labelled photographs."""

import io
import tarfile

import cv2
import numpy as np
import pytest
import scipy.io
import tensorflow as tf

from hpe.errors import UserError
from hpe.networks.movenet import MoveNet
from hpe.skeletons import COCO17, LSP14
from tests.conftest import PROJECT_ROOT


@pytest.fixture
def labelled(monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT_ROOT / "tools"))
    from body_lifter import labelled

    return labelled


def folder(path, joints, digits):
    (path / "images").mkdir()
    for index in range(4):
        picture = np.full((60, 80, 3), 40 * index, np.uint8)
        cv2.imwrite(str(path / "images" / f"im{index + 1:0{digits}d}.jpg"), picture)
    scipy.io.savemat(path / "joints.mat", {"joints": joints})
    return path


def test_of_lsp_the_training_half_is_read(tmp_path, labelled):
    joints = np.random.default_rng(0).uniform(0, 60, (3, 14, 4))
    joints[2] = 1  # hidden: labelled all the same
    samples = labelled.read_lsp(folder(tmp_path, joints, 4))
    assert [path.name for path, _ in samples] == ["im0001.jpg", "im0002.jpg"]
    np.testing.assert_allclose(samples[1][1][:, :2], joints[:2, :, 1].T, rtol=1e-6)
    assert (samples[1][1][:, 2] == 1).all()


def test_of_lsp_extended_what_is_there_and_labelled(tmp_path, labelled):
    joints = np.random.default_rng(0).uniform(0, 60, (14, 3, 6))
    joints[:, 2] = 1
    joints[3, :, 0] = (-1e5, 3, 0)
    samples = labelled.read_lsp(folder(tmp_path, joints, 5))
    assert len(samples) == 4
    np.testing.assert_array_equal(samples[0][1][3], 0)
    assert samples[0][1][:, 2].sum() == 13


def test_detections_are_in_pixels_of_the_picture(tmp_path, labelled):
    class Middle:
        """Says that all joints lie at pixel (23, 10) of the crop."""

        size = type("Size", (), {"picture": 48})

        def __call__(self, crops):
            return tf.ones((tf.shape(crops)[0], 17, 1)) * tf.constant([23.0, 10.0, 0.5])

    joints = np.zeros((14, 3), np.float32)
    joints[:, 0], joints[:, 1], joints[:, 2] = np.linspace(10, 70, 14), np.linspace(20, 40, 14), 1
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((60, 80, 3), np.uint8))
    found = labelled.detect([(tmp_path / "a.jpg", joints)], Middle(), count=1)
    np.testing.assert_array_equal(found["joints"], joints[None])
    # The box is 60 x 1.35 pixels, give or take, around (40, 30).
    scale = (30 - found["detections"][0, 0, 1]) / (23.5 - 10)
    assert 1.35 * 0.95 * 60 / 48 <= scale <= 1.35 * 1.15 * 60 / 48
    np.testing.assert_allclose(found["detections"][0, :, 0], 40 - 0.5 * scale, atol=1e-4)


def test_batches_turn_joints_and_detections_alike(labelled):
    generator = np.random.default_rng(0)
    joints = np.ones((2, 14, 3), np.float32)
    joints[..., :2] = generator.uniform(0, 100, (2, 14, 2))
    detections = np.full((2, 17, 3), 0.5, np.float32)
    for index, name in enumerate(COCO17.joints):
        if name in LSP14.joints:
            detections[:, index, :2] = joints[:, LSP14.index(name), :2]
        else:
            detections[:, index, :2] = joints[:, LSP14.index("neck"), :2]
    data = {"detections": detections, "joints": joints}
    batch = labelled.batch(data, seed=0, step=1, count=50)
    for index, name in enumerate(COCO17.joints):
        if name in LSP14.joints:
            apart = batch["detections"][:, index, :2] - batch["joints"][:, LSP14.index(name), :2]
            assert np.abs(apart).max() < 5  # 0.7 % of some 100 pixels, drawn a thousand times
    again = labelled.batch(data, seed=0, step=1, count=50)
    np.testing.assert_array_equal(batch["detections"], again["detections"])


def test_another_archive_is_refused(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT_ROOT / "tools"))
    from convert_movenet import load_published

    movenet = MoveNet("lightning", pretrained=False)
    with pytest.raises(UserError, match=r"none\.tgz: is not the archive"):
        load_published(movenet, str(tmp_path / "none.tgz"))
    with tarfile.open(tmp_path / "other.tgz", "w:gz") as archive:
        entry = tarfile.TarInfo("package/models/movenet-lightning.json")
        entry.size = 2
        archive.addfile(entry, io.BytesIO(b"{}"))
    with pytest.raises(UserError, match=r"movenet-lightning\.json is not that of"):
        load_published(movenet, str(tmp_path / "other.tgz"))
