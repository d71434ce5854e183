"""Mean parameters in the layouts of HMR's h5 and SPIN's npz."""

import h5py
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe.body.mean_parameters import load_mean_parameters
from hpe.errors import UserError


@pytest.fixture
def means():
    """Returns rotations (24) by SciPy, shape (10,) and camera (3,)."""
    generator = np.random.default_rng(0)
    return (
        Rotation.from_rotvec(0.8 * generator.normal(size=(24, 3))),
        generator.normal(size=10),
        [0.8, 0.1, 0],
    )


def _write_h5(path, **tables):
    with h5py.File(path, "w") as file:
        for key, value in tables.items():
            file[key] = value
    return path


def test_h5_holds_axis_angle(tmp_path, means):
    rotations, shape, _ = means
    path = _write_h5(tmp_path / "mean.h5", pose=rotations.as_rotvec().reshape(-1), shape=shape)
    found = load_mean_parameters(path)
    np.testing.assert_allclose(found.pose, rotations.as_rotvec().reshape(-1), rtol=1e-6)
    np.testing.assert_allclose(found.shape, shape, rtol=1e-6)
    assert found.pose.dtype == found.shape.dtype == np.float32
    assert found.camera is None


def test_npz_holds_the_first_two_columns_of_matrices_row_by_row(tmp_path, means):
    rotations, shape, camera = means
    sixes = rotations.as_matrix()[:, :, :2].reshape(-1)
    np.savez(tmp_path / "mean.npz", pose=sixes, shape=shape, cam=camera)
    found = load_mean_parameters(tmp_path / "mean.npz")
    np.testing.assert_allclose(found.pose.reshape(24, 3), rotations.as_rotvec(), atol=1e-5)
    np.testing.assert_allclose(found.shape, shape, rtol=1e-6)
    np.testing.assert_allclose(found.camera, camera, rtol=1e-6)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"shape": np.zeros(10)}, "it holds no pose; expected an h5 or npz file"),
        ({"pose": np.zeros(72)}, "it holds no shape"),
        ({"pose": np.zeros(71), "shape": np.zeros(10)}, r"it holds pose float64 \(71,\)"),
        ({"pose": np.full(72, "a"), "shape": np.zeros(10)}, "it holds pose <U1"),
        ({"pose": np.zeros(72), "shape": np.zeros(300)}, r"it holds shape float64 \(300,\)"),
        ({"pose": np.zeros(72), "shape": np.full(10, np.nan)}, "shape holds numbers that are not finite"),
        ({"pose": np.zeros(72), "shape": np.zeros(10), "cam": np.zeros(4)}, r"it holds cam float64 \(4,\)"),
        ({"pose": np.array([object()]), "shape": np.zeros(10)}, "cannot be read"),
    ],
)
def test_files_of_something_else_say_what(tmp_path, tables, message):
    np.savez(tmp_path / "mean.npz", **tables)
    with pytest.raises(UserError, match=rf"mean_params=.*mean\.npz: {message}") as error:
        load_mean_parameters(tmp_path / "mean.npz")
    assert "\n" not in str(error.value)


def test_an_h5_of_groups_is_no_mean(tmp_path):
    with h5py.File(tmp_path / "mean.h5", "w") as file:
        file.create_group("pose")
    with pytest.raises(UserError, match="it holds no pose"):
        load_mean_parameters(tmp_path / "mean.h5")


@pytest.mark.parametrize("content", [b"", b"text", b"\x89HDF\r\n\x1a\n broken", b"PK\x03\x04 broken"])
def test_unreadable_files_are_named(tmp_path, content):
    (tmp_path / "mean.h5").write_bytes(content)
    with pytest.raises(UserError, match=r"mean_params=.*mean\.h5: cannot be read; expected"):
        load_mean_parameters(tmp_path / "mean.h5")


def test_a_bare_npy_is_no_mean(tmp_path):
    np.save(tmp_path / "mean.npy", np.zeros(72))
    with pytest.raises(UserError, match=r"mean_params=.*mean\.npy: cannot be read; expected"):
        load_mean_parameters(tmp_path / "mean.npy")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"mean_params=.*none\.h5: there is no such file"):
        load_mean_parameters(tmp_path / "none.h5")


@pytest.mark.data
def test_the_public_files_agree(data_dir):
    """Both hold SMPL's mean pose; that of HMR stands upright in the camera frame already."""
    aux = data_dir / "smpl_aux"
    hmr = load_mean_parameters(aux / "neutral_smpl_mean_params.h5")
    spin = load_mean_parameters(aux / "smpl_mean_params.npz")
    assert hmr.pose[0] == pytest.approx(np.pi, abs=1e-3)
    relative = Rotation.from_rotvec(hmr.pose.reshape(24, 3)[1:]).inv() * Rotation.from_rotvec(
        spin.pose.reshape(24, 3)[1:]
    )
    assert relative.magnitude().max() < 1e-2
    np.testing.assert_allclose(hmr.shape, spin.shape, atol=1e-4)
    np.testing.assert_allclose(spin.camera, [0.9, 0, 0], atol=1e-6)
