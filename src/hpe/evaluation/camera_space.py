"""Places and depths become joints in space by the camera of a record, where it is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from hpe.geometry.camera_space import restore_camera_space
from hpe.geometry.cameras import PinholeCamera, normalized_to_pixels
from hpe.systems.prediction import Prediction


def seen_by_camera(prediction: Prediction, batch: Mapping[str, np.ndarray]) -> Prediction:
    """Returns a prediction whose 3D joints are those that the cameras of the batch see.

    Args:
        prediction: of crops; one without `bones` stays as it is.
        batch: fields by key; without `intrinsics`, or where their weight is 0, joints stay as they are.
    """
    if prediction.bones is None or prediction.joints3d is None or "intrinsics" not in batch:
        return prediction
    size = batch["image"].shape[1]
    pixels = normalized_to_pixels(prediction.joints2d.astype(np.float64), size)
    joints3d = np.array(prediction.joints3d)
    for row in np.flatnonzero(batch["intrinsics_weight"] > 0):
        matrix = batch["intrinsics"][row].astype(np.float64)
        camera = PinholeCamera(matrix[[0, 1], [0, 1]], matrix[:2, 2])
        restored = restore_camera_space(
            pixels[row],
            joints3d[row, :, 2],
            camera,
            bones=prediction.bones.bones,
            lengths=prediction.bones.metres,
        )
        root = np.abs(joints3d[row]).sum(axis=1).argmin()
        joints3d[row] = restored - restored[root]
    return dataclasses.replace(prediction, joints3d=joints3d)
