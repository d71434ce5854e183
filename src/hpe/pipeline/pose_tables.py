"""Pose sequences as tables in memory, one copy of everything: what batches of poses are gathered from."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from hpe import skeletons
from hpe.datasets.pose_sequence import PoseSequence
from hpe.errors import UserError
from hpe.geometry.cameras import undistort
from hpe.pipeline.pose_config import PosePipelineConfig

JOINTS3D = skeletons.H36M17

_log = logging.getLogger(__name__)
_NAMES_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class PoseTables:
    """N frames of M sequences; tensors lie on the host and are read without being copied.

    Attributes:
        joints2d: (N, J, 2) float32 as evaluation shows them: pixels from the principal point, or X / Z and Y / Z.
        confidence: (N, J) float32 of the detector; None where it gives none.
        joints3d: (N, 17, 3) float32 metres, camera frame, from the camera's centre; zeros without 3D.
        sequence: (N,) int32, which sequence a frame belongs to.
        frame: (N,) int32, its number in the sequence.
        has_3d: (M,) float32, 1 where a sequence has 3D joints.
        names, actions: (M,) string.
        lens: `f` (M, 2), `k` (M, 3), `p` (M, 2) float32 of every sequence's camera; where it is not known, of one
            that changes nothing.
        up: (M, 3) float32, the world's vertical axis in the camera frame; zeros where it is not known.
        unprojectable: why a sequence cannot be projected again, in words, by the sequence's number; empty for those
            that can.
    """

    joints2d: tf.Tensor
    confidence: tf.Tensor | None
    joints3d: tf.Tensor
    sequence: tf.Tensor
    frame: tf.Tensor
    has_3d: tf.Tensor
    names: tf.Tensor
    actions: tf.Tensor
    lens: Mapping[str, tf.Tensor]
    up: tf.Tensor
    unprojectable: Mapping[int, str]

    @property
    def count(self) -> int:
        """Number of frames."""
        return len(self.sequence)

    def rays(self, config: PosePipelineConfig) -> tf.Tensor:
        """Returns the 2D joints (N, J, 2) as X / Z and Y / Z, what a camera without a lens sees of them.

        There alone a mirrored or turned person is seen as the mirrored or turned points: a lens is not symmetric.
        """
        if config.undistort:
            return self.joints2d
        pixels, sequence = np.asarray(self.joints2d), np.asarray(self.sequence)
        # Sequence by sequence: the iteration would need several times the memory at once.
        starts = [0, *(np.flatnonzero(np.diff(sequence)) + 1), len(sequence)]
        rays = np.empty_like(pixels)
        for start, end in itertools.pairwise(starts):
            lens = {name: np.asarray(values[sequence[start]]) for name, values in self.lens.items()}
            rays[start:end] = undistort(pixels[start:end], **lens)
        return on_host(rays)


def on_host(values) -> tf.Tensor:
    """Returns values as a tensor in the memory of the host, whatever devices there are."""
    with tf.device("CPU"):
        return tf.constant(values)


def collect(sequences: Iterable[PoseSequence], config: PosePipelineConfig) -> PoseTables:
    """Reads sequences one by one and keeps of them what batches need.

    Sequences without the keypoints asked for are left out, and the log says which.

    Raises:
        UserError: there are none, or one lacks what the configuration asks for.
    """
    sequences = _with_keypoints(sequences, config.keypoints)
    columns = {name: [] for name in ("joints2d", "confidence", "joints3d")}
    names, actions, has_3d, frames, lenses, ups = [], [], [], [], [], []
    unprojectable = {}
    for sequence in sequences:
        joints2d, confidence = _keypoints(sequence, config)
        lens = _lens(sequence)
        if config.undistort:
            if lens is None:
                raise UserError(f"{sequence.name}: its camera's lens is not known; use `undistort=False`.")
            joints2d = undistort(joints2d, **lens).astype(np.float32)
        columns["joints2d"].append(joints2d)
        columns["confidence"].append(confidence)
        columns["joints3d"].append(_absolute(sequence))
        names.append(sequence.name)
        actions.append(sequence.action)
        has_3d.append(sequence.joints3d is not None)
        frames.append(len(sequence))
        lenses.append(lens or _NO_LENS)
        if reason := _why_unprojectable(sequence):
            unprojectable[len(ups)] = reason
        ups.append(
            np.zeros(3, np.float32)
            if reason
            else np.float32(sequence.rotation @ np.float32(sequence.world_up))
        )
    if not names:
        raise UserError("the datasets hold no pose sequences.")
    if any(one is None for one in columns["confidence"]):
        columns["confidence"] = None
    # Column by column: what has become a table need not lie in memory a second time.
    tables = {name: parts and _joined(parts) for name, parts in columns.items()}
    return PoseTables(
        **tables,
        sequence=on_host(np.repeat(np.arange(len(names), dtype=np.int32), frames)),
        frame=on_host(np.concatenate([np.arange(count, dtype=np.int32) for count in frames])),
        has_3d=on_host(np.array(has_3d, np.float32)),
        names=on_host(names),
        actions=on_host(actions),
        lens={name: on_host(np.stack([lens[name] for lens in lenses])) for name in lenses[0]},
        up=on_host(np.stack(ups)),
        unprojectable=unprojectable,
    )


# Pixels stand for themselves.
_NO_LENS = {"f": np.ones(2, np.float32), "k": np.zeros(3, np.float32), "p": np.zeros(2, np.float32)}


def _joined(parts: list[np.ndarray]) -> tf.Tensor:
    """Returns parts as one table, and empties their list."""
    whole = np.concatenate(parts)
    parts.clear()
    return on_host(whole)


def _with_keypoints(sequences: Iterable[PoseSequence], name: str) -> Iterator[PoseSequence]:
    """Yields the sequences that have keypoints of a name; UserError at the end if none of them had."""
    kept, lacking = 0, []
    for sequence in sequences:
        if name in sequence.keypoints:
            kept += 1
            yield sequence
        else:
            lacking.append(sequence)
    if lacking and not kept:
        raise UserError(
            f"{lacking[0].name}: has no keypoints {name!r}, only "
            f"{', '.join(sorted(lacking[0].keypoints)) or 'none'}; choose with `keypoints`."
        )
    if lacking:
        shown = ", ".join(sequence.name for sequence in lacking[:_NAMES_SHOWN])
        more = ", ..." if len(lacking) > _NAMES_SHOWN else ""
        _log.warning(
            "left out: %d of %d sequences without keypoints %s (%s%s)",
            len(lacking),
            kept + len(lacking),
            name,
            shown,
            more,
        )


def _keypoints(sequence: PoseSequence, config: PosePipelineConfig) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns 2D joints (T, J, 2), pixels from the principal point, in the joint set asked for; and confidences."""
    points = sequence.keypoints[config.keypoints]
    source, target = skeletons.get(points.skeleton), skeletons.get(config.skeleton)
    conversion = skeletons.convert(source, target, missing=True)
    if conversion.missing:
        raise UserError(
            f"{sequence.name}: `keypoints={config.keypoints}` are {source.name}, which lacks "
            f"{', '.join(conversion.missing)} of `input_skeleton={target.name}`."
        )
    pixels = (conversion.coordinates(points.joints) - _principal_point(sequence)).astype(np.float32)
    confidence = points.confidence
    return pixels, None if confidence is None else conversion.confidences(confidence).astype(np.float32)


