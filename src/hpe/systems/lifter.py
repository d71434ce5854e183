"""The lifter: 3D joints of one person from 2D joints alone.

After Martinez et al., "A simple yet effective baseline for 3d human pose estimation" (2017).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from keras import ops

from hpe import skeletons
from hpe.errors import SettingError, UserError
from hpe.fields import Needs
from hpe.losses.means import Mean
from hpe.networks.lifter import Lifter, Standardization
from hpe.systems.base import MAIN, Losses, Optimizer
from hpe.systems.inputs import JointsInput
from hpe.systems.prediction import Prediction
from hpe.systems.settings.lifter import InputFrame, LifterConfig, LifterLoss

# A person's own box fills this part of the side of a `crop`.
BOX_SHARE = 0.8

_JOINTS3D = skeletons.H36M17
_PELVIS = "pelvis"
_MILLIMETRES = 1000.0

# Square metres, of which nobody is told apart from 0.
_SMALLEST = 1e-16


# Metres are small numbers, of which Adam's epsilon would be felt.
_LOSS_WEIGHTS = {LifterLoss.MSE: 1.0, LifterLoss.MPJPE: 10.0}


class LiftingSystem:
    """The lifter: predicts and trains, see `hpe.systems.base`.

    It takes 2D joints in pixels from the camera's principal point, or undistorted as X / Z and Y / Z, and yields 3D
    joints in metres, camera frame, from the pelvis. In use a joint that was not found is NaN: the network is shown
    its mean over the training data, and the others lie in the box of those that were found.

    Args:
        config: network and loss.
        input_skeleton: name of the joint set of the 2D joints.

    Raises:
        UserError: the joint set has no pelvis where the configuration needs one.
    """

    name = "lifter"
    input_key = "joints2d"
    skeleton = _JOINTS3D.name
    body_models = ()
    training_networks: Mapping = MappingProxyType({})

    def __init__(self, config: LifterConfig, *, input_skeleton: str):
        self.config = config
        self.input_skeleton = input_skeleton
        self._joints = skeletons.get(input_skeleton)
        by_pelvis = config.input_relative or config.input_frame is InputFrame.RAY
        if by_pelvis and _PELVIS not in self._joints.joints:
            raise SettingError(
                "input_skeleton",
                "has no pelvis, which `input_relative` and `input_frame=ray` need.",
                input_skeleton,
            )
        self.input_shape = (len(self._joints), 2)
        lifted = (len(_JOINTS3D) - 1, 3)
        self.standardization = Standardization(self.input_shape, lifted, name="standardization")
        self.lifter = Lifter(
            lifted[0] * lifted[1],
            linear_size=config.linear_size,
            num_blocks=config.num_blocks,
            residual=config.residual,
            batch_norm=config.batch_norm,
            dropout=config.dropout,
            max_norm=config.max_norm,
            mixed_precision=config.mixed_precision,
            name="lifter",
        )
        self.lifter.build((None, 2 * len(self._joints)))
        self.networks = {"lifter": self.lifter, "standardization": self.standardization}
        self.needs = Needs(
            fields=("joints2d", "joints3d"), skeleton2d=input_skeleton, skeleton3d=_JOINTS3D.name
        )

    @property
    def optimizers(self) -> dict[str, Optimizer]:
        """One, of the variables of the network; the statistics are fixed."""
        return {MAIN: Optimizer(self.lifter.trainable_variables, loss_names=("lifter_loss",))}

    @property
    def non_trainable_variables(self):
        """Batch normalisation statistics."""
        return self.lifter.non_trainable_variables

    def adapt(self, statistics: Mapping) -> None:
        """Standardises by the poses of the training data.

        Args:
            statistics: `joints2d` (N, J, 2) as the system takes them, and `joints3d` (N, 17, 3), metres, from the
                pelvis.

        Raises:
            UserError: there are none, they are not finite, or a coordinate is the same in all of them.
        """
        shown, view = self.network_input(np.asarray(statistics["joints2d"], np.float32))
        joints2d = ops.convert_to_numpy(shown)
        joints3d = np.asarray(statistics["joints3d"], np.float32)[:, 1:]
        if view is not None:
            joints3d = ops.convert_to_numpy(ops.matmul(joints3d, ops.transpose(view, (0, 2, 1))))
        given = {}
        for side, values, joints in (
            ("input", joints2d, self._joints.joints),
            ("output", joints3d, _JOINTS3D.joints[1:]),
        ):
            # In double precision: the sum over many frames would lose digits.
            mean = values.mean(axis=0, dtype=np.float64) if len(values) else np.full(values.shape[1:], np.nan)
            deviation = values.std(axis=0, dtype=np.float64) if len(values) else mean
            _check_statistics(mean, deviation, joints, what="2D" if side == "input" else "3D")
            given |= {f"{side}_mean": mean, f"{side}_deviation": deviation}
        self.standardization.adapt(**given)

    def forward(self, inputs, *, training: bool, seed=None, frozen: Sequence[str] = ()) -> dict:
        """Lifts poses; see `hpe.systems.base.Trains` for the arguments.

        Args:
            inputs: (B, J, 2), see the class.

        Returns:
            Dict with `standardized` (B, 16, 3), the network's output, and `joints3d` (B, 17, 3) in metres, whose
            first joint, the pelvis, is exactly zero; with `InputFrame.RAY` also `view` (B, 3, 3), the rotation of
            the camera frame into that of the output.
        """
        training = training and "lifter" not in frozen
        shown, view = self.network_input(inputs)
        x = self._standardized(shown)
        lifted = self.lifter(ops.reshape(x, (-1, 2 * len(self._joints))), training=training, seed=seed)
        lifted = ops.reshape(lifted, (-1, len(_JOINTS3D) - 1, 3))
        joints3d = self.standardization.restore_outputs(lifted)
        joints3d = ops.concatenate([ops.zeros_like(joints3d[:, :1]), joints3d], axis=1)
        if view is None:
            return {"standardized": lifted, "joints3d": joints3d}
        # Row vectors: x R is what R^T makes of x.
        return {"standardized": lifted, "joints3d": ops.matmul(joints3d, view), "view": view}

    def standardized(self, inputs):
        """Returns what the network is shown of 2D joints (B, J, 2), by the statistics of the training data."""
        return self._standardized(self.network_input(inputs)[0])

    def _standardized(self, shown):
        """Standardises what the network is shown; joints that were not found become the mean, which is 0."""
        return _where_found(self.standardization(shown), 0.0)

    def _with_pelvis(self, joints2d, pelvis: int):
        """Puts a pelvis that was not found into the middle of the joints that were."""
        low, high = _box(joints2d)
        is_pelvis = np.arange(len(self._joints))[None, :, None] == pelvis
        return ops.where(is_pelvis, _where_found(joints2d, 0.5 * (low + high)), joints2d)

    def network_input(self, joints2d):
        """Returns what the network is shown of 2D joints, before it is standardised, and the view of `forward`."""
        # PyTorch's tensors and arrays do not mix.
        joints2d, view = ops.convert_to_tensor(joints2d), None
        if self.config.input_frame is InputFrame.CROP:
            joints2d = box_frame(joints2d)
        relative = self.config.input_relative
        pelvis = self._joints.index(_PELVIS) if _PELVIS in self._joints.joints else None
        if relative or self.config.input_frame is InputFrame.RAY:
            joints2d = self._with_pelvis(joints2d, pelvis)
        if self.config.input_frame is InputFrame.RAY:
            root = joints2d[:, pelvis : pelvis + 1]
            view = look_at(root[:, 0])
            rays = ops.concatenate([joints2d, ops.ones_like(joints2d[..., :1])], axis=-1)
            turned = ops.matmul(rays, ops.transpose(view, (0, 2, 1)))
            # The pelvis is at 0 now; its place still says where the floor is.
            joints2d, relative = turned[..., :2] / turned[..., 2:] + root, True
        if not relative:
            return joints2d, view
        root = joints2d[:, pelvis : pelvis + 1]
        chosen = np.zeros((1, len(self._joints), 1), bool)
        chosen[:, pelvis] = True
        return ops.where(chosen, root, joints2d - root), view

    def losses(self, outputs: Mapping, batch: Mapping) -> Losses:
        """Compares with `joints3d`; `train_mpjpe`, in millimetres, is only shown."""
        truth = ops.convert_to_tensor(batch["joints3d"])
        weight = ops.convert_to_tensor(batch["joints3d_weight"])[:, 1:]
        squared = ops.sum(ops.square(outputs["joints3d"][:, 1:] - truth[:, 1:]), axis=-1)
        # The root has no slope at 0.
        distance = ops.sqrt(ops.maximum(squared, _SMALLEST))
        if self.config.lifter_loss is LifterLoss.MPJPE:
            errors = distance
        else:
            truth = truth[:, 1:]
            if "view" in outputs:
                truth = ops.matmul(truth, ops.transpose(outputs["view"], (0, 2, 1)))
            truth = self.standardization.standardize_outputs(truth)
            errors = ops.mean(ops.square(outputs["standardized"] - truth), axis=-1)
        count = ops.sum(weight)
        loss = Mean(ops.sum(errors * weight), count)
        # The root counts too, as in the measure that is published.
        joints = len(_JOINTS3D) / (len(_JOINTS3D) - 1)
        shown = Mean(_MILLIMETRES * ops.sum(ops.stop_gradient(distance) * weight), joints * count)
        weight = _LOSS_WEIGHTS[self.config.lifter_loss]
        return Losses({"lifter_loss": loss}, {"lifter_loss": weight}, {"loss/train_mpjpe": shown})

    def infer(self, inputs) -> dict:
        """Lifts poses without training; returns `joints3d`, and `joints2d` in the person's own box.

        Args:
            inputs: (B, J, 2), see the class; NaN where a joint was not found.
        """
        inputs = ops.convert_to_tensor(inputs)
        joints3d = self.forward(inputs, training=False)["joints3d"]
        if self.config.flip_test:
            mirrored = self.forward(_mirror(inputs, self._joints), training=False)["joints3d"]
            joints3d = 0.5 * (joints3d + _mirror(mirrored, _JOINTS3D))
        return {"joints3d": joints3d, "joints2d": box_frame(inputs)}

    def to_prediction(self, inferred: Mapping) -> Prediction:
        """Turns the tensors of `infer` into a Prediction; its 2D joints are the input, see `box_frame`."""
        arrays = {name: np.asarray(value, dtype=np.float32) for name, value in inferred.items()}
        return Prediction(
            skeleton=self.input_skeleton,
            joints2d=arrays["joints2d"],
            joints3d=arrays["joints3d"],
            skeleton3d=self.skeleton,
        )


def box_frame(joints2d):
    """Maps poses into the square around their own box, which fills `BOX_SHARE` of it by its longer side.

    Args:
        joints2d: (B, J, 2) in any unit, x right and y down; NaN where a joint was not found.

    Returns:
        (B, J, 2), [-1, 1] over the square, NaN where the input is. A box without size is taken for one of size 1.
    """
    joints2d = ops.convert_to_tensor(joints2d)
    low, high = _box(joints2d)
    side = ops.max(high - low, axis=2, keepdims=True)
    side = ops.where(side > 0, side, ops.ones_like(side))
    return (joints2d - 0.5 * (low + high)) * (2.0 * BOX_SHARE / side)


def _box(joints2d):
    """Returns the corners (B, 1, 2) of the box of joints (B, J, 2) that are not NaN; 0 where all are."""
    low = ops.min(_where_found(joints2d, np.inf), axis=1, keepdims=True)
    high = ops.max(_where_found(joints2d, -np.inf), axis=1, keepdims=True)
    some = high >= low
    return ops.where(some, low, ops.zeros_like(low)), ops.where(some, high, ops.zeros_like(high))


def _where_found(values, otherwise):
    """Replaces what is NaN."""
    return ops.where(ops.isnan(values), ops.cast(otherwise, values.dtype), values)


def look_at(points):
    """Returns the smallest rotations that turn a camera frame until a point lies on its z axis.

    Args:
        points: (B, 2), X / Z and Y / Z of the point.

    Returns:
        (B, 3, 3): X_turned = R X.
    """
    x, y = points[:, 0], points[:, 1]
    length = ops.sqrt(1.0 + x * x + y * y)
    a, b, c = x / length, y / length, 1.0 / length
    # Rodrigues' formula about the axis (b, -a, 0) / sin, with cos = c.
    h = 1.0 / (1.0 + c)
    rows = [[1.0 - a * a * h, -a * b * h, -a], [-a * b * h, 1.0 - b * b * h, -b], [a, b, c]]
    return ops.stack([ops.stack(row, axis=-1) for row in rows], axis=-2)


def build_lifter(
    config: LifterConfig, input: JointsInput, *, build_critic: bool = True, pretrained: bool = True
) -> LiftingSystem:
    """Builds the system for the joint set of `input.skeleton`; see `hpe.systems.SystemEntry`.

    Raises:
        UserError: the 2D joints of the input are not those that the system looks at.
    """
    if (config.input_frame is InputFrame.RAY) != input.undistort:
        raise SettingError(
            "input_frame", "ray and `undistort` go together; give both, or neither.", config.input_frame
        )
    return LiftingSystem(config, input_skeleton=input.skeleton)


def _mirror(joints, skeleton: skeletons.Skeleton):
    """Mirrors joints (B, J, C) at x = 0; left joints become right ones."""
    sign = np.ones(joints.shape[-1], np.float32)
    sign[0] = -1.0
    return ops.take(joints, np.array(skeleton.flip), axis=1) * sign


def _check_statistics(mean, deviation, joints: Sequence[str], *, what: str) -> None:
    if not (np.isfinite(mean).all() and np.isfinite(deviation).all()):
        raise UserError(
            f"training data: the mean of the {what} joints is not finite; there are no frames, or damaged ones."
        )
    if not (deviation > 0).all():
        joint, axis = np.argwhere(deviation <= 0)[0]
        raise UserError(
            f"training data: {'xyz'[axis]} of the {what} joint {joints[joint]} is the same in all frames, so it "
            "cannot be standardised; train on more poses."
        )
