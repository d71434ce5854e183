import gzip

import numpy as np
import pytest

from hpe.errors import UserError
from hpe.formats.bvh import read_bvh

TEXT = """HIERARCHY
ROOT hips
{
  OFFSET 1 2 3
  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
  JOINT arm
  {
    OFFSET 10 0 0
    CHANNELS 3 Xrotation Zrotation Yrotation
    JOINT hand
    {
      OFFSET 0 5 0
      CHANNELS 0
      End Site
      {
        OFFSET 0 1 0
      }
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.04
0 0 0  0 0 0  0 0 0
1 0 0  90 0 0  0 90 0
"""


def write(tmp_path, text, name="clip.bvh"):
    path = tmp_path / name
    data = text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def turn(axis, degrees):
    i, j = [(1, 2), (2, 0), (0, 1)]["xyz".index(axis)]
    matrix, angle = np.eye(3), np.radians(degrees)
    matrix[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    return matrix


@pytest.mark.parametrize("name", ["clip.bvh", "clip.bvh.gz"])
def test_reads_the_tree_and_places_the_joints(tmp_path, name):
    motion = read_bvh(write(tmp_path, TEXT, name))
    assert motion.joints == ("hips", "arm", "hand")
    assert motion.parents.tolist() == [-1, 0, 1]
    assert motion.frame_time == 0.04
    _, places = motion.place()
    np.testing.assert_allclose(places[0], [[1, 2, 3], [11, 2, 3], [11, 7, 3]], atol=1e-12)
    # The root turns x into y; the arm then y into -x of its parent, which is -y.
    np.testing.assert_allclose(places[1], [[2, 2, 3], [2, 12, 3], [2, 7, 3]], atol=1e-12)


def test_rotations_are_applied_in_the_order_of_the_channels(tmp_path):
    motion = read_bvh(write(tmp_path, TEXT.replace("1 0 0  90 0 0  0 90 0", "0 0 0  30 40 50  20 -35 70")))
    np.testing.assert_allclose(
        motion.rotations[1, 0], turn("z", 30) @ turn("y", 40) @ turn("x", 50), atol=1e-12
    )
    np.testing.assert_allclose(
        motion.rotations[1, 1], turn("x", 20) @ turn("z", -35) @ turn("y", 70), atol=1e-12
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HIERARCHY", "NOTHING", "no BVH file"),
        ("Frames: 2", "Frames: 3", "3 frames of 9 channels are 27 numbers; found 18"),
        ("Frames: 2", "Frames: -2", "whole number"),
        ("Frames: 2", "Frames: " + "9" * 5000, "whole number"),
        ("0 90 0\n", "0 90 nan\n", "not finite"),
        ("0 90 0\n", "0 90 x\n", "no number"),
        ("OFFSET 10 0 0", "OFFSET 10 0 zero", "offset of arm"),
        ("CHANNELS 3 Xrotation", "CHANNELS 3 Wrotation", "channels of arm"),
        ("CHANNELS 3 Xrotation Zrotation", "CHANNELS 3 Xrotation Xrotation", "channels of arm"),
        ("CHANNELS 0", "CHANNELS 999999999", "999999999 channels"),
        ("MOTION", "}", "found `}`"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path, old, new, message):
    with pytest.raises(UserError, match=message) as caught:
        read_bvh(write(tmp_path, TEXT.replace(old, new)))
    assert "clip.bvh" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_cut_short_and_bombs_are_told(tmp_path):
    for end in range(0, len(TEXT) - 12, 7):
        with pytest.raises(UserError):
            read_bvh(write(tmp_path, TEXT[:end]))
    whole = write(tmp_path, TEXT, "clip.bvh.gz").read_bytes()
    (tmp_path / "cut.bvh.gz").write_bytes(whole[:-20])
    with pytest.raises(UserError, match=r"cut\.bvh\.gz: cannot be read"):
        read_bvh(tmp_path / "cut.bvh.gz")
    joint = "JOINT j { OFFSET 0 0 0 CHANNELS 0 "
    with pytest.raises(UserError, match="more than 1000 joints"):
        read_bvh(write(tmp_path, "HIERARCHY ROOT j { OFFSET 0 0 0 CHANNELS 0 " + 2000 * joint))
    with pytest.raises(UserError, match="cannot be read"):
        read_bvh(tmp_path / "absent.bvh")
