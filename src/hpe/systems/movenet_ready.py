"""MoveNet and the body of its joints as ready graphs: predictions of the shipped networks without TensorFlow.

It says what `hpe.systems.movenet.MoveNetBody` says; it can be neither trained nor fitted nor exported.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hpe import skeletons
from hpe.body.data import BodyModelData, load_body_model
from hpe.networks.ready import ready_graph
from hpe.systems.inputs import ImageInput
from hpe.systems.prediction import Prediction
from hpe.systems.settings.movenet import Evidence, MoveNetBodyConfig

_JOINTS = skeletons.COCO17
_KEYPOINTS = skeletons.COCOPLUS19
_SEEN = np.array([_KEYPOINTS.index(joint) for joint in _JOINTS.joints])

# Sides of the crops that the published networks are for.
_SIDES = {"lightning": 192, "thunder": 256}

# Settings that the graph of the body was made with.
_BUILT_WITH = (
    "smpl_model_path",
    "lifter_size",
    "lifter_blocks",
    "num_stage",
    "correction_size",
    "corrections",
    "refine",
)


class ReadyMoveNetBody:
    """The system where only predictions are wanted, NumPy in and out; see `hpe.systems.base.Predicts`.

    Args:
        config: of the networks.
        weights: of the lifter, by the names that they have in a released file.

    Raises:
        ValueError: the weights are of other networks.
    """

    name = "movenet"
    input_key = "image"
    skeleton = _KEYPOINTS.name
    detected_skeleton = _JOINTS.name
    refine = 0

    def __init__(self, config: MoveNetBodyConfig, weights: Mapping[str, np.ndarray]):
        self.config = config
        version = config.movenet.value
        self.image_size = _SIDES[version]
        self.input_shape = (self.image_size, self.image_size, 3)
        self._body_data = load_body_model(config.smpl_model_path)
        self.body_models = (self._body_data.name,)
        self._movenet = ready_graph(f"movenet_{version}")
        lifter = {name: array for name, array in weights.items() if name.startswith("lifter/")}
        self._body = ready_graph("movenet_body", lifter)
        self._observer = self._corrected = None
        if config.uses_evidence:
            self._corrected = ready_graph("movenet_corrected", weights)
            if version != config.evidence.value:
                self._observer = ready_graph("movenet_observer")

    def infer(self, images) -> dict:
        """Returns what `MoveNetBody.infer` returns, of crops (B, S, S, 3) uint8 RGB."""
        images = np.asarray(images, np.uint8)
        seen = self._movenet(image=images)
        detections = seen["detections"]
        scores = np.where(detections[..., 2:] >= self.config.min_score, detections[..., 2:], 0.0)
        seen["detections"] = np.concatenate([detections[..., :2], scores], axis=-1)
        if self._corrected is None:
            return self.infer_joints2d(seen["detections"])
        if self._observer is not None:
            seen |= self._observer(image=images)
        return {"detections": seen["detections"], **self._corrected(**seen)}

    def infer_joints2d(self, detections) -> dict:
        """Returns what `MoveNetBody.infer_joints2d` returns, of joints (B, 17, 3)."""
        detections = np.asarray(detections, np.float32)
        return {"detections": detections, **self._body(detections=detections)}

    def to_prediction(self, inferred: Mapping) -> Prediction:
        """Turns the arrays of `infer` into a Prediction."""
        return prediction_of(inferred, self._body_data)


def ready_movenet_body(
    config: MoveNetBodyConfig, input: ImageInput, weights: Mapping[str, np.ndarray]
) -> ReadyMoveNetBody | None:
    """Returns the system, or None where the settings are others than those of the graphs."""
    plain = MoveNetBodyConfig()
    as_built = all(getattr(config, name) == getattr(plain, name) for name in _BUILT_WITH)
    as_built = as_built and config.evidence is not Evidence.THUNDER
    if not as_built or input.img_size != _SIDES[config.movenet.value]:
        return None
    return ReadyMoveNetBody(config, weights)


def prediction_of(inferred: Mapping, body: BodyModelData) -> Prediction:
    """Turns what `MoveNetBody.infer` returns into a Prediction.

    Joints that MoveNet does not know have no confidence.

    Args:
        inferred: tensors or arrays by name.
        body: whose pose and shape they are.
    """
    arrays = {name: np.asarray(value, dtype=np.float32) for name, value in inferred.items()}
    confidence = np.zeros(arrays["joints2d"].shape[:2], np.float32)
    confidence[:, _SEEN] = arrays["detections"][..., 2]
    return Prediction(
        skeleton=_KEYPOINTS.name,
        joints2d=arrays["joints2d"],
        joints3d=arrays["joints3d"],
        camera=arrays["camera"],
        vertices=arrays["vertices"],
        faces=body.faces,
        vertex_colors=body.vertex_colors,
        pose=arrays["rotmats"],
        shape=arrays["shape"],
        confidence=confidence,
    )
