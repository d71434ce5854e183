import collections
import pickle
import subprocess
import sys
import types

import numpy as np
import pytest
import scipy.sparse

from hpe.errors import UserError
from hpe.formats.pickles import load_npz, load_pickle


def _write(path, value, protocol=2):
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_arrays_numbers_and_strings_come_back(tmp_path, protocol):
    value = {
        "poses": np.arange(12.0).reshape(4, 3),
        "count": np.float64(2.5),
        "ids": np.array([1, 2], np.uint32),
        "names": ["a", ("b", None, True)],
        "raw": b"\x00\xff",
        "ordered": collections.OrderedDict(x=1),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "text": np.array(["ab", "c"]),
    }
    loaded = load_pickle(_write(tmp_path / "a.pkl", value, protocol))
    assert set(loaded) == set(value)
    for key in ("poses", "ids", "fortran", "text"):
        np.testing.assert_array_equal(loaded[key], value[key])
    assert loaded["count"] == 2.5
    assert loaded["names"] == ["a", ("b", None, True)]
    assert loaded["raw"] == b"\x00\xff"
    assert loaded["ordered"] == {"x": 1}


@pytest.mark.parametrize("kind", ["csc_matrix", "csr_matrix", "csc_array", "csr_array"])
def test_sparse_matrices_become_dense(tmp_path, kind):
    dense = np.random.default_rng(0).random((7, 11)) * (np.random.default_rng(1).random((7, 11)) < 0.3)
    loaded = load_pickle(_write(tmp_path / "a.pkl", {"m": getattr(scipy.sparse, kind)(dense)}))
    np.testing.assert_array_equal(loaded["m"], dense)


def test_the_module_names_of_old_scipy_and_numpy_are_understood(tmp_path):
    data = pickle.dumps(scipy.sparse.csc_matrix(np.eye(3)), protocol=2)
    data = data.replace(b"scipy.sparse._csc\n", b"scipy.sparse.csc\n")
    data = data.replace(b"numpy._core.multiarray\n", b"numpy.core.multiarray\n")
    path = tmp_path / "a.pkl"
    path.write_bytes(data)
    np.testing.assert_array_equal(load_pickle(path), np.eye(3))


def test_python_2_strings_are_read_as_latin1(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"(dp0\nS'caf\\xe9'\np1\nI5\ns.")
    assert load_pickle(path) == {"caf\xe9": 5}


def test_chumpy_arrays_and_selections_are_decoded_without_chumpy(tmp_path, monkeypatch):
    def fake(name, **attributes):
        cls = type(name, (), {"__module__": "chumpy.ch", "__qualname__": name})
        setattr(sys.modules["chumpy.ch"], name, cls)
        made = cls()
        made.__dict__.update(attributes)
        return made

    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
        patch.setitem(sys.modules, "chumpy.ch", types.ModuleType("chumpy.ch"))
        base = fake("Ch", x=np.arange(12.0).reshape(3, 4), _dirty_vars=None)
        select = fake("Select", a=base, idxs=np.array([0, 5, 10, 11]), preferred_shape=(2, 2))
        path = _write(tmp_path / "a.pkl", {"shapedirs": base, "part": select})
        broken = _write(tmp_path / "b.pkl", {"shapedirs": fake("Rodrigues", rt=np.zeros(3))})
    assert "chumpy" not in sys.modules
    loaded = load_pickle(path)
    np.testing.assert_array_equal(loaded["shapedirs"], np.arange(12.0).reshape(3, 4))
    np.testing.assert_array_equal(loaded["part"], [[0.0, 5.0], [10.0, 11.0]])
    with pytest.raises(UserError, match=r"b\.pkl: .*chumpy\.ch\.Rodrigues holds no array"):
        load_pickle(broken)


class _Calls:
    """Asks, when unpickled, for a function to be called."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_that_wants_to_run_code_is_refused_by_name(tmp_path, protocol):
    target = tmp_path / "was_here"
    path = _write(tmp_path / "evil.pkl", {"v_template": _Calls(open, str(target), "w")}, protocol)
    with pytest.raises(UserError, match=r"evil\.pkl: refused, because it holds .*open") as caught:
        load_pickle(path)
    assert not target.exists()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (eval, ("1",), "eval"),
        (getattr, (1, "real"), "getattr"),
        (subprocess.Popen, (["true"],), "Popen"),
        (np.load, ("x.npy",), "numpy.load"),
        (types.SimpleNamespace, (), "types.SimpleNamespace"),
        (scipy.sparse.load_npz, ("x.npz",), "load_npz"),
    ],
)
def test_functions_and_classes_off_the_list_are_refused(tmp_path, function, arguments, name):
    path = _write(tmp_path / "a.pkl", [_Calls(function, *arguments)])
    with pytest.raises(UserError, match=f"refused, because it holds .*{name}"):
        load_pickle(path)


def test_an_object_of_any_other_class_cannot_be_rebuilt(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"ccopy_reg\n_reconstructor\n(cnumpy\nndarray\nc__builtin__\nobject\nNtR.")
    with pytest.raises(UserError, match="rebuilt in an unknown way"):
        load_pickle(path)


def test_damaged_and_missing_files_are_named(tmp_path):
    path = _write(tmp_path / "a.pkl", {"x": np.zeros(100)})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=r"a\.pkl: not a readable pickle"):
        load_pickle(path)
    with pytest.raises(UserError, match=r"none\.pkl: cannot be read"):
        load_pickle(tmp_path / "none.pkl")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_files_with_pickled_objects_are_read(tmp_path, save):
    value = {"S1": {"Walking": [np.arange(6.0).reshape(3, 2), None]}}
    rows = np.empty(2, object)
    rows[:] = [np.arange(2), "b"]
    save(tmp_path / "a.npz", positions=value, plain=np.eye(3, dtype=np.float32), rows=rows)
    loaded = load_npz(tmp_path / "a.npz")
    np.testing.assert_array_equal(loaded["positions"]["S1"]["Walking"][0], np.arange(6.0).reshape(3, 2))
    assert loaded["positions"]["S1"]["Walking"][1] is None
    np.testing.assert_array_equal(loaded["plain"], np.eye(3))
    np.testing.assert_array_equal(loaded["rows"][0], np.arange(2))
    assert loaded["rows"][1] == "b"
    assert set(load_npz(tmp_path / "a.npz", ("plain", "absent"))) == {"plain"}


def test_an_npz_file_that_wants_to_run_code_is_refused_by_name(tmp_path):
    target = tmp_path / "was_here"
    np.savez(tmp_path / "evil.npz", positions={"S1": _Calls(open, str(target), "w")})
    with pytest.raises(UserError, match=r"evil\.npz: refused, because it holds .*open") as caught:
        load_npz(tmp_path / "evil.npz")
    assert not target.exists()
    assert "\n" not in str(caught.value)


def test_damaged_npz_files_are_named(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, positions={"x": np.zeros(100)})
    content = path.read_bytes()
    for damaged in (content[:300], b"not at all", content.replace(b"NUMPY", b"NUMBY", 1)):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"a\.npz: not a readable npz file"):
            load_npz(path)
    with pytest.raises(UserError, match=r"none\.npz: cannot be read"):
        load_npz(tmp_path / "none.npz")


@pytest.mark.data
def test_a_genuine_mocap_pickle_is_read(data_dir):
    loaded = load_pickle(data_dir / "mocap" / "pkl" / "cmu_smpl_01_01.pkl")
    assert loaded["poses"].shape == (2751, 72)
    assert np.shape(loaded["betas"]) == (10,)
