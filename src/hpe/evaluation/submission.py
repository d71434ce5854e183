"""Prediction files in the layout of the ETH course on Human3.6M: normalised 2D joints, and 3D joints.

`submission.csv`: `Id,Hip_x,Hip_y,RHip_x,...`, 34 normalised coordinates per row. `final_submission.csv.gz`:
`Id,Hip_x,Hip_y,Hip_z,...`, 51 coordinates per row, mm relative to the hip. Ids count from 1, in the order of the
records. 2D joints are normalised as the lifter is shown them, by the statistics of what it was trained on.
"""

from __future__ import annotations

import gzip
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from hpe import files, skeletons
from hpe.errors import SettingError, UserError
from hpe.evaluation.judged import Judged
from hpe.records.reading import DatasetShards

# The course's names of the joints of `h36m17`, in its order.
JOINTS = (
    *("Hip", "RHip", "RKnee", "RFoot", "LHip", "LKnee", "LFoot", "Spine", "Thorax", "Neck/Nose", "Head"),
    *("LShoulder", "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist"),
)
FILES = {2: "submission.csv", 3: "final_submission.csv.gz"}
_AXES = "xyz"
_MILLIMETRES = 1000.0


class Submission:
    """Keeps what a system predicts, for the prediction files; one of the accumulators of `hpe.evaluation.judge`.

    Args:
        system: one that finds and lifts all joints of `h36m17`, see `hpe.systems.hrnet_lifter`.

    Raises:
        UserError: it is of another system, or of another joint set.
    """

    def __init__(self, system):
        normalize = getattr(system, "normalize2d", None)
        wanted = skeletons.H36M17.name
        if normalize is None or system.skeleton != wanted or system.lifter.input_skeleton != wanted:
            raise SettingError(
                "submission",
                f"needs `system=hrnet_lifter`, both of its runs with all joints of {wanted} (train them "
                f"with `skeleton={wanted}` and `input_skeleton={wanted}`).",
            )
        self._normalize = normalize
        self._joints: dict[int, list[np.ndarray]] = {2: [], 3: []}

    @staticmethod
    def check(shards: Sequence[DatasetShards]) -> None:
        """Raises UserError if images are missing in the records: all Ids behind them would be wrong."""
        for dataset in shards:
            skipped = dataset.manifest.skipped if dataset.manifest else {}
            for reason, names in skipped.items():
                raise SettingError(
                    "submission",
                    f"{dataset.name} lacks {len(names)} images ({reason}: {names[0]}, ...), so Ids would "
                    "not be those of the list; complete the folder and create the records again.",
                )

    def add(self, judged: Judged) -> None:
        """Keeps the predictions of a batch."""
        self._joints[2].append(self._normalize(judged.prediction.joints2d))
        self._joints[3].append(_MILLIMETRES * judged.prediction.joints3d)

    def write(self, folder: str | os.PathLike) -> list[str]:
        """Writes all that was kept; returns the files' names."""
        for size, parts in self._joints.items():
            write_submission(pathlib.Path(folder) / FILES[size], np.concatenate(parts))
        return list(FILES.values())


def header(dimensions: int) -> str:
    """Returns the first line of a file of 2D or 3D joints, without its end."""
    return ",".join(["Id", *(f"{joint}_{axis}" for joint in JOINTS for axis in _AXES[:dimensions])])


def write_submission(path: str | os.PathLike, joints: np.ndarray) -> None:
    """Writes joints of `h36m17` in one move, compressed if the name ends in `.gz`.

    Args:
        path: the file.
        joints: (N, 17, 2) normalised 2D joints or (N, 17, 3) mm relative to the hip.

    Raises:
        ValueError: the joints are of another shape.
        UserError: a joint is not finite, or the file cannot be written.
    """
    path, joints = pathlib.Path(path), np.asarray(joints, np.float64)
    if joints.ndim != 3 or joints.shape[1] != len(JOINTS) or joints.shape[2] not in FILES:
        raise ValueError(f"joints must be (N, 17, 2) or (N, 17, 3). Received: shape={joints.shape}")
    bad = np.flatnonzero(~np.isfinite(joints).all(axis=(1, 2)))
    if len(bad):
        raise UserError(f"{path}: the prediction of row {bad[0] + 1} is not finite; nothing was written.")
    rows = [header(joints.shape[2])]
    rows += [
        ",".join([str(number), *(f"{value:.6g}" for value in row.ravel())])
        for number, row in enumerate(joints, 1)
    ]
    content = ("\n".join(rows) + "\n").encode()
    # Without the time in its head, equal predictions give equal files.
    files.write_bytes(path, gzip.compress(content, mtime=0) if path.name.endswith(".gz") else content)
