import collections
import os
import pickle
import subprocess
import sys
import types

import numpy as np
import pytest
import scipy.sparse

from hpe.errors import UserError
from hpe.formats import limits
from hpe.formats.pickles import load_pickle


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


def _array_state(dtype, shape, content):
    """Returns the opcodes of an array that is given its state."""
    head = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"
    return head + b"(K\x01" + shape + dtype + b"\x89" + content + b"tb"


def _dtype(spelling, state=b""):
    return b"cnumpy\ndtype\n(X" + len(spelling).to_bytes(4, "little") + spelling + b"\x89\x88tR" + state


_TWO = b"(K\x02t"
_LAUGHS = (
    b"]q\x00("
    + b"K\x00" * 9
    + b"e"
    + b"".join(
        b"]q" + bytes([place]) + b"(" + (b"h" + bytes([place - 1])) * 9 + b"e" for place in range(1, 12)
    )
)
HOSTILE = {
    "buffer of objects": b"cnumpy\nndarray\n(K\x01tX\x01\x00\x00\x00OC\x08AAAAAAAAtR",
    "objects as bytes": _array_state(
        _dtype(b"O", b"(K\x03X\x01\x00\x00\x00|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"),
        _TWO,
        b"C\x10" + b"A" * 16,
    ),
    "fields": _array_state(
        _dtype(b"V8", b"(K\x04X\x01\x00\x00\x00|N(X\x01\x00\x00\x00at}K\x08K\x01K\x00tb"),
        _TWO,
        b"C\x10" + b"A" * 16,
    ),
    "sizes of texts": _array_state(
        _dtype(b"S4", b"(K\x03X\x01\x00\x00\x00|NNNK\x08K\x01K\x00tb"), _TWO, b"C\x10" + b"A" * 16
    ),
    "too few bytes": _array_state(_dtype(b"f8"), b"(J\xff\xff\xff\x7ft", b"C\x08" + b"A" * 8),
    "negative shape": _array_state(
        _dtype(b"f8"), b"(J\xff\xff\xff\xffJ\xff\xff\xff\xfft", b"C\x08" + b"A" * 8
    ),
    "many objects": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(J\x00\xca\x9a;tX\x01\x00\x00\x00OtR",
    "many empty lists": _array_state(_dtype(b"O"), b"(J\x00\xca\x9a;K\x01t", b"]"),
    "lists of lists": _LAUGHS,
    "a list of itself": b"]q\x00h\x00a",
    "endless depth": b"]" * 100_000 + b"a" * 99_999,
    "a long text": b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",
    "a sparse matrix of gigabytes": (
        b"cscipy.sparse.csc\ncsc_matrix\n)\x81}(X\x06\x00\x00\x00_shape(J\x00\xca\x9a;K\x01t"
        b"X\x04\x00\x00\x00data](GAAAAAAAAeX\x07\x00\x00\x00indices](K\x00eX\x06\x00\x00\x00indptr](K\x00K\x01eub"
    ),
    "a function as a value": b"c_codecs\nencode\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused_in_one_line(tmp_path, name):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x03" + HOSTILE[name] + b".")
    with pytest.raises(UserError, match=r"a\.pkl: (not a readable pickle|refused)") as caught:
        load_pickle(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_name_of_several_lines_is_told_in_one(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x04\x8c\x03a\nb\x8c\x03c\nd\x93.")
    with pytest.raises(UserError, match=r"holds a b\.c d, which") as caught:
        load_pickle(path)
    assert "\n" not in str(caught.value)


def test_a_place_of_the_memo_far_away_costs_nothing(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x03Nr\x00\x00\x00\x20.")
    assert load_pickle(path) is None


def test_one_array_in_several_places_is_one_object_and_is_counted(tmp_path, monkeypatch):
    array = np.zeros(1000)
    path = _write(tmp_path / "a.pkl", [array] * 50)
    loaded = load_pickle(path)
    assert all(item is loaded[0] for item in loaded)
    monkeypatch.setattr(limits, "ALWAYS_ALLOWED", 0)
    with pytest.raises(UserError, match="more than a file of this size may ask for"):
        load_pickle(path)


@pytest.mark.parametrize("values", [[1, "a", None], [[1.5, 2], [None, "b"], [3, 4]]])
def test_arrays_of_objects_become_lists(tmp_path, values):
    array = np.array(values, object)
    assert load_pickle(_write(tmp_path / "a.pkl", array)) == values
    assert load_pickle(_write(tmp_path / "a.pkl", np.asfortranarray(array))) == values
    assert load_pickle(_write(tmp_path / "a.pkl", np.array({"a": 1}, object))) == {"a": 1}


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.pkl")
    with pytest.raises(UserError, match=r"a\.pkl: cannot be read \(it is no regular file\)"):
        load_pickle(tmp_path / "a.pkl")


@pytest.mark.data
def test_a_genuine_mocap_pickle_is_read(data_dir):
    loaded = load_pickle(data_dir / "mocap" / "pkl" / "cmu_smpl_01_01.pkl")
    assert loaded["poses"].shape == (2751, 72)
    assert np.shape(loaded["betas"]) == (10,)
