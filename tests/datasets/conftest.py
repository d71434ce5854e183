"""Tiny folders in the layouts of the public datasets."""

import dataclasses
import pathlib

import cv2
import numpy as np
import pytest
import scipy.io


@dataclasses.dataclass(frozen=True)
class LspFolder:
    """A folder in the layout of LSP or LSP-extended, and what was put into it."""

    root: pathlib.Path
    masks: pathlib.Path
    joints: np.ndarray  # (N, 14, 3) x, y, flag


def _write_image(path: pathlib.Path, height: int, width: int) -> None:
    rng = np.random.default_rng(height * width)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), rng.integers(0, 255, (height, width, 3), dtype=np.uint8))


def _write_mask(path: pathlib.Path, height: int, width: int) -> None:
    """Three channels of which only the first says who is a person."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rgb = np.full((height, width, 3), 77, np.uint8)
    rgb[:, :, 0] = 0
    rgb[2:-2, 3:-3, 0] = 1
    assert cv2.imwrite(str(path), rgb[:, :, ::-1])


@pytest.fixture
def write_image():
    """Function of path, height and width."""
    return _write_image


@pytest.fixture
def write_mask():
    """Function of path, height and width: a UP segmentation with a margin of background."""
    return _write_mask


@pytest.fixture
def lsp_folder(tmp_path) -> LspFolder:
    """LSP with images 1 to 4 and 1001; the parent folders hold digits on purpose."""
    rng = np.random.default_rng(0)
    joints = np.concatenate([rng.uniform(5, 30, (2000, 14, 2)), rng.integers(0, 2, (2000, 14, 1))], axis=2)
    joints[:, 0, 2] = 0
    root, masks = tmp_path / "im0007_v12" / "lsp_dataset", tmp_path / "upi-s1h" / "data" / "lsp"
    for number in (1, 2, 3, 4, 1001):
        _write_image(root / "images" / f"im{number:04d}.jpg", 40 + number % 7, 36)
    _write_mask(masks / "im0001_segmentation.png", 41, 36)
    _write_mask(masks / "im0002_segmentation.png", 42, 36)
    scipy.io.savemat(root / "joints.mat", {"joints": joints.transpose(2, 1, 0)})
    return LspFolder(root, masks, joints)


@pytest.fixture
def lsp_extended_folder(tmp_path) -> LspFolder:
    """LSP-extended with images 3, 4 and 10000; unlabelled joints hold garbage as in the real one."""
    rng = np.random.default_rng(1)
    joints = np.concatenate([rng.uniform(5, 30, (10000, 14, 2)), rng.integers(0, 2, (10000, 14, 1))], axis=2)
    joints[:, 1, 2] = 1
    unlabelled = joints[:, :, 2] == 0
    joints[unlabelled, 0] = -45.3
    joints[unlabelled, 1] = 0
    joints[3, :, 2] = 0  # image 4 has no labels at all
    root, masks = tmp_path / "lspet_dataset", tmp_path / "upi-s1h" / "data" / "lsp_extended"
    for number in (3, 4, 10000):
        _write_image(root / "images" / f"im{number:05d}.jpg", 44, 36)
    _write_mask(masks / "im00003_segmentation.png", 44, 36)
    scipy.io.savemat(root / "joints.mat", {"joints": joints.transpose(1, 2, 0)})
    return LspFolder(root, masks, joints)
