"""Photographs with labelled 2D joints, as what MoveNet sees of them and what people said."""

from __future__ import annotations

import pathlib

import cv2
import numpy as np
import tensorflow as tf
import tqdm

from hpe.skeletons import COCO17, LSP14

# A person's box around the labelled joints, as a share of its longer side, and how it varies.
_GROWN, _VARIED = 1.35, (0.95, 1.15)
_FEWEST_JOINTS = 8
_BATCH = 8


def detect(samples, movenet, *, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Runs MoveNet on the boxes of labelled people.

    Args:
        samples: list of (picture's path, joints (14, 3) of lsp14 in pixels and 1 where labelled).
        movenet: a `MoveNet` with its weights.
        count: how many of the samples are taken, by chance.
        seed: of the choice and of the boxes.

    Returns:
        `detections` (N, 17, 3), x, y in pixels of the picture and score, and `joints` (N, 14, 3).
    """
    generator = np.random.default_rng(seed)
    chosen = [samples[index] for index in generator.permutation(len(samples))[:count]]
    chosen = [(path, joints) for path, joints in chosen if joints[:, 2].sum() >= _FEWEST_JOINTS]
    side = movenet.size.picture
    infer = tf.function(
        lambda crops: movenet(tf.cast(crops, tf.float32) / 127.5 - 1.0),
        input_signature=[tf.TensorSpec((None, side, side, 3), tf.uint8)],
    )
    detections = []
    for start in tqdm.trange(0, len(chosen), _BATCH, unit="batch", desc="MoveNet"):
        boxes, crops = [], []
        for path, joints in chosen[start : start + _BATCH]:
            seen = joints[joints[:, 2] > 0, :2]
            low, high = seen.min(axis=0), seen.max(axis=0)
            length = max(_GROWN * generator.uniform(*_VARIED) * (high - low).max(), 8.0)
            boxes.append((0.5 * (low + high), length / side))
            crops.append(_crop(path, *boxes[-1], side))
        for found, (middle, scale) in zip(infer(np.stack(crops)).numpy(), boxes, strict=True):
            found[:, :2] = (found[:, :2] - 0.5 * (side - 1)) * scale + middle
            detections.append(found)
    joints = np.array([joints for _, joints in chosen], np.float32)
    return {"detections": np.array(detections, np.float32), "joints": joints}


def _crop(path, middle, scale, side):
    picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    offset = 0.5 * (side - 1) - middle / scale
    matrix = np.array([[1.0 / scale, 0.0, offset[0]], [0.0, 1.0 / scale, offset[1]]])
    smoothed = cv2.INTER_AREA if scale > 1.5 else cv2.INTER_LINEAR
    return cv2.warpAffine(picture, matrix, (side, side), flags=smoothed)


def read_lsp(folder) -> list[tuple[pathlib.Path, np.ndarray]]:
    """Reads the training half of Leeds Sports Pose, or those pictures of LSP-extended that are there."""
    import scipy.io

    folder = pathlib.Path(folder)
    joints = scipy.io.loadmat(folder / "joints.mat")["joints"]
    is_extended = joints.shape[0] == len(LSP14)
    joints = joints.transpose(2, 0, 1) if is_extended else joints.transpose(2, 1, 0)
    samples = []
    # The second half of LSP is for validation.
    for index in range(len(joints) if is_extended else len(joints) // 2):
        path = folder / "images" / f"im{index + 1:0{5 if is_extended else 4}d}.jpg"
        if not path.is_file():
            continue
        labelled = joints[index].astype(np.float32)
        # Row three: LSP-extended says which joints are labelled, LSP which are hidden; there all are labelled.
        known = labelled[:, 2] > 0 if is_extended else np.ones(len(LSP14), bool)
        known &= np.isfinite(labelled).all(axis=1)
        samples.append((path, np.where(known[:, None], labelled, 0.0)))
        samples[-1][1][:, 2] = known
    return samples


def batch(data, *, seed: int, step: int, count: int) -> dict[str, np.ndarray]:
    """Draws people: turned, mirrored, with joints left out and moved a little.

    Args:
        data: what `detect` returned.
        seed, step: what the batch is a function of.
        count: B.

    Returns:
        `detections` (B, 17, 3) and `joints` (B, 14, 3).
    """
    generator = np.random.default_rng((seed, step, 2))
    chosen = generator.integers(len(data["detections"]), size=count)
    detections, joints = (data[name][chosen].astype(np.float64) for name in ("detections", "joints"))
    mirrored = generator.random(count) < 0.5
    for points, skeleton in ((detections, COCO17), (joints, LSP14)):
        points[mirrored] = points[mirrored][:, list(skeleton.flip)] * [-1.0, 1.0, 1.0]
    angle = generator.normal(size=count) * 0.3
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1)
    extent = np.ptp(detections[..., :2], axis=1).max(axis=-1)
    detections[..., :2] += generator.normal(size=detections[..., :2].shape) * (0.007 * extent)[:, None, None]
    for points in (detections, joints):
        points[..., :2] = points[..., :2] @ turn.transpose(0, 2, 1)
    incomplete = generator.random(count) < 0.4
    missing = incomplete[:, None] & (generator.random(detections.shape[:2]) < 0.08)
    missing[:, :5] |= (generator.random(count) < 0.15)[:, None]
    detections[..., 2] *= ~missing
    return {"detections": detections.astype(np.float32), "joints": joints.astype(np.float32)}
