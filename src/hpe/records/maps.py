"""Maps of numbers in PNG files, as records keep them: masks, labels of parts, depths."""

from __future__ import annotations

import cv2
import numpy as np

from hpe.fields import Codec, Field
from hpe.formats.images import decode_bilevel, encode_mask

# Decoded masks are cut here: those of the original code went through JPEG.
MASK_THRESHOLD = 128

_LARGEST = {np.uint8: 2**8 - 1, np.uint16: 2**16 - 1}


def encode_map(field: Field, values: np.ndarray) -> bytes:
    """Returns a map as PNG, of 8 bits where that is enough; equal maps give equal bytes.

    Args:
        field: whose map it is; its codec is a mask or a PNG.
        values: (H, W) or (H, W, channels) in the field's unit; of a mask everything but 0 is 1.

    Raises:
        ValueError: if the numbers do not fit: negative, not finite or too large for 16 bits.
    """
    values = np.asarray(values)
    if field.stored.codec is Codec.MASK:
        return encode_mask(np.where(values > 0, 255, 0).astype(np.uint8))
    stored = (
        np.rint(values / field.stored.scale)
        if values.dtype.kind == "f" or field.stored.scale != 1
        else values
    )
    if (
        not np.isfinite(stored).all()
        or stored.min(initial=0) < 0
        or stored.max(initial=0) > _LARGEST[np.uint16]
    ):
        raise ValueError(f"{field.key} must be of 0 to {_LARGEST[np.uint16] * field.stored.scale:g}.")
    kind = np.uint8 if field.dtype == "uint8" and stored.max(initial=0) <= _LARGEST[np.uint8] else np.uint16
    done, encoded = cv2.imencode(
        ".png", stored.astype(kind)[..., ::-1] if stored.ndim == 3 else stored.astype(kind)
    )
    if not done:
        raise ValueError(f"{field.key} could not be encoded as PNG. Received: shape={values.shape}")
    return encoded.tobytes()


def decode_map(field: Field, encoded: bytes) -> np.ndarray:
    """Returns a map of a record in the field's unit and type.

    Args:
        field: whose map it is.
        encoded: the bytes of the record.

    Returns:
        (H, W), or (H, W, channels) where the field has channels.

    Raises:
        ValueError: if it does not decode, or has other channels than the field.
    """
    if field.stored.codec is Codec.MASK and (bilevel := decode_bilevel(encoded)) is not None:
        return bilevel.astype(field.dtype, copy=False)
    channels = field.shape[2] if len(field.shape) == 3 else 1
    mode = cv2.IMREAD_GRAYSCALE if field.stored.codec is Codec.MASK else cv2.IMREAD_UNCHANGED
    try:
        stored = cv2.imdecode(np.frombuffer(encoded, np.uint8), mode)
    except cv2.error:
        stored = None
    if stored is None:
        raise ValueError(f"its {field.key} does not decode")
    if field.stored.codec is Codec.MASK:
        return (stored >= MASK_THRESHOLD).view(np.uint8).astype(field.dtype, copy=False)
    if (stored.shape[2] if stored.ndim == 3 else 1) != channels:
        raise ValueError(f"its {field.key} does not have {channels} channels")
    stored = stored[..., ::-1] if stored.ndim == 3 else stored
    return (stored * field.stored.scale if field.stored.scale != 1 else stored).astype(field.dtype)
