"""The files of the ETH course on human pose and shape: predicted joints of a test set, and a run's validations.

`test_pred_joints.csv`: one line per record, in their order, without a header: 147 numbers `%.18e`, the 49 joints of
`spin49` in metres, x, y, z one after the other, not moved to any root. `val_accuracy_results.json`: a list of
`[step, {"val_mpjpe": mm, "val_pampjpe": mm, "val_v2v": mm}, epoch]`.
"""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from hpe import files
from hpe.errors import SettingError, UserError
from hpe.evaluation.judged import Judged
from hpe.skeletons import SPIN49

JOINTS_FILE = "test_pred_joints.csv"
VALIDATIONS_FILE = "val_accuracy_results.json"

# What the course's code measures, by the names it writes.
_COURSE = {
    "val_mpjpe": "course_mpjpe@spin49",
    "val_pampjpe": "course_pa_mpjpe@spin49",
    "val_v2v": "pve@body",
}


class PredictedJoints:
    """Keeps the predicted joints of a system; one of the accumulators of `hpe.evaluation.judge`.

    Args:
        system: one that predicts `spin49`.

    Raises:
        SettingError: it predicts another joint set.
    """

    def __init__(self, system):
        skeleton = getattr(system, "skeleton3d", system.skeleton)
        if skeleton != SPIN49.name or not system.body_models:
            raise SettingError(
                "test_pred_joints", f"needs a body's {SPIN49.name}; train pare with `skeleton={SPIN49.name}`."
            )
        self._parts: list[np.ndarray] = []

    def add(self, judged: Judged) -> None:
        """Keeps the joints of a batch."""
        self._parts.append(np.asarray(judged.prediction.joints3d, np.float64))

    def write(self, folder: str | os.PathLike) -> list[str]:
        """Writes all that was kept; returns the file's name in a list."""
        joints = np.concatenate(self._parts) if self._parts else np.zeros((0, len(SPIN49), 3))
        write_predicted_joints(pathlib.Path(folder) / JOINTS_FILE, joints)
        return [JOINTS_FILE]


def write_predicted_joints(path: str | os.PathLike, joints: np.ndarray) -> None:
    """Writes joints (N, 49, 3) in metres in one move.

    Raises:
        ValueError: the joints are of another shape.
        UserError: a joint is not finite, or the file cannot be written.
    """
    joints = np.asarray(joints, np.float64)
    if joints.ndim != 3 or joints.shape[1:] != (len(SPIN49), 3):
        raise ValueError(f"joints must be (N, {len(SPIN49)}, 3). Received: shape={joints.shape}")
    bad = np.flatnonzero(~np.isfinite(joints).all(axis=(1, 2)))
    if len(bad):
        raise UserError(f"{path}: the prediction of row {bad[0] + 1} is not finite; nothing was written.")
    lines = [",".join(f"{number:.18e}" for number in row.ravel()) + "\n" for row in joints]
    files.write_text(pathlib.Path(path), "".join(lines))


def write_validations(
    folder: str | os.PathLike, validations: Sequence[tuple[int, float, Mapping[str, float | None]]]
) -> list[str]:
    """Writes `val_accuracy_results.json` of validations as `validations_to_json` takes them; returns its name.

    Raises:
        UserError: the file cannot be written.
    """
    files.write_text(pathlib.Path(folder) / VALIDATIONS_FILE, validations_to_json(validations))
    return [VALIDATIONS_FILE]


def validations_to_json(validations: Sequence[tuple[int, float, Mapping[str, float | None]]]) -> str:
    """Returns the text of `val_accuracy_results.json`.

    Args:
        validations: step, finished epochs and metrics by name, in order. Those without the course's metrics, as of
            a system that does not predict the 49 joints, hold none of them.
    """
    rows = []
    for step, epoch, values in validations:
        named = {name: values[metric] for name, metric in _COURSE.items() if values.get(metric) is not None}
        rows.append([int(step), named, int(epoch)])
    return json.dumps(rows, indent=2) + "\n"
