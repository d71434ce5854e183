"""Files of torch.save: tensors of every layout are read, code is refused by name, damage is one line."""

import collections
import importlib.util
import os
import pickle
import zipfile

import numpy as np
import pytest

from hpe.errors import UserError
from hpe.formats.torch_files import load_torch_file
from tests.formats.torch_pth import Tensor, tensor, write

LAYOUTS = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "sequence"])
VALUES = np.arange(24, dtype=np.float32)


@LAYOUTS
def test_tensors_numbers_and_dicts_come_back(tmp_path, legacy):
    state = collections.OrderedDict(
        weight=tensor(VALUES.reshape(2, 3, 4)),
        steps=tensor(np.int64(7)),
        half=tensor(np.float16([0.5, 2])),
        double=tensor(np.float64([[0.1]])),
        empty=Tensor(np.zeros(0, np.float32), (0, 3), (3, 1)),
    )
    path = write(tmp_path / "a.pth", {"state_dict": state, "epoch": 3, "names": ["x", None]}, legacy=legacy)
    loaded = load_torch_file(path)
    assert (loaded["epoch"], loaded["names"]) == (3, ["x", None])
    found = loaded["state_dict"]
    assert list(found) == list(state)
    np.testing.assert_array_equal(found["weight"], VALUES.reshape(2, 3, 4))
    assert found["steps"].shape == ()
    assert found["steps"] == 7
    assert found["half"].dtype == np.float16
    assert found["double"][0, 0] == 0.1
    assert found["empty"].shape == (0, 3)


@LAYOUTS
def test_views_of_one_storage_keep_their_strides(tmp_path, legacy):
    views = {
        "transposed": Tensor(VALUES, (4, 6), (1, 4)),
        "later": Tensor(VALUES, (2, 2), (6, 2), 9),
        "repeated": Tensor(VALUES, (3, 2), (0, 1), 4),
    }
    loaded = load_torch_file(write(tmp_path / "a.pth", views, legacy=legacy))
    np.testing.assert_array_equal(loaded["transposed"], VALUES.reshape(6, 4).T)
    np.testing.assert_array_equal(loaded["later"], [[9, 11], [15, 17]])
    np.testing.assert_array_equal(loaded["repeated"], [[4, 5]] * 3)
    with pytest.raises(ValueError, match="read-only"):
        loaded["later"][0, 0] = 1


@LAYOUTS
def test_bfloat16_becomes_float32(tmp_path, legacy):
    values = np.float32([1.0, -2.5, 1e20])
    upper = (values.view(np.uint32) >> 16).astype(np.uint16)
    loaded = load_torch_file(
        write(tmp_path / "a.pth", [Tensor(upper, name="BFloat16Storage")], legacy=legacy)
    )
    np.testing.assert_allclose(loaded[0], values, rtol=2**-7)
    assert loaded[0].dtype == np.float32


class Calls:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@LAYOUTS
def test_a_file_that_wants_to_run_code_is_refused_by_name(tmp_path, legacy):
    target = tmp_path / "was_here"
    state = {"conv1.weight": tensor(VALUES), "extra": Calls(os.mkdir, str(target))}
    path = write(tmp_path / "evil.pth", state, legacy=legacy)
    with pytest.raises(UserError, match=r"evil\.pth: refused, because it holds (posix|nt)\.mkdir") as caught:
        load_torch_file(path)
    assert "\n" not in str(caught.value)
    assert not target.exists()


@LAYOUTS
@pytest.mark.parametrize(
    "view",
    [
        Tensor(VALUES, (25,), (1,)),
        Tensor(VALUES, (2, 13), (12, 1)),
        Tensor(VALUES, (4,), (-1,), 3),
        Tensor(VALUES, (4,), (1,), -1),
        Tensor(VALUES, (4,), (1,), 21),
        Tensor(VALUES, (4, 2), (1,)),
    ],
)
def test_a_tensor_that_leaves_its_storage_is_refused(tmp_path, legacy, view):
    path = write(tmp_path / "a.pth", {"x": view}, legacy=legacy)
    with pytest.raises(UserError, match=r"a\.pth: not a readable PyTorch file \(a tensor ") as caught:
        load_torch_file(path)
    assert "\n" not in str(caught.value)


