"""What record files hold, drawn; for the program show_records."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from hpe import skeletons
from hpe.errors import UserError
from hpe.programs.person_pictures import PersonRecord, draw_person
from hpe.records import framing
from hpe.records.manifest import SUFFIX
from hpe.records.mocap import PREFIX, find_frames
from hpe.records.pictures import read_people
from hpe.records.poses import decode_sequence, is_pose_dataset
from hpe.records.reading import PEOPLE_KEYS, check_files, find_shards, require_keys
from hpe.visualization.skeletons import draw_skeleton, draw_skeleton3d

if TYPE_CHECKING:
    from hpe.programs.show_records import ShowConfig


def show(name: str, config: ShowConfig) -> list[tuple[np.ndarray, str]]:
    """Returns pictures (H, W, 3) uint8 RGB of records of one dataset, each with a caption.

    The caption says name, visible joints, and what else a record has; of pose sequences the frame that is drawn,
    their number of frames and the origins of their 2D joints.

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
    people = map(PersonRecord, _spread(files, count, config.count, read_people))
    return [(draw_person(one, size=config.cell, names=config.names), one.caption()) for one in people]


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
