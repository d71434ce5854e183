"""Tiny folders in the layouts of the public datasets."""

from __future__ import annotations

import dataclasses
import pathlib

import cv2
import numpy as np
import scipy.io


@dataclasses.dataclass(frozen=True)
class LspFolder:
    """A folder in the layout of LSP or LSP-extended, and what was put into it."""

    root: pathlib.Path
    masks: pathlib.Path
    joints: np.ndarray  # (N, 14, 3) x, y, flag


def write_image(path: pathlib.Path, height: int, width: int) -> None:
    rng = np.random.default_rng(height * width)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), rng.integers(0, 255, (height, width, 3), dtype=np.uint8))


def write_mask(path: pathlib.Path, height: int, width: int) -> None:
    """Three channels of which only the first says who is a person."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rgb = np.full((height, width, 3), 77, np.uint8)
    rgb[:, :, 0] = 0
    rgb[2:-2, 3:-3, 0] = 1
    assert cv2.imwrite(str(path), rgb[:, :, ::-1])


def write_lsp(tmp_path: pathlib.Path) -> LspFolder:
    """Writes LSP with images 1 to 4 and 1001; the parent folders hold digits on purpose."""
    rng = np.random.default_rng(0)
    joints = np.concatenate([rng.uniform(5, 30, (2000, 14, 2)), rng.integers(0, 2, (2000, 14, 1))], axis=2)
    joints[:, 0, 2] = 0
    root, masks = tmp_path / "im0007_v12" / "lsp_dataset", tmp_path / "upi-s1h" / "data" / "lsp"
    for number in (1, 2, 3, 4, 1001):
        write_image(root / "images" / f"im{number:04d}.jpg", 40 + number % 7, 36)
    write_mask(masks / "im0001_segmentation.png", 41, 36)
    write_mask(masks / "im0002_segmentation.png", 42, 36)
    scipy.io.savemat(root / "joints.mat", {"joints": joints.transpose(2, 1, 0)})
    return LspFolder(root, masks, joints)


def write_lsp_extended(tmp_path: pathlib.Path) -> LspFolder:
    """Writes LSP-extended with images 3, 4 and 10000; unlabelled joints hold garbage as in the real one."""
    rng = np.random.default_rng(1)
    joints = np.concatenate([rng.uniform(5, 30, (10000, 14, 2)), rng.integers(0, 2, (10000, 14, 1))], axis=2)
    joints[:, 1, 2] = 1
    unlabelled = joints[:, :, 2] == 0
    joints[unlabelled, 0] = -45.3
    joints[unlabelled, 1] = 0
    joints[3, :, 2] = 0  # image 4 has no labels at all
    root, masks = tmp_path / "lspet_dataset", tmp_path / "upi-s1h" / "data" / "lsp_extended"
    for number in (3, 4, 10000):
        write_image(root / "images" / f"im{number:05d}.jpg", 44, 36)
    write_mask(masks / "im00003_segmentation.png", 44, 36)
    scipy.io.savemat(root / "joints.mat", {"joints": joints.transpose(1, 2, 0)})
    return LspFolder(root, masks, joints)