def _lens(sequence: PoseSequence) -> dict[str, np.ndarray] | None:
    """Returns focal lengths and distortion of a sequence's camera: `f`, `k`, `p`; None where one is not known."""
    if any(getattr(sequence, name) is None for name in ("f", "k", "p")):
        return None
    return {name: np.float32(getattr(sequence, name)) for name in ("f", "k", "p")}


def _principal_point(sequence: PoseSequence) -> np.ndarray:
    if sequence.c is not None:
        return np.asarray(sequence.c)
    if sequence.image_size is not None:
        # Pixel centres lie at integers.
        return (np.float32(sequence.image_size) - 1.0) / 2.0
    raise UserError(f"{sequence.name}: neither its principal point nor the size of its images is known.")


def _absolute(sequence: PoseSequence) -> np.ndarray:
    if sequence.joints3d is None:
        return np.zeros((len(sequence), len(JOINTS3D), 3), np.float32)
    return np.asarray(sequence.joints3d, np.float32)


def _why_unprojectable(sequence: PoseSequence) -> str | None:
    if sequence.joints3d is None or any(
        getattr(sequence, name) is None for name in ("f", "c", "k", "p", "rotation")
    ):
        return f"{sequence.name}: has no 3D joints with a whole camera"
    if not (sequence.joints3d[..., 2] > 0).all():
        return f"{sequence.name}: has joints that are not before the camera"
    return None
