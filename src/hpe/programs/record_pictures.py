"""What record files hold, drawn; for the program show_records."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

import cv2
import numpy as np
import tensorflow as tf

from hpe import skeletons
from hpe.errors import UserError
from hpe.records import framing
from hpe.records.manifest import SUFFIX
from hpe.records.mocap import PREFIX, find_frames
from hpe.records.pictures import read_people
from hpe.records.poses import decode_sequence, is_pose_dataset
from hpe.records.reading import PEOPLE_KEYS, check_files, find_shards, require_keys
from hpe.records.schema import BODY_JOINTS, parse_example
from hpe.visualization.skeletons import draw_skeleton, draw_skeleton3d

if TYPE_CHECKING:
    from hpe.programs.show_records import ShowConfig

# Decoded masks are cut here: those of the original code went through JPEG.
_MASK_THRESHOLD = 128
_TINT = np.array([255, 40, 160], np.float32)
_TINT_STRENGTH = 0.35


def show(name: str, config: ShowConfig) -> list[tuple[np.ndarray, str]]:
    """Returns pictures (H, W, 3) uint8 RGB of records of one dataset, each with a caption.

    The caption says name, visible joints of body and face, and whether there is a mask; of pose sequences the frame
    that is drawn, their number of frames and the origins of their 2D joints.

    Args:
        name: a dataset of people or poses, a record file, a manifest, a folder, or a set of mocap.
        config: how many and how large.

    Raises:
        UserError: if there is no such dataset, or its files are damaged.
    """
    files, count, is_mocap = _find(name, config.data_dir)
    if is_mocap:
        return _draw_frames(_spread(files, count, config.count), config)
    if is_pose_dataset(files[0]):
        return [_draw_sequence(record, config) for record in _spread(files, count, config.count)]
    return [_draw_person(record, config) for record in _spread(files, count, config.count, read_people)]


def draw_person(record: dict[str, np.ndarray], *, size: int, names: bool) -> np.ndarray:
    """Draws a person: image with tinted mask and joints, and the 3D skeleton beside it where there is one.

    Occluded joints are rings.

    Args:
        record: what `parse_example` returns, as NumPy values.
        size: the longer side of the image is scaled to this many pixels.
        names: writes the names of the joints.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        UserError: if image or mask do not decode.
    """
    image = _decode(record, "image", cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)[:, :, ::-1]
    factor = size / max(image.shape[:2])
    width, height = (max(1, round(side * factor)) for side in (image.shape[1], image.shape[0]))
    # OpenCV maps pixel centres by p' = (p + 1/2) f - 1/2.
    factors = np.array([width / image.shape[1], height / image.shape[0]])
    unlabelled = ~record["joints2d"].any(axis=1)
    joints = np.where(unlabelled[:, None], 0, (record["joints2d"] + 0.5) * factors - 0.5)
    picture = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    if record["mask"]:
        mask = _decode(record, "mask", cv2.IMREAD_GRAYSCALE)
        picture = _tint(picture, cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST))
    picture = draw_skeleton(
        picture, joints, skeletons.COCOPLUS19, visibility=record["visibility"], names=names, hidden=True
    )
    if not record["confidence3d"].any():
        return picture
    panel = draw_skeleton3d(
        record["joints3d"], skeletons.COCOPLUS19, picture.shape[0], visibility=record["confidence3d"]
    )
    return np.concatenate([picture, panel], axis=1)


def _draw_person(serialized: bytes, config: ShowConfig) -> tuple[np.ndarray, str]:
    record = {key: value.numpy() for key, value in parse_example(serialized).items()}
    visible = record["visibility"] > 0
    facts = [
        record["name"].decode(errors="replace"),
        f"{visible[:BODY_JOINTS].sum()}+{visible[BODY_JOINTS:].sum()}",
    ]
    facts += ["mask"] if record["mask"] else []
    return draw_person(record, size=config.cell, names=config.names), " ".join(facts)


def _draw_frames(records: list[bytes], config: ShowConfig) -> list[tuple[np.ndarray, str]]:
    """Draws mocap frames without their root rotation, because recordings differ in which axis is up."""
    # The body model brings Keras with it, which pictures of people do without.
    from hpe.body.body_model import BodyModel
    from hpe.body.data import load_body_model
    from hpe.geometry.rotations import axis_angle_to_rotmat

    features = {
        "pose": tf.io.FixedLenFeature((72,), tf.float32),
        "shape": tf.io.FixedLenFeature((10,), tf.float32),
    }
    parsed = tf.io.parse_example(records, features)
    pose = parsed["pose"].numpy().reshape(-1, 24, 3)
    pose[:, 0] = (np.pi, 0, 0)
    body = BodyModel(load_body_model(config.body_model))
    posed = body(axis_angle_to_rotmat(pose), parsed["shape"], vertices=False)
    joints = np.asarray(posed["joints"])
    return [
        (draw_skeleton3d(joints[n], skeletons.SMPL24, config.cell), f"frame, shape[0]={shape[0]:.2f}")
        for n, shape in enumerate(parsed["shape"].numpy())
    ]


def _draw_sequence(serialized: bytes, config: ShowConfig) -> tuple[np.ndarray, str]:
    """Draws the middle frame of a sequence: 2D joints of every origin on one canvas, and the 3D skeleton."""
    try:
        sequence = decode_sequence(serialized)
    except ValueError as error:
        raise UserError(f"a record {error}; make its dataset again with create_datasets.") from error
    middle = len(sequence) // 2
    panels = []
    points = {name: keypoints.joints[middle] for name, keypoints in sequence.keypoints.items()}
    if points:
        everything = np.concatenate(list(points.values()))
        low, high = everything.min(axis=0), everything.max(axis=0)
        factor = 0.9 * config.cell / max(*(high - low), 1.0)
        canvas = np.full((config.cell, config.cell, 3), 255, np.uint8)
        for name, joints in points.items():
            placed = (joints - (low + high) / 2) * factor + config.cell / 2
            skeleton = skeletons.get(sequence.keypoints[name].skeleton)
            canvas = draw_skeleton(canvas, placed, skeleton, names=False)
        panels.append(canvas)
    if sequence.joints3d is not None:
        panels.append(draw_skeleton3d(sequence.joints3d[middle], skeletons.H36M17, config.cell))
    caption = " ".join([sequence.name, f"{middle + 1}/{len(sequence)}", *points])
    return np.concatenate(panels, axis=1), caption


def _find(name: str, data_dir: str) -> tuple[tuple[str, ...], int, bool]:
    """Returns files, number of records, and whether they are mocap."""
    path = pathlib.Path(name)
    if path.name.startswith(PREFIX):
        if path.suffix == ".tfrecord" and path.is_file():
            return (name,), check_files([path]), True
        name = path.name.removesuffix(SUFFIX).removeprefix(PREFIX)
        (found,) = find_frames(data_dir, [name])
        return found.files, found.count, True
    # Of people or of poses: the first record will tell.
    (found,) = find_shards(data_dir, [name], keys=())
    if not is_pose_dataset(found.files[0]):
        require_keys(found.files[0], PEOPLE_KEYS, "people")
    return found.files, found.count, False


def _spread(files: tuple[str, ...], count: int, wanted: int, read=framing.read_records) -> list[bytes]:
    """Returns `wanted` records of `count`, spread evenly over all files."""
    chosen = np.unique(np.linspace(0, count - 1, min(wanted, count)).round().astype(int))
    records, first = [], 0
    for file in files:
        here = framing.scan(file).records
        inside = chosen[(chosen >= first) & (chosen < first + here)] - first
        records += read(file, inside.tolist())
        first += here
    return records


def _decode(record: dict[str, np.ndarray], key: str, mode: int) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(record[key], np.uint8), mode)
    if pixels is None:
        raise UserError(f"record {record['name'].decode(errors='replace')}: its {key} does not decode.")
    return pixels


def _tint(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    strength = np.where(mask >= _MASK_THRESHOLD, _TINT_STRENGTH, 0)[:, :, None]
    return (image * (1 - strength) + _TINT * strength).round().astype(np.uint8)
