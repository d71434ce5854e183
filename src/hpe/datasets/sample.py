"""The one type that every dataset yields: a person in an image, with whatever is known of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from hpe.geometry.cameras import PinholeCamera


@dataclasses.dataclass(frozen=True)
class Sample:
    """A person in an image.

    Attributes:
        name: what identifies the sample in messages and pictures, such as `im0001.jpg`.
        image: the encoded image (JPEG or PNG bytes), never re-encoded without need.
        height, width: size of the decoded image in pixels.
        skeleton: name of the joint set of `joints2d`, see `hpe.skeletons`.
        joints2d: (J, 2) float32, x and y in pixels; pixel centres lie at integers. Unlabelled joints are 0.
        visibility: (J,) float32 in [0, 1], 0 where the joint is not labelled or not visible, else the confidence of
            whoever found it: 1 of a label.
        center: (2,) float32, centre of the person box in pixels.
        scale: side of the person box in pixels; None means that the person is already about 150 px tall,
            the convention of LSP and HMR, and the crop is taken at the image's own resolution.
        head_size: 0.6 of the diagonal of the head's box in pixels, the unit of PCKh, or None.
        mask: encoded PNG of the person mask (0 background, 255 person), or None.
        skeleton3d: name of the joint set of `joints3d`, or None.
        joints3d: (K, 3) float32, metres, camera frame (x right, y down, z forward), or None.
        confidence3d: (K,) float32 in [0, 1], or None.
        part_labels: encoded 8-bit PNG of the size of the image, see the field of this name, or None.
        depth: encoded 16-bit PNG of the size of the image, millimetres, 0 where unknown, or None.
        pose: (72,) float32 axis-angle body pose with the root rotation in the camera frame, or None.
        shape: (10,) float32 shape coefficients, or None.
        body_model: name of the body model that `pose` and `shape` belong to, or None.
        gender: `male`, `female` or `neutral`: of which of the model's bodies they are; empty where it is unknown.
        camera: (3,) float32 weak-perspective (s, tx, ty) of the whole image, which maps camera-frame
            metres to image coordinates in [-1, 1] by p = s (X_xy + t), x = 2 px / max(height, width) - 1,
            or None.
        pinhole: the camera of the image, or None.
        subject, action, sequence, camera_name: who, doing what, of which recording, seen by which camera; empty
            where unknown.
        frame: number of the image in its sequence from 0, or None.
        frames_per_second: of the sequence; 0 where unknown.
        extra: values of registered fields by their keys, see `hpe.fields.register`: arrays of the field's shape,
            text, maps as arrays (H, W) or encoded PNG, joints in the set of `joints2d` or `joints3d`; the weights
            of joints by the weight's key.
        notes: remarks on what the sample lacks though its dataset should have it, in a few words that group
            well, such as `mask of another size: left out`. They are counted and listed, not stored.
    """

    name: str
    image: bytes
    height: int
    width: int
    skeleton: str
    joints2d: np.ndarray
    visibility: np.ndarray
    center: np.ndarray
    scale: float | None = None
    head_size: float | None = None
    mask: bytes | None = None
    skeleton3d: str | None = None
    joints3d: np.ndarray | None = None
    confidence3d: np.ndarray | None = None
    part_labels: bytes | None = None
    depth: bytes | None = None
    pose: np.ndarray | None = None
    shape: np.ndarray | None = None
    body_model: str | None = None
    gender: str = ""
    camera: np.ndarray | None = None
    pinhole: PinholeCamera | None = None
    subject: str = ""
    action: str = ""
    sequence: str = ""
    camera_name: str = ""
    frame: int | None = None
    frames_per_second: float = 0.0
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Skipped:
    """A person that a dataset cannot turn into a Sample, yielded in its place so that it is counted.

    Attributes:
        name: the file or record it would have been.
        reason: why, in a few words that group well, such as `image does not decode`.
    """

    name: str
    reason: str
