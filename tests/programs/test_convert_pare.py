"""convert-pare: a published checkpoint becomes weights that are loaded like any others, and none of it is run."""

import re

import numpy as np
import pytest

import hpe
from hpe.errors import UserError
from hpe.networks import hrnet
from hpe.programs import convert_pare
from hpe.programs.convert_pare import ConvertConfig, convert
from tests.formats.torch_pth import tensor, write
from tests.networks import hrnet_names, pare_reference
from tests.programs.running import run

# Modules and blocks of HRNet after the first, without which a network is built in a fifth of the time.
FURTHER = re.compile(r"stage[34]\.[1-9]|branches\.\d\.[1-9]|layer1\.[1-9]")


def checkpoint(width, filters, layers):
    """A checkpoint as Lightning writes it, the body model in it, too; and its tensors. Of the shortest HRNet."""
    backbone = hrnet_names.random_state(width, 24, multi_scale=True)
    backbone = {name: value for name, value in backbone.items() if not FURTHER.search(name)}
    state = pare_reference.random_state(width, filters, layers, shape_features=3)
    state |= {f"backbone.{name}": value for name, value in backbone.items()}
    tensors = {f"model.{name}": tensor(value) for name, value in state.items()}
    tensors["model.smpl.smpl.faces_tensor"] = tensor(np.zeros((4, 3), np.int64))
    tensors["model.head.aux.bias"] = tensor(np.zeros(5, np.float32))
    return {"epoch": 7, "state_dict": tensors}, state


def test_a_checkpoint_becomes_weights_that_load(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(convert_pare, "_SIZE", 64)
    monkeypatch.setattr(hrnet, "BLOCKS", 1)
    monkeypatch.setattr(hrnet, "MODULES", {2: 1, 3: 1, 4: 1})
    content, state = checkpoint(2, filters=4, layers=2)
    source, output = write(tmp_path / "pare.ckpt", content), tmp_path / "pare.safetensors"
    run(convert_pare, f"--input={source}", f"--output={output}", "--body_model=default")
    assert capsys.readouterr().out.splitlines() == [
        f"{output}: hrnet-W2, 2 layers of 4 channels a branch",
        "left over: head.aux.bias",
    ]
    model = hpe.load(output)
    config = model.system.config
    assert (config.focal_length, config.start_at_mean, config.up_fusion.value) == (5000, False, "conv")
    kernel = model.system.networks["backbone"].get_layer("stage4_0_fuse_layers_3_0_2_0").get_weights()[0]
    np.testing.assert_array_equal(
        kernel, state["backbone.stage4.0.fuse_layers.3.0.2.0.weight"].transpose(2, 3, 1, 0)
    )


class Evil:
    def __reduce__(self):
        return print, ("ran",)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ({"state_dict": {"a": Evil()}}, {}, r"a\.ckpt: .*print, which is no data and could run code"),
        ({"state_dict": {"a": tensor(np.zeros(3, "f4"))}}, {}, r"a\.ckpt: holds no PARE"),
        ({}, {"body_model": ""}, "body_model: is missing"),
        ({}, {"output": "b.npz"}, r"output=b\.npz: must name a file ending in \.safetensors"),
    ],
)
def test_what_cannot_be_converted_is_one_line(tmp_path, capsys, content, options, message):
    output = tmp_path / "b.safetensors"
    given = {
        "input": str(write(tmp_path / "a.ckpt", content)),
        "output": str(output),
        "body_model": "default",
    }
    with pytest.raises(UserError, match=message) as caught:
        convert(ConvertConfig(**given | options))
    assert "\n" not in str(caught.value)
    assert not output.exists()
    assert capsys.readouterr().out == ""
