"""Published weights of PARE: read without PyTorch, and the network computes what they were trained to compute."""

import collections
import importlib.util
import os
import sys
import types

import numpy as np
import pytest
from keras import ops

from hpe.errors import UserError
from hpe.formats.torch_files import load_torch_file
from hpe.networks import pare_weights
from hpe.networks.pare import build_pare_head, build_up_fusion
from tests.formats.torch_pth import tensor, write
from tests.networks import pare_reference as reference

WIDTH, FILTERS, LAYERS, FEATURES = 2, 4, 2, 3
STATE = reference.random_state(WIDTH, FILTERS, LAYERS, FEATURES)
RNG = np.random.default_rng(1)
BRANCHES = [RNG.normal(size=(2, WIDTH * 2**k, 8 // 2**k, 8 // 2**k)).astype("f4") for k in range(4)]


def networks():
    head = build_pare_head((8, 8, 15 * WIDTH), filters=FILTERS, num_layers=LAYERS, shape_features=FEATURES)
    return {"fusion": build_up_fusion(WIDTH, cells=8), "head": head}


def channels_last(x):
    return np.moveaxis(x, 1, -1)


def checkpoint(state=STATE, prefix="model."):
    return {"state_dict": {f"{prefix}{name}": value for name, value in state.items()}, "epoch": 3}


def test_networks_compute_what_the_reference_does():
    own = networks()
    left = pare_weights.assign(checkpoint(), own, source="a.ckpt")
    assert left == ["backbone.transition1.0.0.weight"]
    features = own["fusion"]([channels_last(x) for x in BRANCHES])
    expected = reference.fuse(BRANCHES, STATE)
    np.testing.assert_allclose(ops.convert_to_numpy(features), channels_last(expected), atol=1e-4)
    outputs = {key: ops.convert_to_numpy(value) for key, value in own["head"](features).items()}
    rot6d, shape, camera, maps = reference.head(expected, STATE, LAYERS)
    scale = np.abs(rot6d).max()
    np.testing.assert_allclose(outputs["rot6d"], rot6d, atol=1e-4 * scale)
    np.testing.assert_allclose(outputs["shape"], shape, atol=1e-4 * np.abs(shape).max())
    np.testing.assert_allclose(outputs["camera"], camera, atol=1e-4 * np.abs(camera).max())
    np.testing.assert_allclose(outputs["part_logits"], channels_last(maps), atol=1e-4 * np.abs(maps).max())


def test_a_checkpoint_says_how_its_network_is_built():
    found = pare_weights.describe(checkpoint(prefix=""), source="a.pth")
    assert found == pare_weights.Found("hrnet", WIDTH, True, LAYERS, FILTERS, FEATURES)


def changed(**changes):
    state = dict(STATE)
    for name, value in changes.items():
        state.pop(name.replace("__", ".")) if value is None else state.__setitem__(
            name.replace("__", "."), value
        )
    return state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": np.zeros(3)}, "holds no PARE"),
        (changed(head__fc1__weight=np.zeros((3, 3))), "a part of the reference that is not here"),
        (changed(head__keypoint_final_layer__weight=np.zeros((24, 4, 1, 1))), "24 maps, not the 25"),
        (changed(backbone__transition1__0__0__weight=None), "neither an HRNet nor a ResNet-50"),
        (changed(head__smpl_final_layer__weight=None), "lacks head.smpl_final_layer.weight"),
    ],
)
def test_what_is_no_pare_is_told_in_one_line(state, message):
    with pytest.raises(UserError, match=message):
        pare_weights.describe(checkpoint(state), source="a.ckpt")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (changed(head__cam_mlp__bias=None), "lacks head.cam_mlp.bias"),
        (changed(head__shape_mlp__weight=np.zeros((10, 5), "f4")), "shape_mlp.weight is"),
        (changed(head__pose_mlp__weight=np.zeros((6, 4), "f4")), "no locally connected layer"),
        (changed(head__cam_mlp__bias=np.full(3, np.nan, "f4")), "not finite"),
    ],
)
def test_unfit_weights_change_nothing(state, message):
    own = networks()
    before = [ops.convert_to_numpy(v.value).copy() for network in own.values() for v in network.variables]
    with pytest.raises(UserError, match=message):
        pare_weights.assign(checkpoint(state), own, source="a.ckpt")
    after = [ops.convert_to_numpy(v.value) for network in own.values() for v in network.variables]
    assert all((a == b).all() for a, b in zip(before, after, strict=True))


def stand_in(monkeypatch, module, name, *bases):
    """A class of another package, as far as pickling it needs."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
    made = type(name, bases, {"__module__": module})
    setattr(sys.modules[module], name, made)
    return made


def test_what_lightning_saves_beside_the_weights_does_nothing(tmp_path, monkeypatch):
    callback = stand_in(monkeypatch, "pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")
    node = stand_in(monkeypatch, "yacs.config", "CfgNode", dict)
    settings = node(PARE=node(BACKBONE="hrnet_w32-conv"))
    settings.__dict__["__immutable__"] = True
    content = {
        "callbacks": {callback: {"best_model_score": tensor(np.float32(57.5))}},
        "hyper_parameters": settings,
        "state_dict": collections.OrderedDict((name, tensor(value)) for name, value in STATE.items()),
    }
    loaded = load_torch_file(write(tmp_path / "a.ckpt", content))
    assert loaded["hyper_parameters"]["PARE"]["BACKBONE"] == "hrnet_w32-conv"
    assert pare_weights.describe(loaded, source="a.ckpt").width == WIDTH


def test_a_checkpoint_that_wants_to_run_code_is_one_line(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, ("true",)

    path = write(tmp_path / "a.ckpt", {"state_dict": {}, "callbacks": Evil()})
    with pytest.raises(UserError, match=r"a\.ckpt: .*(posix|nt)\.system") as caught:
        load_torch_file(path)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_the_whole_network_is_that_of_pytorch():
    import torch

    from hpe.networks.hrnet import build_hrnet
    from tests.networks.torch_pare import random_pare

    theirs = random_pare(WIDTH, FILTERS, LAYERS, FEATURES)
    state = {name: value.numpy() for name, value in theirs.state_dict().items()}
    own = {"backbone": build_hrnet(WIDTH, image_size=64, multi_scale=True)}
    head = build_pare_head((16, 16, 15 * WIDTH), filters=FILTERS, num_layers=LAYERS, shape_features=FEATURES)
    own |= {"fusion": build_up_fusion(WIDTH, cells=16), "head": head}
    assert pare_weights.assign(state, own, source="a.pth") == []
    images = RNG.integers(0, 256, (2, 64, 64, 3)).astype("f4")
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    normal = ((images / 255 - mean) / deviation).astype("f4").transpose(0, 3, 1, 2)
    with torch.no_grad():
        expected = [value.numpy() for value in theirs(torch.from_numpy(normal))]
    outputs = own["head"](own["fusion"](own["backbone"](images)))
    for key, value in zip(("rot6d", "shape", "camera"), expected, strict=True):
        found = ops.convert_to_numpy(outputs[key])
        np.testing.assert_allclose(found, value, atol=1e-4 * max(np.abs(value).max(), 1))
