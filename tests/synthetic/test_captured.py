import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe.body.data import load_body_model
from hpe.errors import UserError
from hpe.synthetic.captured import read_postures
from hpe.synthetic.people import SyntheticConfig, generate


def write(path, root, *, count=5):
    """An AMASS file, z up, of people who lean by 0.3 to their front and walk any way."""
    poses = np.zeros((count, 156))
    poses[:, :3] = root.as_rotvec()
    poses[:, 3:66] = np.random.default_rng(0).normal(scale=0.1, size=(count, 63))
    np.savez(path, poses=poses, betas=np.zeros(16), gender="neutral", mocap_framerate=10.0)


def test_people_stand_upright_whichever_way_they_walked(tmp_path):
    lean = Rotation.from_euler("x", np.full((5, 1), 0.3))
    heading = Rotation.from_euler("z", np.linspace(-3, 3, 5)[:, None])
    write(tmp_path / "a.npz", heading * Rotation.from_euler("x", np.pi / 2) * lean)
    postures = read_postures(str(tmp_path))
    assert postures.upright.all()
    np.testing.assert_allclose(postures.poses[:, :3], np.tile([0.3, 0, 0], (5, 1)), atol=1e-6)


def test_synthetic_people_take_the_postures_of_recordings(tmp_path):
    write(tmp_path / "a.npz", Rotation.from_euler("x", np.full((5, 1), np.pi / 2)))
    poses = read_postures(str(tmp_path)).poses
    config = SyntheticConfig(image_size=64, postures=str(tmp_path), postures_share=0.5)
    body = load_body_model()
    near = []
    for index in range(12):
        sample = generate(index, config, body)
        near.append(np.abs(poses[:, 3:] - sample.pose[3:]).max(axis=1).min() < 1e-6)
        if near[-1]:
            # y down in the camera's frame; the camera looks down by at most 25 degrees, and is hardly turned.
            up = Rotation.from_rotvec(sample.pose[:3]).apply([0.0, 1.0, 0.0])
            assert up[1] < -0.85
    assert 0 < sum(near) < 12


def test_what_holds_no_recording_is_one_line(tmp_path):
    with pytest.raises(UserError, match="holds no"):
        read_postures(str(tmp_path))
    np.savez(tmp_path / "a.npz", poses=np.zeros((3, 5)), betas=np.zeros(16))
    with pytest.raises(UserError, match=r"no recording could be used .poses are not"):
        read_postures(str(tmp_path))
