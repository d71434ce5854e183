"""MATLAB files: what SciPy writes comes back, sizes are checked, damage is one line."""

import contextlib

import h5py
import numpy as np
import pytest
import scipy.io

from hpe.errors import UserError
from hpe.formats.matlab import load_matlab, number, structures


@pytest.mark.parametrize("compressed", [False, True])
def test_what_scipy_writes_comes_back(tmp_path, compressed):
    path = tmp_path / "a.mat"
    rows = np.zeros((1, 2), [("x", object), ("name", object)])
    rows["x"][0], rows["name"][0] = [np.float64([[1, 2]]), np.float64([[3]])], ["first", "second"]
    content = {
        "numbers": np.arange(24.0).reshape(2, 3, 4),
        "small": np.uint8([[1, 2], [3, 4]]),
        "words": "caf\xe9",
        "cells": np.array([[np.eye(2), "b"]], object),
        "alone": {"a": 1.5, "b": {"c": np.arange(3)}},
        "rows": rows,
        "other": np.zeros(3),
    }
    scipy.io.savemat(path, content, do_compression=compressed)
    found = load_matlab(path, ("numbers", "small", "words", "cells", "alone", "rows", "absent"))
    assert set(found) == {"numbers", "small", "words", "cells", "alone", "rows"}
    np.testing.assert_array_equal(found["numbers"], content["numbers"])
    assert found["small"].dtype == np.uint8
    np.testing.assert_array_equal(found["small"], content["small"])
    assert found["words"] == "caf\xe9"
    np.testing.assert_array_equal(found["cells"][0], np.eye(2))
    assert found["cells"][1] == "b"
    assert found["alone"]["a"] == 1.5
    np.testing.assert_array_equal(found["alone"]["b"]["c"].ravel(), [0, 1, 2])
    assert [row["name"] for row in found["rows"]] == ["first", "second"]
    np.testing.assert_array_equal(found["rows"][0]["x"], [[1, 2]])


@pytest.mark.data
def test_genuine_files_are_read_as_scipy_reads_them(data_dir):
    paths = sorted(data_dir.rglob("*.mat"))
    assert len(paths) >= 2
    for path in paths:
        expected = scipy.io.loadmat(path)
        names = [name for name in expected if not name.startswith("__")]
        found = load_matlab(path, tuple(names))
        assert list(found) == names
        for name in names:
            assert found[name].dtype == expected[name].dtype
            np.testing.assert_array_equal(found[name], expected[name])


def test_variables_that_are_not_wanted_are_not_inflated(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(
        path, {"large": np.zeros((300 << 20,), np.uint8), "wanted": np.eye(2)}, do_compression=True
    )
    np.testing.assert_array_equal(load_matlab(path, ("wanted",))["wanted"], np.eye(2))


def test_single_numbers_of_structures(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"x": {"a": 3.0, "b": "7", "c": [1, 2], "d": np.zeros((0, 0))}})
    (row,) = structures(load_matlab(tmp_path / "a.mat", ("x",))["x"])
    assert (type(row["a"]), row["a"]) == (float, 3.0)
    assert [number(row[key]) for key in "abcd"] == [3, 7, None, None]
    assert structures(None) == []


def test_version_7_3_is_hdf5(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["joints"] = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(
        load_matlab(tmp_path / "a.mat", ("joints",))["joints"], [[0, 2, 4], [1, 3, 5]]
    )


def test_what_inflates_to_gigabytes_is_refused(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"x": np.zeros((300 << 20,), np.uint8)}, do_compression=True)
    with pytest.raises(UserError, match=r"a compressed variable needs .* more than a file of this size"):
        load_matlab(path, ("x",))


def test_damage_is_a_user_error(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"x": {"a": [1, "b"], "c": np.eye(3)}})
    content = path.read_bytes()
    for place in range(len(content)):
        for changed in (content[:place], content[:place] + b"\xff" + content[place + 1 :]):
            path.write_bytes(changed)
            with contextlib.suppress(UserError):
                load_matlab(path, ("x",))
