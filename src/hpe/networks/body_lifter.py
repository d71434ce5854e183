"""From 2D joints with scores to a body: rotations in 6D, in stages that see where their own body projects to."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from hpe.body.data import NUM_JOINTS, NUM_SHAPES, BodyModelData
from hpe.geometry.cameras import weak_perspective_project
from hpe.geometry.rotations import axis_angle_to_rotmat, rot6d_to_rotmat, rotmat_to_rot6d

CAMERA_SIZE = 3
ROTATIONS_SIZE = 6 * NUM_JOINTS
PARAMETERS_SIZE = ROTATIONS_SIZE + NUM_SHAPES + CAMERA_SIZE

# Residuals are some hundredths of the box; the other inputs are around 1.
_RESIDUAL_SCALE = 5.0
# Of the box around the joints: a person of 1.8 m fills it.
_MEAN_CAMERA = (1.1, 0.0, 0.0)
# Boxes of a single joint, or of joints that coincide, have no size.
_SMALLEST_BOX = 1e-6


@keras.saving.register_keras_serializable(package="hpe")
class BodyLifter(keras.Model):
    """Corrects a mean body stage by stage until it projects onto 2D joints.

    Each stage is an MLP of its own: a dense layer, residual blocks (layer norm, dense, GELU, dense), layer norm and
    a dense layer that yields corrections of 24 rotations in 6D, 10 shape coefficients and a weak-perspective
    camera. All but the first stage also see the parameters so far and how far the body's joints lie from the
    given ones.

    Args:
        num_joints: J, of the 2D joints.
        mean_rotations: (144,) 6D rotations where the first stage starts.
        mean_camera: (3,) scale, x and y where it starts, in boxes.
        width: of all hidden layers.
        num_blocks: residual blocks of a stage.
        num_stages: number of corrections.
        mixed_precision: whether the square matrix products are computed in bfloat16 in training.
    """

    def __init__(
        self,
        num_joints: int,
        mean_rotations,
        *,
        mean_camera=(1.0, 0.0, 0.0),
        width: int = 512,
        num_blocks: int = 3,
        num_stages: int = 2,
        mixed_precision: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        sizes = {"num_joints": num_joints, "width": width, "num_blocks": num_blocks, "num_stages": num_stages}
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1. Received: {name}={value}")
        self.num_joints, self.width = num_joints, width
        self.num_blocks, self.num_stages, self.mixed_precision = num_blocks, num_stages, mixed_precision
        self._mean = np.concatenate(
            [np.ravel(mean_rotations), np.zeros(NUM_SHAPES), np.ravel(mean_camera)]
        ).astype(np.float32)
        if self._mean.shape != (PARAMETERS_SIZE,):
            raise ValueError(
                f"mean_rotations and mean_camera must hold {ROTATIONS_SIZE} and {CAMERA_SIZE} numbers. "
                f"Received: {np.size(mean_rotations)} and {np.size(mean_camera)}"
            )
        # Without autocast: half precision would move joints by pixels.
        self.mean_parameters = self.add_weight(
            shape=(PARAMETERS_SIZE,),
            initializer=lambda shape, dtype: ops.convert_to_tensor(self._mean, dtype=dtype),
            name="mean_parameters",
            autocast=False,
        )
        self._stages = []
        for stage in range(num_stages):
            size = 3 * num_joints + (PARAMETERS_SIZE + 2 * num_joints if stage else 0)
            self._stages.append(Stage(width, num_blocks, mixed_precision, name=f"stage_{stage}"))
            self._stages[-1].build((None, size))
        self.built = True

    def call(self, joints, *, project, training=False):
        """Finds the body of each person.

        Args:
            joints: (B, J, 3) x and y in the person's own box, see `normalize_joints`, and the score; a joint with
                score 0 is missing.
            project: function of a dict of parameters, as it is returned, that yields the 2D joints (B, J, 2) of
                that body in the box.
            training: whether matrix products may be computed in half precision.

        Returns:
            List with the dict of each stage: rotmats (B, 24, 3, 3), shape (B, 10), camera (B, 3), and `joints2d`
            (B, J, 2), where the body's joints lie.
        """
        joints = ops.convert_to_tensor(joints)
        batch = ops.shape(joints)[0]
        there = ops.cast(joints[..., 2:] > 0.0, joints.dtype)
        points = joints[..., :2] * there
        seen = ops.concatenate([points, joints[..., 2:]], axis=-1)
        seen = ops.reshape(seen, (batch, 3 * self.num_joints))
        parameters = ops.broadcast_to(self.mean_parameters[None], (batch, PARAMETERS_SIZE))
        outputs = []
        for stage in self._stages:
            inputs = seen
            if outputs:
                residual = (outputs[-1]["joints2d"] - points) * there * _RESIDUAL_SCALE
                residual = ops.reshape(residual, (batch, 2 * self.num_joints))
                inputs = ops.concatenate([seen, parameters, residual], axis=-1)
            parameters = parameters + stage(inputs, training=training)
            split = split_parameters(parameters)
            outputs.append({**split, "joints2d": project(split)})
        return outputs

    def get_config(self):
        """Returns the arguments of the constructor."""
        names = ("num_joints", "width", "num_blocks", "num_stages", "mixed_precision")
        mean = {
            "mean_rotations": self._mean[:ROTATIONS_SIZE].tolist(),
            "mean_camera": self._mean[-CAMERA_SIZE:].tolist(),
        }
        return {**super().get_config(), **{name: getattr(self, name) for name in names}, **mean}


class Stage(keras.layers.Layer):
    """One MLP of a `BodyLifter`: (B, inputs) to corrections (B, PARAMETERS_SIZE), close to 0 at the start."""

    def __init__(self, width, num_blocks, mixed_precision, *, start_scale=0.01, **kwargs):
        super().__init__(**kwargs)
        self._width, self._mixed_precision = width, mixed_precision
        self._first = keras.layers.Dense(width, name="first")
        self._norms, self._inner, self._outer = [], [], []
        for block in range(num_blocks):
            self._norms.append(keras.layers.LayerNormalization(epsilon=1e-5, name=f"block_{block}_norm"))
            self._inner.append(keras.layers.Dense(width, name=f"block_{block}_inner"))
            self._outer.append(keras.layers.Dense(width, name=f"block_{block}_outer"))
        self._norm = keras.layers.LayerNormalization(epsilon=1e-5, name="norm")
        start = keras.initializers.VarianceScaling(start_scale, "fan_avg", "uniform")
        self._last = keras.layers.Dense(PARAMETERS_SIZE, kernel_initializer=start, name="last")

    def build(self, input_shape):
        """Creates the weights for inputs of shape (B, I), under the name of the stage."""
        self._first.build(input_shape)
        for layer in (*self._norms, *self._inner, *self._outer, self._norm, self._last):
            layer.build((None, self._width))

    def call(self, inputs, training=False):
        """Returns corrections (B, PARAMETERS_SIZE)."""
        half = training and self._mixed_precision
        x = self._first(inputs)
        for norm, inner, outer in zip(self._norms, self._inner, self._outer, strict=True):
            x = x + _dense(outer, ops.gelu(_dense(inner, norm(x), half)), half)
        return self._last(self._norm(x))


def _dense(layer, x, half):
    if not half:
        return layer(x)
    product = ops.matmul(ops.cast(x, "bfloat16"), ops.cast(layer.kernel, "bfloat16"))
    return ops.cast(product, x.dtype) + layer.bias


def build_body_lifter(body_data: BodyModelData, num_joints: int, **arguments) -> BodyLifter:
    """Builds a `BodyLifter` that starts at a body's mean pose, seen from the front.

    Args:
        body_data: the body model.
        num_joints: of the 2D joints.
        **arguments: further ones of `BodyLifter`.
    """
    pose = np.array(body_data.mean_pose, np.float32).reshape(-1, 3)
    pose[0] = (np.pi, 0.0, 0.0)
    mean = ops.convert_to_numpy(rotmat_to_rot6d(axis_angle_to_rotmat(pose)))
    return BodyLifter(num_joints, mean, mean_camera=_MEAN_CAMERA, **arguments)


def split_parameters(parameters):
    """Splits (B, PARAMETERS_SIZE) into a dict of rotmats (B, 24, 3, 3), shape (B, 10) and camera (B, 3)."""
    rotations = ops.reshape(parameters[:, :ROTATIONS_SIZE], (-1, NUM_JOINTS, 6))
    return {
        "rotmats": rot6d_to_rotmat(rotations),
        "shape": parameters[:, ROTATIONS_SIZE : ROTATIONS_SIZE + NUM_SHAPES],
        "camera": parameters[:, ROTATIONS_SIZE + NUM_SHAPES :],
    }


def projector(body, indices):
    """Returns the function that a `BodyLifter` projects its bodies with.

    Args:
        body: a `BodyModel`.
        indices: (J,) of its keypoints, in the order of the 2D joints.
    """
    indices = np.asarray(indices, np.int32)

    def project(parameters):
        posed = body(parameters["rotmats"], parameters["shape"], vertices=False)
        points = ops.take(posed["keypoints"], indices, axis=1)
        return weak_perspective_project(points, parameters["camera"])

    return project


def normalize_joints(joints):
    """Moves 2D joints into the box of those that are there, whose longer side becomes 2.

    Args:
        joints: (B, J, 3) x, y in any unit and the score; joints with score 0 are missing.

    Returns:
        The joints (B, J, 3) in their box, [-1, 1] along its longer side, missing ones at 0; and the box (B, 3) as
        its middle and half of its longer side: in the unit given, x = middle + half * x_box.
    """
    joints = ops.convert_to_tensor(joints)
    points, scores = joints[..., :2], joints[..., 2:]
    there = scores > 0.0
    far = 1e9
    low = ops.min(ops.where(there, points, far), axis=1)
    high = ops.max(ops.where(there, points, -far), axis=1)
    nobody = ops.logical_not(ops.any(there, axis=1))
    low, high = ops.where(nobody, 0.0, low), ops.where(nobody, 0.0, high)
    middle = 0.5 * (low + high)
    half = 0.5 * ops.max(high - low, axis=-1, keepdims=True)
    half = ops.where(half > _SMALLEST_BOX, half, 1.0)
    inside = (points - middle[:, None]) / half[:, None]
    inside = ops.where(there, inside, 0.0)
    return ops.concatenate([inside, scores], axis=-1), ops.concatenate([middle, half], axis=-1)
