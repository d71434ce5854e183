"""What the networks of `hpe.systems.movenet` minimise: each a sum and a count, and the weights of all.

Every body of the way counts, the corrected ones as those of the joints alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keras import ops

from hpe import skeletons
from hpe.geometry.cameras import normalized_to_pixels, weak_perspective_project
from hpe.geometry.rotations import axis_angle_to_rotmat
from hpe.losses.body_parameters import body_parameter_mse, joints3d_mse, rotation_mse
from hpe.losses.heatmaps import location_entropy, mask_entropy
from hpe.losses.keypoints import keypoint_l1
from hpe.losses.means import Mean, mean_of
from hpe.losses.silhouette import mesh_reprojection
from hpe.networks.evidence import cells

Parts = dict[str, Mean]
Weights = dict[str, float]

_LABELLED = len(skeletons.LSP14)
# The mask's entropy is a few tenths of a nat a cell, that of a joint's place a few nats.
_MASK = 4.0


def body_losses(config, stages: Sequence[Mapping], batch: Mapping) -> tuple[Parts, Weights]:
    """Compares the bodies of all stages with 2D joints, and where there are any with parameters and 3D joints."""
    parts, weights = {}, {}
    if config.kpr_loss_weight:
        parts["kpr_loss"] = _summed(
            keypoint_l1(stage["joints2d"], batch["joints2d"], batch["joints2d_weight"]) for stage in stages
        )
        weights["kpr_loss"] = config.kpr_loss_weight
    if config.body_loss_weight:
        truth = axis_angle_to_rotmat(ops.reshape(batch["pose"], (-1, 24, 3)))
        there = batch["pose_weight"], batch["shape_weight"]
        parts["body_loss"] = _summed(
            body_parameter_mse(stage["rotmats"], stage["shape"], truth, batch["shape"], *there)
            for stage in stages
        )
        weights["body_loss"] = config.body_loss_weight
    if config.joints3d_loss_weight:
        parts["joints3d_loss"] = _summed(
            joints3d_mse(stage["joints3d"], batch["joints3d"], batch["joints3d_weight"]) for stage in stages
        )
        weights["joints3d_loss"] = config.joints3d_loss_weight
    if config.shape_loss_weight:
        parts["shape_loss"] = _summed(mean_of(ops.square(stage["shape"])) for stage in stages)
        weights["shape_loss"] = config.shape_loss_weight
    return parts, weights


def outline_loss(stage: Mapping, batch: Mapping, size: int, *, measure) -> Mean:
    """Mesh reprojection of a stage with vertices, in pixels of a 224-pixel crop, so that one weight serves all."""
    points = normalized_to_pixels(weak_perspective_project(stage["vertices"], stage["camera"]), size)
    distance, _ = mesh_reprojection(points, batch["silhouette"], batch["silhouette_weight"], measure=measure)
    return Mean(distance.total * (224.0 / size), distance.count)


def evidence_losses(config, outputs: Mapping, batch: Mapping) -> tuple[Parts, Weights]:
    """Compares heat maps and mask with labels; holds what the evidence does not move: depth follows from joints."""
    parts, weights = {}, {}
    if config.maps_loss_weight:
        evidence = outputs["evidence"]
        side = evidence["heatmaps"].shape[1]
        parts["joint_maps_loss"] = location_entropy(
            evidence["heatmaps"],
            cells(batch["joints2d"][:, :_LABELLED], side),
            batch["joints2d_weight"][:, :_LABELLED],
        )
        parts["mask_loss"] = mask_entropy(
            evidence["mask"][..., 0], batch["silhouette"], batch["silhouette_weight"]
        )
        weights["joint_maps_loss"] = config.maps_loss_weight
        weights["mask_loss"] = _MASK * config.maps_loss_weight
    lifted = outputs["stages"][: -config.corrections]
    corrected = outputs["stages"][-config.corrections :]
    if config.hold_loss_weight:
        found = outputs["evidence"]["joints"]
        parts["hold_loss"] = _summed(
            keypoint_l1(stage["joints2d"][:, :_LABELLED], found[..., :2], found[..., 2])
            for stage in corrected
        )
        weights["hold_loss"] = config.hold_loss_weight
    if config.stay_loss_weight:
        start = ops.stop_gradient(lifted[-1]["rotmats"])
        untold = ops.ones_like(start[:, 0, 0, 0])
        if "pose_weight" in batch:
            untold = ops.cast(batch["pose_weight"] <= 0.0, "float32")
        parts["stay_loss"] = _summed(rotation_mse(stage["rotmats"], start, untold) for stage in corrected)
        weights["stay_loss"] = config.stay_loss_weight
    return parts, weights


def _summed(means) -> Mean:
    """Returns one Mean over all stages."""
    first, *others = means
    for mean in others:
        first = Mean(first.total + mean.total, first.count + mean.count)
    return first
