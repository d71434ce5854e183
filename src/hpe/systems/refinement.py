"""What a system has inferred, fitted to 2D joints and to masks: the same for every system that predicts a body."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from hpe import skeletons
from hpe.backends.choice import graph_compiled, xla_compiled
from hpe.errors import SettingError
from hpe.geometry.cameras import normalized_to_pixels, pixels_to_normalized, weak_perspective_project
from hpe.losses.silhouette import mesh_reprojection
from hpe.networks.body_lifter import normalize_joints
from hpe.systems.fitting import fit, joint_misfit

# What a mean distance between outline and mask costs, in halves of the box; see `hpe.systems.fitting` for joints.
_SILHOUETTE = 10.0


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What bodies are fitted to, in the crops of a batch.

    Attributes:
        joints2d: (B, K, 3) x, y in [-1, 1] and the weight in [0, 1], 0 where nothing is known, of the joint set of
            the system; None for the joints that the system, or MoveNet, finds in the crops.
        masks: (B, S, S), non-zero pixels are the person; None without.
        has_mask: (B,), > 0 where a person has a mask; None where all have one.
    """

    joints2d: Any = None
    masks: Any = None
    has_mask: Any = None


class Refinement:
    """Fits the bodies that a system has inferred.

    Args:
        system: a `hpe.systems.base.Predicts` with a body.
        steps: of the fit, at least 1.

    Raises:
        SettingError: the system predicts no body.
    """

    def __init__(self, system, *, steps: int):
        if not system.body_models or not hasattr(system, "body"):
            raise SettingError("refine", f"{system.name} predicts no body that could be fitted.", steps)
        self._system, self._steps = system, steps
        self._movenet = None
        compiled = xla_compiled if getattr(system.config, "compile_body", True) else graph_compiled
        # The search for nearest pixels is not for XLA.
        self._fit = {False: compiled(self._fitted), True: graph_compiled(self._fitted_to_masks)}

    def __call__(self, inferred: Mapping, images=None, evidence: Evidence | None = None) -> dict:
        """Returns what was inferred with the fitted bodies in place of the predicted ones.

        Args:
            inferred: of the system's `infer`.
            images: (B, S, S, 3) the crops, in which joints are looked for where none are given or were inferred.
            evidence: what to fit to; None for the joints found in the crops.
        """
        evidence = evidence or Evidence()
        joints = evidence.joints2d
        joints = self._found(inferred, images) if joints is None else ops.convert_to_tensor(joints, "float32")
        start = {name: ops.convert_to_tensor(inferred[name]) for name in ("rotmats", "shape", "camera")}
        if evidence.masks is None:
            return {**inferred, **self._fit[False](start, joints)}
        masks = ops.convert_to_tensor(evidence.masks)
        there = np.ones(len(masks), np.float32) if evidence.has_mask is None else evidence.has_mask
        there = ops.convert_to_tensor(there, "float32")
        return {**inferred, **self._fit[True](start, joints, masks, there)}

    def _found(self, inferred, images):
        """Returns joints (B, K, 3): the system's own, or what MoveNet finds in the crops."""
        system = self._system
        if "detections" in inferred:
            return _in_set(inferred["detections"], system.detected_skeleton, system.skeleton)
        if self._movenet is None:
            from hpe.networks.movenet import MoveNet

            self._movenet = MoveNet("lightning")
            self._detect = graph_compiled(self._detected)
        return _in_set(self._detect(images), skeletons.COCO17.name, system.skeleton)

    def _detected(self, images):
        size = self._movenet.size.picture
        images = ops.image.resize(ops.cast(images, "float32"), (size, size), interpolation="bilinear")
        joints = self._movenet(images / 127.5 - 1.0)
        return ops.concatenate([pixels_to_normalized(joints[..., :2], size), joints[..., 2:]], axis=-1)

    def _fitted(self, start, joints):
        inside, box = normalize_joints(joints)

        def misfit(parameters):
            posed = self._system.body(parameters["rotmats"], parameters["shape"], vertices=False)
            return joint_misfit(weak_perspective_project(posed["keypoints"], parameters["camera"]), inside)

        return self._posed(fit(_into_box(start, box), misfit, steps=self._steps), box)

    def _fitted_to_masks(self, start, joints, masks, has_mask):
        inside, box = normalize_joints(joints)
        size = masks.shape[1]

        def misfit(parameters):
            posed = self._system.body(parameters["rotmats"], parameters["shape"], vertices=True)
            keypoints, vertices = (
                weak_perspective_project(posed[name], parameters["camera"])
                for name in ("keypoints", "vertices")
            )
            pixels = normalized_to_pixels(box[:, None, :2] + box[:, None, 2:] * vertices, size)
            _, distances = mesh_reprojection(pixels, masks, has_mask)
            return joint_misfit(keypoints, inside) + _SILHOUETTE * distances / (box[:, 2] * size / 2)

        return self._posed(fit(_into_box(start, box), misfit, steps=self._steps), box)

    def _posed(self, parameters, box):
        """Returns the bodies in the crops, as `infer` does."""
        parameters = parameters | {"camera": camera_of_box(parameters["camera"], box)}
        posed = self._system.body(parameters["rotmats"], parameters["shape"])
        keypoints = posed["keypoints"]
        return parameters | {
            "joints3d": keypoints,
            "joints2d": weak_perspective_project(keypoints, parameters["camera"]),
            "vertices": posed["vertices"],
        }


def camera_of_box(camera, box):
    """Moves weak-perspective cameras (B, 3) out of the boxes (B, 3) of `normalize_joints`."""
    # half s (X + t) + middle = half s (X + t + middle / (half s))
    scale = box[:, 2:] * camera[:, :1]
    return ops.concatenate([scale, camera[:, 1:] + box[:, :2] / scale], axis=-1)


def camera_in_box(camera, box):
    """Moves weak-perspective cameras (B, 3) into boxes (B, 3): undoes `camera_of_box`."""
    scale = camera[:, :1]
    return ops.concatenate([scale / box[:, 2:], camera[:, 1:] - box[:, :2] / scale], axis=-1)


def _into_box(parameters, box):
    return parameters | {"camera": camera_in_box(parameters["camera"], box)}


def _in_set(joints, source: str, target: str):
    """Returns joints (B, J, 3) in another joint set, by their names; what the first lacks has weight 0."""
    known = skeletons.get(source).joints
    places = [known.index(joint) if joint in known else len(known) for joint in skeletons.get(target).joints]
    nothing = ops.zeros_like(joints[:, :1])
    return ops.take(ops.concatenate([joints, nothing], axis=1), np.array(places), axis=1)
