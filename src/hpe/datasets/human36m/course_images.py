"""The crops of `h36m_course`: one image file, with labels of its 2D and 3D joints or without."""

from __future__ import annotations

import dataclasses

import numpy as np

from hpe.datasets.sample import Sample, Skipped
from hpe.formats import images as image_files
from hpe.geometry.crops import BOX_SHARE

SKELETON = "h36m17"
CROP_SIZE = 256
_JOINTS = 17


@dataclasses.dataclass(frozen=True)
class LabelledCrop:
    """What the lists and labels say of an image.

    Attributes:
        name: base name of the image.
        path: path of the image.
        joints2d: (17, 2) pixels of the crop, or None where it has no labels.
        joints3d: (17, 3) metres, camera frame, or None.
    """

    name: str
    path: str
    joints2d: np.ndarray | None = None
    joints3d: np.ndarray | None = None


def load_crop(crop: LabelledCrop) -> Sample | Skipped:
    """Reads an image; the person's box is the whole of it.

    Returns:
        The Sample, without labels all joints invisible; or why there is none.
    """
    labels = [joints for joints in (crop.joints2d, crop.joints3d) if joints is not None]
    if not all(np.isfinite(joints).all() for joints in labels):
        return Skipped(crop.name, "labels are not finite")
    try:
        image = image_files.read_image(crop.path)
    except image_files.BadImage as error:
        return Skipped(crop.name, str(error))
    height, width = image.height, image.width
    if labels and (height, width) != (CROP_SIZE, CROP_SIZE):
        return Skipped(crop.name, f"image is not {CROP_SIZE}x{CROP_SIZE}, which its labels refer to")
    known = crop.joints2d is not None
    return Sample(
        name=crop.name,
        image=image.content,
        height=height,
        width=width,
        skeleton=SKELETON,
        joints2d=crop.joints2d.astype(np.float32) if known else np.zeros((_JOINTS, 2), np.float32),
        visibility=np.full(_JOINTS, float(known), np.float32),
        center=np.array([(width - 1) / 2, (height - 1) / 2], np.float32),
        # The crop is taken as it is: its middle part, which a box fills, is the box.
        scale=BOX_SHARE * max(height, width),
        skeleton3d=None if crop.joints3d is None else SKELETON,
        joints3d=None if crop.joints3d is None else crop.joints3d.astype(np.float32),
        confidence3d=None if crop.joints3d is None else np.ones(_JOINTS, np.float32),
    )
