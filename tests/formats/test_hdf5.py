import contextlib
import os
import zipfile

import h5py
import numpy as np
import pytest

from hpe.errors import UserError
from hpe.formats import hdf5


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/values"] = np.arange(6.0).reshape(2, 3)
        file["alias"] = h5py.SoftLink("/group/values")
        file["text"] = "a"
        file["loop"] = h5py.SoftLink("/loop")
    return tmp_path / "a.h5"


def test_datasets_are_read_by_their_path_also_through_links_within_the_file(path):
    np.testing.assert_array_equal(hdf5.read_array(path, "group/values"), [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(hdf5.read_array(path, "alias"), [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "has no dataset none; it holds alias, group, loop, text"),
        ("group", "has no dataset group"),
        ("group/values/more", "has no dataset"),
        ("text", "text must be numbers"),
        ("loop", ".*loop is a link to another file or to nothing"),
    ],
)
def test_what_is_no_dataset_of_numbers_is_told(path, name, message):
    with pytest.raises(UserError, match=rf"a\.h5: {message}"):
        hdf5.read_array(path, name)


@pytest.mark.parametrize("way", ["storage", "link", "group", "virtual"])
def test_numbers_of_another_file_are_not_read(tmp_path, path, way):
    raw = tmp_path / "raw.bin"
    raw.write_bytes(bytes(48))
    name = "x"
    with h5py.File(tmp_path / "b.h5", "w") as file:
        if way == "storage":
            file.create_dataset("x", (6,), "f8", external=[(str(raw), 0, 48)])
        elif way == "link":
            file["x"] = h5py.ExternalLink(str(path), "group/values")
        elif way == "group":
            file["g"], name = h5py.ExternalLink(str(path), "group"), "g/values"
        else:
            layout = h5py.VirtualLayout((2, 3), "f8")
            layout[:] = h5py.VirtualSource(path, "group/values", (2, 3))
            file.create_virtual_dataset("x", layout)
    with pytest.raises(UserError, match=r"b\.h5: .* (another file|which is not)"):
        hdf5.read_array(tmp_path / "b.h5", name)


@pytest.mark.parametrize("options", [{}, {"chunks": (96, 1 << 18), "compression": "gzip"}])
def test_gigabytes_that_are_declared_but_not_there_are_refused(tmp_path, options):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (96, 1 << 24), "f8", **options)
        file.create_dataset(
            "small", (5,), "f8", **({"chunks": (1 << 28,), "maxshape": (None,)} if options else {})
        )
    for name in ("x", "small"):
        with pytest.raises(UserError, match=r"a\.h5: (refused, because x|x|small|refused, because small)"):
            hdf5.read_array(tmp_path / "a.h5", name)


def test_damage_of_any_kind_is_a_user_error(path):
    content = path.read_bytes()
    for place in range(0, len(content), 61):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        with contextlib.suppress(UserError):
            hdf5.read_array(path, "group/values")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.h5")
    with pytest.raises(UserError, match="no regular file"):
        hdf5.read_array(tmp_path / "a.h5", "x")


def test_files_of_weights_must_hold_all_of_it(tmp_path, path):
    hdf5.check_whole(path)
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.write(path, "model.weights.h5")
    hdf5.check_whole(tmp_path / "a.keras")
    with h5py.File(path, "a") as file:
        file["deep/er/x"] = h5py.ExternalLink("other.h5", "x")
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.write(path, "model.weights.h5")
    for file in (path, tmp_path / "a.keras"):
        with pytest.raises(UserError, match="x is a link to another file"):
            hdf5.check_whole(file)


def test_groups_that_name_one_another_end(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        groups = [file.create_group(f"g{n}") for n in range(20)]
        for group in groups:
            for other in groups:
                group[f"to_{other.name[1:]}"] = other
    with pytest.raises(UserError, match=r"a\.h5: (refused, because a group|.* groups without end)"):
        hdf5.check_whole(tmp_path / "a.h5")
