"""convert_pose_hg3d: a published checkpoint becomes weights that are loaded and trained on like any others."""

import numpy as np
import pytest

import hpe
from hpe.errors import UserError
from hpe.formats.torch_files import load_torch_file
from hpe.networks import pose_hg3d
from hpe.networks.resnet import DEPTHS
from hpe.programs import convert_pose_hg3d
from hpe.programs.convert_pose_hg3d import ConvertConfig, convert
from hpe.systems.settings.weakly_supervised import WeaklySupervisedConfig
from hpe.systems.weakly_supervised import WeaklySupervised
from tests.formats.torch_pth import tensor, write
from tests.networks.test_heatmap_network import state_of
from tests.programs.running import run


def test_a_checkpoint_becomes_weights_that_load(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(convert_pose_hg3d, "_SIZE", 64)
    monkeypatch.setitem(DEPTHS, 18, ((1, 1, 1, 1), False))  # half of the time
    config = WeaklySupervisedConfig(encoder="msra_18", deconv_width=4)
    state = state_of(WeaklySupervised(config, image_size=64).networks)
    path = write(tmp_path / "a.pth", {"epoch": 10, "state_dict": {k: tensor(v) for k, v in state.items()}})
    run(convert_pose_hg3d, f"--input={path}", f"--output={tmp_path / 'a.safetensors'}")
    assert capsys.readouterr().out.endswith("a.safetensors: msra_18, heat maps and depth of 16 joints\n")
    assert pose_hg3d.describe(load_torch_file(path), source="a").depth == 18

    model = hpe.load(tmp_path / "a.safetensors")
    people = model.predict(np.full((80, 60, 3), 99, np.uint8))
    assert (people[0].joints3d.shape, people[0].joints3d_skeleton) == ((16, 3), "mpii16")
    assert np.isfinite(people[0].joints3d).all()
    stored = model.system.encoder.get_layer("conv1").get_weights()[0]
    np.testing.assert_array_equal(stored, state["conv1.weight"].transpose(2, 3, 1, 0))
    assert model.system.config.published_preprocessing


class Evil:
    def __reduce__(self):
        return print, ("ran",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "a.safetensors"}, "input: is missing"),
        ({"input": "a.pth", "output": "b.npz"}, r"output=b\.npz: must name a file ending in \.safetensors"),
        ({"input": "none.pth", "output": "b.safetensors"}, r"none\.pth: cannot be read"),
    ],
)
def test_what_cannot_be_converted_is_one_line(options, message):
    with pytest.raises(UserError, match=message):
        convert(ConvertConfig(**options))


def test_a_checkpoint_that_wants_to_run_code_is_refused(tmp_path, capsys):
    path = write(tmp_path / "evil.pth", {"state_dict": {"deconv_layers.0.weight": Evil()}})
    with pytest.raises(
        UserError, match=r"refused, because it holds .*print, which is no data and could run code"
    ):
        convert(ConvertConfig(input=str(path), output=str(tmp_path / "a.safetensors")))
    assert capsys.readouterr().out == ""
