import io
import os
import zipfile

import numpy as np
import pytest

from hpe.errors import UserError
from hpe.formats.npz import load_npy, load_npz, npz_shapes


class _Calls:
    """Asks, when unpickled, for a function to be called."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


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
    np.savez(tmp_path / "evil.npz", positions={"S1": _Calls(os.mkdir, str(target))})
    with pytest.raises(UserError, match=r"evil\.npz: refused, because it holds .*mkdir") as caught:
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


def test_arrays_that_declare_more_than_is_there_are_refused_before_memory_is_asked_for(tmp_path):
    path = tmp_path / "a.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 31, 1)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(64))
    with pytest.raises(UserError, match=r"needs 17\.2 GB, more than a file of this size may ask for"):
        load_npz(path)
    assert npz_shapes(path) == {"x": (1 << 31, 1)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "x.npy", header.getvalue().replace(b"(2147483648, 1)", b"(400, 131072)  ") + bytes(400 << 20)
        )
    with pytest.raises(UserError, match="needs 419 MB"):
        load_npz(path)


@pytest.mark.parametrize("dtype", ["V8", "M8[s]", [("a", "f8")]])
def test_arrays_of_other_types_are_refused(tmp_path, dtype):
    np.savez(tmp_path / "a.npz", x=np.zeros(2, dtype))
    with pytest.raises(UserError, match="an array is of the type"):
        load_npz(tmp_path / "a.npz")


def test_objects_are_left_out_on_demand(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3), y=np.array({"a": 1}, object))
    assert set(load_npz(tmp_path / "a.npz", objects=False)) == {"x"}


def test_all_layouts_come_back(tmp_path):
    arrays = {
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "scalar": np.float32(2),
        "text": np.array(["ab", "c"]),
        "bytes": np.array(b"male"),
        "big": np.arange(3, dtype=">i4"),
        "empty": np.zeros((0, 3)),
        "flags": np.array([True, False]),
    }
    np.savez(tmp_path / "a.npz", **arrays)
    loaded = load_npz(tmp_path / "a.npz")
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
    np.save(tmp_path / "a.npy", arrays["fortran"])
    np.testing.assert_array_equal(load_npy(tmp_path / "a.npy"), arrays["fortran"])


def test_letters_that_do_not_exist_are_refused(tmp_path):
    """NumPy makes a str of them without a look."""
    np.save(tmp_path / "a.npy", np.array(["abc"]))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content.replace(b"b\0\0\0", b"b\0\0\x7f"))
    with pytest.raises(UserError, match="letters that do not exist"):
        load_npy(tmp_path / "a.npy")
