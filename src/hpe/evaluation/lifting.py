"""Errors of 3D poses from 2D poses by the protocols of Human3.6M, per action and over all.

All 17 joints count, the pelvis too. Protocol 1 is MPJPE with the pelvis as root, protocol 2 is PA-MPJPE, after the
best similarity transform; N-MPJPE scales the prediction alone (Rhodin et al., 2018). Published tables hold the mean
over the 15 actions, here `mpjpe_actions` and so on; `mpjpe` and so on are the mean over all frames.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from tqdm import tqdm

from hpe.errors import SettingError, UserError
from hpe.evaluation.evaluator import Evaluation, SampleResult
from hpe.evaluation.report import Metric
from hpe.geometry.alignment import procrustes_align
from hpe.inference.predictor import Predictor
from hpe.pipeline.poses import PoseSource

_MILLIMETRES = 1000.0

# The short names of the measures, in the order of the report.
MEASURES = ("mpjpe", "pa_mpjpe", "n_mpjpe")


def evaluate_poses(
    predictor: Predictor, source: PoseSource, *, batch_size: int, show_progress: bool = True
) -> Evaluation:
    """Lifts every frame of a source once and compares with its 3D joints.

    Args:
        predictor: a system that takes 2D joints.
        source: the frames; those without 3D joints are left out.
        batch_size: frames per step; changes speed, not results.
        show_progress: draw a progress bar on stderr.

    Returns:
        An Evaluation; its samples are frames.

    Raises:
        UserError: no frame has 3D joints, or a prediction is not finite.
    """
    predicted, truth, known, names = [], [], [], []
    bar = tqdm(total=source.count, unit="pose", disable=not show_progress, dynamic_ncols=True, leave=False)
    with bar:
        for batch in source.evaluation_batches(batch_size=batch_size).as_numpy_iterator():
            valid = int(batch["valid"].sum())
            lifted = predictor(batch["joints2d"]).joints3d[:valid]
            names += [name.decode() for name in batch["name"][:valid]]
            if not np.isfinite(lifted).all():
                row = int(np.flatnonzero(~np.isfinite(lifted).all(axis=(1, 2)))[0])
                raise UserError(
                    f"{names[row - valid]}: its prediction is not finite; training has diverged, so take an "
                    "earlier checkpoint."
                )
            predicted.append(lifted)
            truth.append(batch["joints3d"][:valid])
            known.append(batch["joints3d_weight"][:valid].all(axis=1))
            bar.update(valid)
    rows = np.flatnonzero(np.concatenate(known))
    if not len(rows):
        raise SettingError("val_datasets", "no frame has 3D joints to compare with.")
    errors = pose_errors(np.concatenate(predicted)[rows], np.concatenate(truth)[rows])
    samples = [
        SampleResult(int(row), names[row], mpjpe=float(error))
        for row, error in zip(rows, errors["mpjpe"], strict=True)
    ]
    return Evaluation(summarize(errors, source.actions[rows]), samples)


def pose_errors(predicted, target) -> dict[str, np.ndarray]:
    """Measures poses by all protocols.

    Args:
        predicted, target: (N, J, 3) metres, the pelvis first.

    Returns:
        `mpjpe`, `pa_mpjpe` and `n_mpjpe`, each (N,) float64 millimetres.
    """
    predicted, target = (np.asarray(value, np.float64) for value in (predicted, target))
    predicted, target = predicted - predicted[:, :1], target - target[:, :1]
    square = (predicted**2).sum(axis=(1, 2))
    scale = (predicted * target).sum(axis=(1, 2)) / np.where(square > 0, square, 1.0)
    compared = {
        "mpjpe": predicted,
        "pa_mpjpe": procrustes_align(predicted, target),
        "n_mpjpe": predicted * scale[:, None, None],
    }
    return {
        name: _MILLIMETRES * np.linalg.norm(poses - target, axis=-1).mean(axis=-1)
        for name, poses in compared.items()
    }


def summarize(errors: Mapping[str, np.ndarray], actions: np.ndarray) -> list[Metric]:
    """Returns means over all frames, the mean over actions of their means, and the mean of every action.

    Args:
        errors: of `pose_errors`.
        actions: (N,) strings; empty where the action is not known.
    """
    count = len(actions)
    metrics = [Metric("poses", count)]
    metrics += [Metric(name, float(errors[name].mean()), "mm", count) for name in MEASURES]
    known = [action for action in np.unique(actions) if action]
    by_action = {
        name: {action: float(errors[name][actions == action].mean()) for action in known} for name in MEASURES
    }
    if known:
        frames = int((actions != "").sum())
        metrics += [
            Metric(f"{name}_actions", float(np.mean([*by_action[name].values()])), "mm", frames)
            for name in MEASURES
        ]
    metrics += [
        Metric(f"{name}/{action}", by_action[name][action], "mm", int((actions == action).sum()))
        for name in MEASURES
        for action in known
    ]
    return metrics
