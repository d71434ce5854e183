"""What a picture says of a body beyond the joints of a detector: better joints, an outline, and limbs' profiles.

A few convolutions on the maps that the detector computed anyway find 14 joints again, where the person is, and some
features of their own. A network then corrects a body that is there already: it sees what the maps hold along and
across the body's limbs, where they lie now, which tells how thick the person's are and whether they lie there. The
camera follows, so that the joints lie where they were found.
The sampling of features where the present estimate projects to is that of PyMAF (Zhang et al. 2021).
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from hpe import skeletons
from hpe.geometry.rotations import rotmat_to_rot6d
from hpe.networks.body_lifter import PARAMETERS_SIZE, Stage, split_parameters
from hpe.networks.heatmaps import highest
from hpe.networks.movenet import STRIDE
from hpe.skeletons import COCOPLUS19, LSP14

NUM_JOINTS = len(LSP14)

# Of the maps' convolutions.
_WIDTH = 40
_BLOCKS = 2
# Detections are shown as blobs, so many logits high; a joint's peak reaches as far as the window. In cells.
_BLOB_LOGITS = 4.0
_BLOB, _WINDOW = 2.0, 2.5
# Mean and spread of a detector's logits, and of its features, MoveNet Lightning's on people of LSP, roughly.
_LOGITS = -7.5, 3.5
_FEATURES = 0.0, 0.5
# The first cell's centre is the middle of its pixels, whose own centres are at integers.
_FIRST_CELL = 0.5 * (STRIDE - 1) / STRIDE

# Limbs are crossed at these shares of their length, at these multiples of their half thickness.
_ALONG = (0.25, 0.75)
_BEYOND = 1.3
_ACROSS = (-2.0, -1.0, 0.0, 1.0, 2.0)
_THICKNESS = {"arm": 0.05, "leg": 0.08, "trunk": 0.13, "head": 0.1}
_LIMBS = [
    (f"{side}_{first}", f"{side}_{second}", kind)
    for side in ("left", "right")
    for first, second, kind in (
        ("shoulder", "elbow", "arm"),
        ("elbow", "wrist", "arm"),
        ("hip", "knee", "leg"),
        ("knee", "ankle", "leg"),
        ("shoulder", "hip", "trunk"),
    )
]
_LIMBS += [("right_shoulder", "left_shoulder", "trunk"), ("right_hip", "left_hip", "trunk")]
_LIMBS += [("neck", "head_top", "head")]
_ENDS = ("wrist", "ankle")

# Residuals are some hundredths of the crop; the other inputs are around 1.
_RESIDUAL_SCALE = 5.0
_POOLED_WIDTH = 128
# The body that is corrected is good already: the training starts closer to it than that of a body from nothing.
_START_SCALE = 1e-4
# Joints that coincide have no size, and may all be unseen.
_SMALLEST_SPREAD, _LEAST_WEIGHT = 1e-6, 1e-6
# By how much the scale of a body may change.
_SCALED = 1.4
# Of the features at every point of a limb.
_POINT_WIDTH = 12


@keras.saving.register_keras_serializable(package="hpe")
class EvidenceMaps(keras.Model):
    """Convolutions on a detector's maps: joints, mask and features of every cell.

    Args:
        channels: of the maps, of which the last are the detector's logits of its joints.
        detected: name of the detector's joint set.
    """

    def __init__(self, channels: int, detected: str, **kwargs):
        super().__init__(**kwargs)
        self.channels, self.detected = channels, detected
        skeleton = skeletons.get(detected)
        # What the detector says of its joints is where the heat maps of those that it shares start.
        self._shared = np.array(
            [[float(ours == theirs) for ours in LSP14.joints] for theirs in skeleton.joints], np.float32
        )
        shares = (channels - len(skeleton), len(skeleton))
        self._mean, self._spread = (
            np.repeat(np.float32(pair), shares) for pair in zip(_FEATURES, _LOGITS, strict=True)
        )
        inputs = keras.Input((None, None, channels + len(skeleton)), name="maps")
        x = keras.layers.Conv2D(_WIDTH, 1, activation="relu", name="mixed")(inputs)
        for index in range(_BLOCKS):
            y = keras.layers.DepthwiseConv2D(3, padding="same", name=f"block_{index}_depthwise")(x)
            y = keras.layers.Conv2D(_WIDTH, 1, activation="relu", name=f"block_{index}_pointwise")(y)
            x = keras.layers.Add(name=f"block_{index}_sum")([x, y])
        outputs = keras.layers.Conv2D(NUM_JOINTS + 1, 1, name="outputs")(x)
        self.convolutions = keras.Model(inputs, [outputs, x], name="convolutions")
        self.built = True

    def call(self, maps, detections, training=False):
        """Finds joints and mask.

        Args:
            maps: (B, h, w, C), all of the crop.
            detections: (B, D, 3), x and y in normalised crop coordinates, and scores.
            training: has no effect.

        Returns:
            Dict of `heatmaps` (B, h, w, 14), logits of lsp14's joints over all cells; `mask` (B, h, w, 1), the
            logit of the person; and `features` (B, h, w, 40), what both are made of.
        """
        height, width = maps.shape[1:3]
        blobs = _blobs(detections, height, width)
        seen = (maps - self._mean) / self._spread
        outputs, features = self.convolutions(ops.concatenate([seen, blobs], axis=-1))
        said = maps[..., self.channels - self._shared.shape[0] :] + _BLOB_LOGITS * blobs
        return {
            "heatmaps": outputs[..., :NUM_JOINTS] + ops.matmul(said, self._shared),
            "mask": outputs[..., NUM_JOINTS:],
            "features": features,
        }

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "channels": self.channels, "detected": self.detected}


@keras.saving.register_keras_serializable(package="hpe")
class BodyCorrection(keras.Model):
    """Corrects a body by the evidence along its limbs, several times with the same weights.

    Args:
        pooled: number of features of the whole crop.
        detected: places of the detector's joints in cocoplus19.
        width: of all hidden layers.
        num_blocks: residual blocks.
        num_corrections: how often the body is corrected.
    """

    def __init__(
        self,
        pooled: int,
        detected: Sequence[int],
        *,
        width: int = 384,
        num_blocks: int = 2,
        num_corrections: int = 2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.pooled, self.detected = pooled, tuple(int(place) for place in detected)
        self.width, self.num_blocks, self.num_corrections = width, num_blocks, num_corrections
        self._pooled = keras.layers.Dense(_POOLED_WIDTH, name="pooled")
        self._pooled.build((None, pooled))
        self._stage = Stage(width, num_blocks, False, start_scale=_START_SCALE, name="stage")
        self._point = keras.layers.Dense(_POINT_WIDTH, activation="relu", name="point")
        self._point.build((None, None, _WIDTH + 1))
        size = _POOLED_WIDTH + NUM_PROFILE_POINTS * _POINT_WIDTH + PARAMETERS_SIZE
        self._stage.build((None, size + 5 * len(self.detected) + 5 * NUM_JOINTS))
        self.built = True

    def call(self, body, evidence, *, project, training=False):
        """Corrects bodies.

        Args:
            body: dict of rotmats (B, 24, 3, 3), shape (B, 10) and camera (B, 3) in normalised crop coordinates.
            evidence: dict of `pooled` (B, P), `detections` (B, D, 3), `joints` (B, 14, 3) of `peaks`, and
                `mask` and `features` of `EvidenceMaps`.
            project: function of such a dict of a body that yields cocoplus19's joints (B, 19, 2).
            training: has no effect.

        Returns:
            List of the dicts of the corrected bodies.
        """
        seen = [self._pooled(evidence["pooled"])]
        residual_of = []
        for name, places in (("detections", self.detected), ("joints", range(NUM_JOINTS))):
            joints = evidence[name]
            seen.append(ops.reshape(joints, (-1, 3 * len(places))))
            residual_of.append((joints, places))
        parameters = flat_parameters(body)
        outputs, points = [], project(body)
        maps = ops.concatenate([evidence["features"], evidence["mask"]], axis=-1)
        for _ in range(self.num_corrections):
            profiles = self._point(sample(maps, profile_points(points, parameters[:, -3])))
            residuals = [
                ops.reshape(_residual(points, joints, places), (-1, 2 * len(places)))
                for joints, places in residual_of
            ]
            flat = ops.reshape(profiles, (-1, NUM_PROFILE_POINTS * _POINT_WIDTH))
            inputs = ops.concatenate([*seen, flat, parameters, *residuals], axis=-1)
            corrected = split_parameters(parameters + self._stage(inputs, training=training))
            corrected["camera"], points = held_camera(
                corrected["camera"], project(corrected), evidence["joints"], near=body["camera"]
            )
            outputs.append(corrected)
            parameters = flat_parameters(corrected)
        return outputs

    def get_config(self):
        """Returns the arguments of the constructor."""
        names = ("pooled", "detected", "width", "num_blocks", "num_corrections")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def held_camera(camera, points, joints, *, near):
    """Moves weak-perspective cameras so that a body's joints lie where they were found, by least squares.

    Args:
        camera: (B, 3) s, tx, ty.
        points: (B, 19, 2) of cocoplus19, as it projects them.
        joints: (B, 14, 3) of `peaks`: where lsp14's joints are, and how much each counts.
        near: (B, 3), cameras whose scale is kept to within a factor of 1.4: joints that are found nowhere in
            particular would shrink a body to nothing.

    Returns:
        The cameras and the points as these project them.
    """
    weight = joints[..., 2:] / ops.maximum(ops.sum(joints[..., 2:], axis=1, keepdims=True), _LEAST_WEIGHT)
    ours, theirs = points[:, :NUM_JOINTS], joints[..., :2]
    our_middle, their_middle = (ops.sum(weight * value, axis=1, keepdims=True) for value in (ours, theirs))
    ours, theirs = ours - our_middle, theirs - their_middle
    spread = ops.sum(weight * ops.square(ours), axis=(1, 2))[:, None]
    gain = ops.sum(weight * ours * theirs, axis=(1, 2))[:, None] / ops.maximum(spread, _SMALLEST_SPREAD)
    gain = ops.clip(gain * camera[:, :1] / near[:, :1], 1.0 / _SCALED, _SCALED) * near[:, :1] / camera[:, :1]
    offset = their_middle[:, 0] - gain * our_middle[:, 0]
    scale = gain * camera[:, :1]
    moved = ops.concatenate([scale, camera[:, 1:] + offset / scale], axis=-1)
    return moved, gain[:, None] * points + offset[:, None]


def flat_parameters(body):
    """Returns (B, PARAMETERS_SIZE), the inverse of `split_parameters`."""
    rotations = rotmat_to_rot6d(body["rotmats"])
    return ops.concatenate(
        [ops.reshape(rotations, (-1, 6 * rotations.shape[1])), body["shape"], body["camera"]], axis=-1
    )


def _residual(points, joints, places):
    there = ops.cast(joints[..., 2:] > 0.0, joints.dtype)
    off = ops.take(points, np.asarray(places, np.int32), axis=1) - joints[..., :2]
    return ops.clip(_RESIDUAL_SCALE * off, -3.0, 3.0) * there


def _blobs(detections, height, width):
    """Returns (B, h, w, D): a blob at every detected joint, as high as its score."""
    across, down = (
        ops.exp((-0.5 / _BLOB**2) * ops.square(np.arange(side, dtype=np.float32)[:, None] - place[:, None]))
        for side, place in (
            (width, cells(detections[..., 0], width)),
            (height, cells(detections[..., 1], height)),
        )
    )
    return (down * detections[:, None, :, 2])[:, :, None] * across[:, None]


def cells(coordinates, side: int):
    """Turns normalised crop coordinates into cells of a map, whose centres are at integers."""
    return (coordinates + 1.0) * (0.5 * side) - _FIRST_CELL


def peaks(heatmaps):
    """Finds the joints of maps of logits.

    Args:
        heatmaps: (B, h, w, J), logits over all cells.

    Returns:
        (B, J, 3): x and y in normalised crop coordinates and how much of the joint's probability is there.
    """
    height, width, count = heatmaps.shape[1:]
    logits = ops.reshape(heatmaps, (-1, height * width, count))
    probability = ops.softmax(logits, axis=1)
    best = highest(logits)[0][:, None]
    grid = np.divmod(np.arange(height * width), width)
    rows, columns = (value.astype(np.float32)[None, :, None] for value in grid)
    best_row, best_column = ops.cast(best // width, "float32"), ops.cast(best % width, "float32")
    near = ops.square(rows - best_row) + ops.square(columns - best_column) <= _WINDOW**2
    weight = probability * ops.cast(near, probability.dtype)
    score = ops.sum(weight, axis=1)
    y, x = (ops.sum(weight * value, axis=1) / score for value in (rows, columns))
    x, y = ((value + _FIRST_CELL) * (2.0 / side) - 1.0 for value, side in ((x, width), (y, height)))
    return ops.stack([x, y, score], axis=-1)


def sample(maps, points):
    """Reads maps (B, h, w, C) bilinearly at points (B, P, 2), normalised crop coordinates: (B, P, C).

    Beyond the border the nearest cell's value is taken. No gradient reaches the points.
    """
    height, width = maps.shape[1:3]
    points = ops.stop_gradient(points)
    x = ops.clip(cells(points[..., 0], width), 0.0, width - 1.0)
    y = ops.clip(cells(points[..., 1], height), 0.0, height - 1.0)
    left, top = ops.floor(x), ops.floor(y)
    flat = ops.reshape(maps, (-1, height * width, maps.shape[3]))
    total = 0.0
    for down in (0, 1):
        for right in (0, 1):
            row = ops.minimum(ops.cast(top, "int32") + down, height - 1)
            column = ops.minimum(ops.cast(left, "int32") + right, width - 1)
            share = (1.0 - ops.abs(y - top - down)) * (1.0 - ops.abs(x - left - right))
            found = ops.take_along_axis(flat, (row * width + column)[..., None], axis=1)
            total = total + found * share[..., None]
    return total


def _profile():
    """Returns limbs as places in cocoplus19, shares along them, and metres across them, a row for each point."""
    rows = []
    for first, second, kind in _LIMBS:
        ends = second.endswith(_ENDS)
        for along in (*_ALONG, *((_BEYOND,) if ends else ())):
            for across in _ACROSS:
                places = COCOPLUS19.index(first), COCOPLUS19.index(second)
                rows.append((*places, along, across * _THICKNESS[kind]))
    first, second, along, across = zip(*rows, strict=True)
    return np.array(first), np.array(second), np.array(along, np.float32), np.array(across, np.float32)


_FIRST, _SECOND, _SHARE, _METRES = _profile()
NUM_PROFILE_POINTS = len(_FIRST)


def profile_points(joints, scale):
    """Returns the points along and across the limbs of bodies.

    Args:
        joints: (B, 19, 2) of cocoplus19, normalised crop coordinates.
        scale: (B,) of the weak-perspective camera: half crops per metre.

    Returns:
        (B, NUM_PROFILE_POINTS, 2).
    """
    first, second = ops.take(joints, _FIRST, axis=1), ops.take(joints, _SECOND, axis=1)
    along = second - first
    length = ops.sqrt(ops.sum(ops.square(along), axis=-1, keepdims=True) + 1e-6)
    across = ops.stack([-along[..., 1], along[..., 0]], axis=-1) / length
    return first + along * _SHARE[:, None] + across * (scale[:, None] * _METRES)[..., None]
