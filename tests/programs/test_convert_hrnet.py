"""convert_hrnet: a PyTorch checkpoint becomes a weights file, and what was left over is named."""

import functools

import numpy as np
import pytest

from hpe.errors import UserError
from hpe.networks import hrnet, hrnet_weights
from hpe.programs import convert_hrnet
from hpe.programs.convert_hrnet import ConvertConfig, convert
from tests.formats.torch_pth import tensor, write
from tests.networks.hrnet_names import random_state, tensors
from tests.programs.running import run


@pytest.fixture(autouse=True, scope="module")
def build_once():
    """Networks take seconds to build."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hrnet_weights, "build_hrnet", functools.cache(hrnet.build_hrnet))
        yield


def test_a_checkpoint_is_converted_and_what_is_left_over_is_named(tmp_path, capsys):
    state = random_state(2, 17)
    extra = {"incre_modules.0.bn.weight": tensor(np.zeros(3)), "classifier.bias": tensor(np.zeros(5))}
    source = write(tmp_path / "pose.pth", {"state_dict": {**tensors(state), **extra}, "epoch": 210})
    run(convert_hrnet, f"--input={source}", f"--output={tmp_path / 'pose.npz'}")
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{tmp_path / 'pose.npz'}: HRNet-W2, heat maps of coco17, 1462 arrays, {_numbers(state):,} numbers",
        "left over: incre_modules.0.bn.weight",
        "left over: classifier.bias",
    ]
    weights = hrnet_weights.load(tmp_path / "pose.npz")
    assert (weights.width, weights.skeleton) == (2, "coco17")
    np.testing.assert_array_equal(
        weights.arrays["final_layer/kernel"][0, 0], state["final_layer.weight"][:, :, 0, 0].T
    )


def _numbers(state):
    return sum(value.size for name, value in state.items() if not name.endswith("num_batches_tracked"))


def test_the_skeleton_of_the_head_is_a_flag(tmp_path):
    source = write(tmp_path / "pose.pth", tensors(random_state(2, 17)))
    lines = convert(ConvertConfig(str(source), str(tmp_path / "pose.npz"), skeleton="h36m17"))
    assert "HRNet-W2, heat maps of h36m17" in lines[0]
    assert len(lines) == 1


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"output": "a.npz"}, "input: is missing"),
        ({"input": "a.pth", "output": "b.pth"}, "output=b.pth: must name a file ending in .npz"),
        ({"input": "none.pth", "output": "b.npz"}, "none.pth: cannot be read"),
    ],
)
def test_wrong_flags_say_which(config, message):
    with pytest.raises(UserError, match=message):
        convert(ConvertConfig(**config))


def test_an_unknown_skeleton_is_named(tmp_path):
    with pytest.raises(UserError, match="skeleton=body25: must be one of blazepose33, coco17, "):
        run(convert_hrnet, "--input=a.pth", "--output=a.npz", "--skeleton=body25")


def test_a_file_that_is_no_hrnet_is_named(tmp_path):
    source = write(tmp_path / "resnet.pth", {"conv1.weight": tensor(np.zeros((64, 3, 7, 7), np.float32))})
    with pytest.raises(UserError, match=r"resnet\.pth: holds no HRNet"):
        convert(ConvertConfig(str(source), str(tmp_path / "a.npz")))
    assert not (tmp_path / "a.npz").exists()


def test_an_output_that_cannot_be_written_is_named(tmp_path):
    source = write(tmp_path / "pose.pth", tensors(random_state(2, 17)))
    (tmp_path / "none").write_text("")
    with pytest.raises(UserError, match="none: cannot be written"):
        convert(ConvertConfig(str(source), str(tmp_path / "none" / "pose.npz")))
