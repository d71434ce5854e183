"""Tests of detections from a file beside the records."""

import numpy as np
import pytest

from hpe.datasets.human36m.dataset import h36m
from hpe.errors import UserError
from hpe.pipeline.pose_config import PosePipelineConfig
from hpe.pipeline.poses import PoseSource
from hpe.records.poses import write_sequences
from tests import h36m_folders as folders


def test_records_that_lack_frames_do_not_meet_the_detections_of_other_frames(tmp_path):
    root = folders.write_npz(tmp_path / "npz")
    positions = {"S1": {"Walking": folders.raw_positions("S1", "Walking") / 1000}}
    positions["S1"]["Walking"][2] = np.nan
    np.savez(root / "data_3d_h36m.npz", positions_3d=positions)
    (found,) = h36m(root)
    write_sequences(found, tmp_path, progress=False)
    path = str(root / "data_2d_h36m_sh_pt_mpii.npz")
    assert PoseSource(tmp_path, [found.name], PosePipelineConfig(keypoints="sh")).count == 4 * 5
    with pytest.raises(UserError, match="frames of S1/Walking/54138969 were left out of the records"):
        PoseSource(tmp_path, [found.name], PosePipelineConfig(keypoints=path))
