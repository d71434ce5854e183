"""HRNet and the lifter as one system: 3D joints from pictures, for prediction alone.

The two are trained apart, each on what it learns from best: the first on labelled photographs, the second on motion
capture. See `hpe.systems.hrnet` and `hpe.systems.lifter`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from keras import ops

from hpe import skeletons
from hpe.errors import SettingError
from hpe.systems import judged_by
from hpe.systems.hrnet import Hrnet
from hpe.systems.lifter import InputFrame, LiftingSystem
from hpe.systems.prediction import Prediction, is_found


class HrnetLifter:
    """Finds 2D joints in crops and lifts them: predicts, see `hpe.systems.base`.

    Args:
        detector: finds 2D joints.
        lifter: lifts them; it must have been trained on poses in the person's own box, because a crop does not
            say where in its camera's image a person stood.

    Raises:
        UserError: the lifter needs other coordinates, or joints that the detector does not find.
    """

    name = "hrnet_lifter"
    input_key = "image"
    body_models = ()
    metrics = (*judged_by.KEYPOINTS, *judged_by.LIFTED)

    def __init__(self, detector: Hrnet, lifter: LiftingSystem):
        if lifter.config.input_frame is not InputFrame.CROP:
            raise SettingError(
                "lifter_checkpoint",
                "was trained on pixels of its cameras, which a crop has not; train one with "
                "`input_frame=crop`.",
            )
        found, wanted = skeletons.get(detector.skeleton), skeletons.get(lifter.input_skeleton)
        self._conversion = skeletons.convert(found, wanted, missing=True)
        if self._conversion.missing:
            raise SettingError(
                "lifter_checkpoint",
                f"lifts {wanted.name}, but {', '.join(self._conversion.missing)} of it cannot be told from the "
                f"{found.name} of `checkpoint`; train one of them for other joints.",
            )
        self.detector, self.lifter = detector, lifter
        self.input_shape = detector.input_shape
        self.skeleton = detector.skeleton
        self.networks = {
            **{f"hrnet/{name}": network for name, network in detector.networks.items()},
            **{f"lifter/{name}": network for name, network in lifter.networks.items()},
        }

    def infer(self, inputs) -> dict:
        """Finds and lifts the joints of images (B, S, S, 3).

        Returns:
            Dict with `joints2d` (B, J, 2) in [-1, 1], `confidence` (B, J), `joints3d` (B, 17, 3) metres from the
            pelvis, and `lifted2d`, the 2D joints in the lifter's joint set, NaN where
            they were not found.
        """
        found = self.detector.infer(inputs)
        # A joint that was not found lies anywhere, and what it helps to make is not found either.
        sure = is_found(ops.convert_to_tensor(found["confidence"]))
        joints2d = ops.where(sure[..., None], found["joints2d"], np.nan)
        lifted2d = ops.mean(ops.take(joints2d, self._conversion.sources, axis=1), axis=2)
        return {**found, "lifted2d": lifted2d, "joints3d": self.lifter.infer(lifted2d)["joints3d"]}

    def normalize2d(self, joints2d) -> np.ndarray:
        """Returns joints (B, J, 2) of the lifter's set, in any frame, as its network is shown them."""
        return ops.convert_to_numpy(self.lifter.standardized(ops.convert_to_tensor(joints2d)))

    def to_prediction(self, inferred: Mapping) -> Prediction:
        """Turns the tensors of `infer` into a Prediction: detected 2D joints, and 3D joints of `h36m17`."""
        arrays = {name: np.asarray(value, dtype=np.float32) for name, value in inferred.items()}
        return Prediction(
            skeleton=self.skeleton,
            joints2d=arrays["joints2d"],
            joints3d=arrays["joints3d"],
            skeleton3d=self.lifter.skeleton,
            confidence=arrays["confidence"],
        )
