"""convert-hemlets: the published checkpoint becomes a file of weights, and what was left over is named."""

import json

import numpy as np
import pytest

from hpe.errors import UserError
from hpe.programs import convert_hemlets
from hpe.programs.convert_hemlets import ConvertConfig, convert
from hpe.runs import released
from tests.formats.torch_pth import tensor, write
from tests.networks.hemlets_names import random_state, tensors
from tests.programs.running import run


def test_a_checkpoint_is_converted_and_what_is_left_over_is_named(tmp_path, capsys):
    state = random_state(18, branch=4, features=8, cells=4)
    extra = {"aux.bias": tensor(np.zeros(5, np.float32))}
    source = write(tmp_path / "hemlets.pth", {**tensors(state), **extra})
    output = tmp_path / "hemlets.safetensors"
    run(convert_hemlets, f"--input={source}", f"--output={output}", "--map_order=triplets_first")
    assert capsys.readouterr().out.splitlines() == [
        f"{output}: msra_18, volumes of 64 x 64 x 4 cells",
        "left over: aux.bias",
    ]
    weights = released.read(output)
    model = weights.settings.model
    assert (model.branch_width, model.feature_width, model.volume_depth) == (4, 8, 4)
    assert (model.map_order.value, model.joint_confidence) == ("triplets_first", False)
    assert json.loads(json.dumps(weights.licence)) == "unknown"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"output": "a.safetensors"}, "input: is missing"),
        ({"input": "a.pth", "output": "b.npz"}, "must name a file ending in .safetensors"),
        ({"input": "none.pth", "output": "b.safetensors"}, "none.pth: cannot be read"),
    ],
)
def test_mistakes_are_one_line(config, message):
    with pytest.raises(UserError, match=message):
        convert(ConvertConfig(**config))


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    source = write(tmp_path / "a.pth", {"conv1.weight": tensor(np.zeros((4, 3, 3, 3), np.float32))})
    with pytest.raises(UserError, match=r"a\.pth: holds no network of HEMlets"):
        convert(ConvertConfig(str(source), str(tmp_path / "b.safetensors")))
