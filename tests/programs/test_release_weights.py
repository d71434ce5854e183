import pytest

from hpe.errors import UserError
from hpe.programs import export, release_weights
from hpe.runs import load
from tests.programs.running import run
from tests.runs.test_directory import write_run


@pytest.fixture
def path(tmp_path):
    return write_run(tmp_path / "run", 3).path


def test_a_run_becomes_one_file_that_loads_like_it(path, tmp_path, capsys):
    output = tmp_path / "new" / "a.safetensors"
    run(release_weights, f"--checkpoint={path}", f"--output={output}", "--licence=CC0-1.0", "--nohalf")
    assert capsys.readouterr().out == f"wrote {output}: lifter of step 3, 0.0 MiB\n"
    loaded = load(output)
    assert (loaded.step, loaded.licence, loaded.settings) == (3, "CC0-1.0", load(path).settings)


def test_export_hands_a_run_over_as_weights(path, tmp_path, capsys):
    output = tmp_path / "a.safetensors"
    run(export, f"--checkpoint={path}", "--format=weights", f"--output={output}")
    assert capsys.readouterr().out.startswith(f"wrote {output} (weights), ")
    assert load(output).settings == load(path).settings
    with pytest.raises(UserError, match=r"output=.*model\.bin: must end in \.safetensors"):
        run(export, f"--checkpoint={path}", "--format=weights", f"--output={tmp_path / 'model.bin'}")
    with pytest.raises(UserError, match=r"format=onnx: a file that ends in \.safetensors holds weights"):
        run(export, f"--checkpoint={path}", "--format=onnx", f"--output={output}")


def test_a_preset_that_is_run_without_its_networks_is_handed_over_too(tmp_path):
    output = tmp_path / "a.safetensors"
    run(export, "--checkpoint=lightning", "--format=weights", f"--output={output}")
    assert load(output).settings == load("lightning").settings


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        ("checkpoint", "checkpoint: is needed"),
        ("output", "output: is needed"),
        ("licence", "licence: is needed: under which others may use the weights"),
        ("ending", r"output=.*a\.npz: must end in \.safetensors"),
    ],
)
def test_what_is_missing_is_one_line(path, tmp_path, left_out, message):
    given = {
        "checkpoint": path,
        "output": tmp_path / ("a.npz" if left_out == "ending" else "a.safetensors"),
        "licence": "CC0-1.0",
    }
    given.pop(left_out, None)
    with pytest.raises(UserError, match=message):
        run(release_weights, *(f"--{name}={value}" for name, value in given.items()))