@LAYOUTS
def test_files_that_end_early_are_named(tmp_path, legacy):
    whole = write(
        tmp_path / "a.pth", {"x": tensor(VALUES), "y": tensor(VALUES + 1)}, legacy=legacy
    ).read_bytes()
    for length in (0, 1, 20, len(whole) // 2, len(whole) - 1):
        cut = tmp_path / "cut.pth"
        cut.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"cut\.pth: not a readable PyTorch file") as caught:
            load_torch_file(cut)
        assert "\n" not in str(caught.value)


def test_other_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.pth: cannot be read"):
        load_torch_file(tmp_path / "none.pth")
    with pytest.raises(UserError, match=r"cannot be read"):
        load_torch_file(tmp_path)
    (tmp_path / "a.pth").write_bytes(pickle.dumps({"x": 1}))
    with pytest.raises(UserError, match=r"a\.pth: .*not written by torch\.save"):
        load_torch_file(tmp_path / "a.pth")
    np.savez(tmp_path / "b.pth.npz", x=VALUES)
    with pytest.raises(UserError, match=r"the zip archive has no data\.pkl"):
        load_torch_file(tmp_path / "b.pth.npz")


def _rewrite(path, change):
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    compression = change(entries) or zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entries: entries.update({"weights/data/0": b"1234"}), "storage 0 has another length"),
        (lambda entries: entries.pop("weights/data/0") and None, "no item named"),
        (lambda entries: entries.update({"weights/byteorder": b"big"}), "big-endian"),
        (lambda entries: zipfile.ZIP_DEFLATED, "byteorder is compressed"),
        (lambda entries: entries.pop("weights/byteorder") and zipfile.ZIP_DEFLATED, "data.pkl is compressed"),
    ],
)
def test_archives_that_do_not_fit_their_pickle_are_named(tmp_path, change, message):
    path = write(tmp_path / "a.pth", {"x": tensor(VALUES)})
    _rewrite(path, change)
    with pytest.raises(UserError, match=f"a\\.pth: not a readable PyTorch file .*{message}"):
        load_torch_file(path)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
@LAYOUTS
def test_what_pytorch_itself_writes_is_read(tmp_path, legacy):
    import torch

    layer = torch.nn.BatchNorm2d(3)
    weight = torch.arange(24.0).reshape(2, 3, 4)
    saved = {
        "state": layer.state_dict(),
        "turned": weight.permute(2, 0, 1)[1:],
        "parameter": torch.nn.Parameter(weight),
        "bfloat16": weight.to(torch.bfloat16),
        "flags": torch.tensor([True, False]),
        "size": weight.shape,
        "lr": 0.1,
    }
    torch.save(saved, tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    loaded = load_torch_file(tmp_path / "a.pth")
    assert loaded["state"]["num_batches_tracked"] == 0
    np.testing.assert_array_equal(loaded["state"]["running_var"], np.ones(3))
    np.testing.assert_array_equal(loaded["turned"], weight.numpy().transpose(2, 0, 1)[1:])
    np.testing.assert_array_equal(loaded["parameter"], weight.numpy())
    np.testing.assert_array_equal(loaded["bfloat16"], weight.numpy())
    np.testing.assert_array_equal(loaded["flags"], [True, False])
    assert (tuple(loaded["size"]), loaded["lr"]) == ((2, 3, 4), 0.1)
    torch.save(layer, tmp_path / "b.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UserError, match=r"b\.pth: refused, because it holds torch\.nn\.modules\.batchnorm"):
        load_torch_file(tmp_path / "b.pth")
