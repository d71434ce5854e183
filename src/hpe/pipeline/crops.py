"""The people of a batch of encoded images become crops, and everything that is known of them moves along.

Everything from the bytes to the crop happens in one call of Python per batch, whose time is spent in OpenCV
without holding Python's lock: half the time of TensorFlow's operations, whose branches and splits cost as much
per image as resampling does. Its threads are Python's: where kernels have to be deterministic, tf.data makes one
call of Python at a time, whatever it is told. Of an image no more is decoded than its crop shows, and that
reduced where it can be.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import os
from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np
import tensorflow as tf

from hpe.fields import Field, Kind, Needs
from hpe.geometry import crops
from hpe.pipeline import decoding, half_body, looks, moving, occluders
from hpe.pipeline.augmentation import Jitter
from hpe.pipeline.moving import Placement
from hpe.pipeline.python_calls import ends_with_python
from hpe.records.maps import decode_map

_POINTS = (Kind.POINTS2D, Kind.POINTS3D)
# What of a jitter changes how a crop looks.
_LOOKS = ("colors", "blur", "occluder")


def crop_people(
    parsed: Mapping[str, tf.Tensor],
    jitter: Jitter,
    fields: Sequence[Field],
    *,
    needs: Needs,
    size: int,
    box_share: float,
    objects: str = occluders.PAINTED,
    threads: int = 1,
) -> dict[str, tf.Tensor]:
    """Makes the crops of B people and moves their fields into them.

    Grey, CMYK and transparent images become RGB; outside an image its border is repeated, outside a map there is
    background.

    Args:
        parsed: of `hpe.records.schema.parse_examples`, with `center`, `scale` and `name`.
        jitter: what is added at random, (B,).
        fields: those that are wanted; `image` is always made.
        needs: joint sets.
        size: side of the crops in pixels.
        box_share: share of the crop's side that a person's box takes.
        objects: what stands in front, see `hpe.pipeline.occluders`.
        threads: number of threads that share the work; what comes out does not depend on it.

    Returns:
        The fields and their weights, with `image_to_crop` and `image_size`.

    Raises:
        tf.errors.InvalidArgumentError: if bytes do not decode or a map has another size than its image.
    """
    fields = [field for field in fields if field.stored and field.key != "image"]
    moved = [field for field in fields if field.kind is not Kind.CONSTANT]
    inputs = {"center": parsed["center"], "scale": parsed["scale"], "name": parsed["name"]}
    inputs |= {f"jitter/{name}": values for name, values in jitter._asdict().items() if values is not None}
    inputs["image"] = parsed["image"]
    outputs = {
        "image": ((size, size, 3), "uint8"),
        "image_to_crop": ((2, 3), "float32"),
        "image_size": ((2,), "int32"),
    }
    for field in moved:
        inputs[field.key] = parsed[field.key]
        sides = {"size": size, "skeleton2d": needs.skeleton2d, "skeleton3d": needs.skeleton3d}
        outputs[field.key] = field.sides(**sides), field.dtype
        if field.weight and field.kind not in (Kind.IMAGE, Kind.MAP):
            inputs[field.weight] = parsed[field.weight]
            outputs[field.weight] = tuple(parsed[field.weight].shape[1:]), "float32"
    if jitter.half is not None:
        # Halves are told by the joints, whether anyone else wants them or not.
        inputs |= {f"half/{key}": parsed[key] for key in ("joints2d", "joints2d_weight")}

    @ends_with_python
    def make(*values: np.ndarray) -> list[np.ndarray]:
        given = dict(zip(inputs, values, strict=True))
        options = {"needs": needs, "size": size, "box_share": box_share}
        made = _make(given, moved, objects=objects, threads=threads, **options)
        return [np.ascontiguousarray(made[key], dtype=kind) for key, (_, kind) in outputs.items()]

    results = tf.numpy_function(
        make, list(inputs.values()), [kind for _, kind in outputs.values()], stateful=False
    )
    batch = parsed["image"].shape
    made = {
        key: tf.ensure_shape(values, [*batch, *shape])
        for (key, (shape, _)), values in zip(outputs.items(), results, strict=True)
    }
    for field in fields:
        if field.kind is Kind.CONSTANT:
            made[field.key] = parsed[field.key]
        if field.weight and field.weight not in made:
            made[field.weight] = parsed[field.weight]
    return made


def _make(
    given: dict[str, np.ndarray],
    fields: Sequence[Field],
    *,
    needs: Needs,
    size: int,
    box_share: float,
    objects: str,
    threads: int,
) -> dict[str, np.ndarray]:
    """Does the work of `crop_people`."""
    placement = _placed(given, needs=needs, size=size, box_share=box_share)
    pictures = [field for field in fields if field.kind in (Kind.IMAGE, Kind.MAP)]
    batch = len(given["image"])
    shapes = np.empty((batch, 2), np.int32)
    made = {"image": np.empty((batch, size, size, 3), np.uint8)}
    for field in pictures:
        channels = field.shape[2:]
        made[field.key] = np.full((batch, size, size, *channels), field.background, field.dtype)

    largest = decoding.REDUCTIONS[-1]
    reductions = [crops.reduction_of(scale, largest) for scale in placement.scale.tolist()]
    windows = crops.bounds(placement.matrix, size, reductions).tolist()
    if pictures:
        unreduced = crops.bounds(placement.matrix, size).tolist()

    changes = {name: given[f"jitter/{name}"] for name in _LOOKS if f"jitter/{name}" in given}

    def crop(rows: range) -> None:
        for row in rows:
            with _named(given["name"][row]):
                matrix = placement.matrix[row]
                shape = _crop_image(
                    given["image"][row], matrix, windows[row], reductions[row], made["image"][row]
                )
                shapes[row] = shape
                looks.change(
                    made["image"][row],
                    **{name: values[row] for name, values in changes.items()},
                    objects=objects,
                )
                for field in pictures:
                    if encoded := given[field.key][row]:
                        flip = field.flip if placement.mirror[row] else ()
                        crop_map(field, encoded, matrix, unreduced[row], shape, flip, made[field.key][row])

    _share_out(crop, batch, threads)
    made |= {"image_to_crop": placement.matrix, "image_size": shapes}
    for field in fields:
        if field not in pictures:
            weight = given.get(field.weight) if field.weight else None
            values, weight = moving.move(
                field, given[field.key], weight, placement, image_size=shapes, needs=needs
            )
            made[field.key] = values
            if weight is not None:
                made[field.weight] = weight
    return made


def _placed(given: dict[str, np.ndarray], *, needs: Needs, size: int, box_share: float) -> Placement:
    center, side = given["center"], given["scale"]
    if "jitter/half" in given:
        center, side = half_body.halved_box(
            center,
            side,
            given["half/joints2d"],
            given["half/joints2d_weight"],
            half=given["jitter/half"],
            upper=given["jitter/upper"],
            skeleton=needs.skeleton2d,
            box_share=box_share,
        )
    jitter = {name: given.get(f"jitter/{name}") for name in ("shift", "zoom", "mirror", "angle")}
    return moving.place(center, side, size=size, box_share=box_share, **jitter)


@contextlib.contextmanager
def _named(name: bytes) -> Iterator[None]:
    """Says in errors of OpenCV and of decoding whose image it is; they lack a subject."""
    subject = f"({name.decode(errors='replace')}):"
    try:
        yield
    except cv2.error as error:
        raise ValueError(f"{subject} its image cannot be cropped: {error}".replace("\n", " ")) from None
    except ValueError as error:
        raise ValueError(f"{subject} {error}") from None


def _crop_image(
    encoded: bytes, matrix: np.ndarray, window: list[int], reduction: int, out: np.ndarray
) -> tuple[int, int]:
    """Fills in the crop (S, S, 3) of an image and returns height and width of the image."""
    try:
        pixels, first, shape = decoding.decode_window(encoded, window, reduction)
    except ValueError as error:
        raise ValueError(f"its image {error}") from None
    crops.warp(pixels, matrix, len(out), first=first, reduction=reduction, out=out)
    return shape


def crop_map(
    field: Field,
    encoded: bytes,
    matrix: np.ndarray,
    window: list[int],
    shape: tuple[int, int],
    flip: tuple[int, ...],
    out: np.ndarray,
) -> None:
    """Fills in the crop of an encoded map, (S, S) or (S, S, C); its labels change sides by `flip`."""
    values = decode_map(field, encoded)
    if values.shape[:2] != shape:
        found, expected = (" ".join(map(str, lengths)) for lengths in (values.shape[:2], shape))
        raise ValueError(f"its {field.key} has height and width {found}, but its image {expected}")
    left, top, right, bottom = window
    rows, columns = crops.inside(top, bottom, shape[0]), crops.inside(left, right, shape[1])
    part = values[rows, columns]
    if part.dtype.kind in "iu" and part.dtype.itemsize > 2:
        part = part.astype(np.float64)  # OpenCV knows no longer integers
    cropped = crops.warp(
        part,
        matrix,
        len(out),
        first=(columns.start, rows.start),
        nearest=not field.smooth,
        background=field.background,
        out=out if out.dtype == part.dtype else None,
    )
    if flip and field.dtype != "float32":
        cropped = np.asarray(flip, field.dtype)[cropped.astype(np.int64)]
    if cropped is not out:
        out[...] = cropped


def _share_out(work, count: int, threads: int) -> None:
    """Calls `work` with ranges that make up `count`, each in a thread of its own, one of them this one."""
    own, *others = (range(first, count, threads) for first in range(threads))
    try:
        pending = [_pool(threads).submit(work, rows) for rows in others if rows]
    except RuntimeError:  # There are no threads to be had: Python is about to end, or has as many as it may.
        own, pending = range(count), []
    work(own)
    for future in pending:
        future.result()


@functools.cache
def _pool(threads: int) -> concurrent.futures.ThreadPoolExecutor:
    return concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="hpe_crops")


if hasattr(os, "register_at_fork"):
    # A child has the pool, but none of its threads.
    os.register_at_fork(after_in_child=_pool.cache_clear)
