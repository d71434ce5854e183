"""Released weights: one file with all that prediction needs; a damaged one is one line."""

import dataclasses
import json

import numpy as np
import pytest

import hpe
from hpe.errors import UserError
from hpe.runs import Settings, load, load_ready, presets, released
from hpe.runs.initialization import initialize
from hpe.runs.weights import named_variables
from hpe.systems.hybrid_hmr import HybridHmrConfig
from hpe.systems.inputs import ImageInput, JointsInput
from hpe.systems.lifter import LifterConfig

LIFTER = Settings("lifter", LifterConfig(linear_size=64, num_blocks=1), JointsInput(keypoints="sh"))


@pytest.fixture(scope="module")
def lifter():
    system = LIFTER.build()
    rng = np.random.default_rng(0)
    system.adapt(
        {
            "joints2d": rng.normal(0, 100, (50, *system.input_shape)).astype(np.float32),
            "joints3d": rng.normal(0, 0.3, (50, 17, 3)).astype(np.float32),
        }
    )
    return system


def save(path, system, **options):
    released.save(path, system, LIFTER, licence="CC0-1.0", about="a test", step=7, **options)
    return path


def values(system):
    return {name: variable.numpy() for name, variable in named_variables(system.networks).items()}


def test_every_bit_comes_back_in_float32_with_settings_and_licence(lifter, tmp_path):
    path = save(tmp_path / "a.safetensors", lifter, dtype="float32")
    loaded = load(path)
    assert loaded.settings == LIFTER
    assert (loaded.step, loaded.licence, loaded.run, loaded.path) == (7, "CC0-1.0", None, str(path))
    for name, value in values(lifter).items():
        np.testing.assert_array_equal(values(loaded.system)[name], value, err_msg=name)


def test_float16_halves_kernels_and_leaves_statistics_as_they_are(lifter, tmp_path):
    full = save(tmp_path / "full.safetensors", lifter, dtype="float32")
    half = save(tmp_path / "half.safetensors", lifter)
    assert half.stat().st_size < 0.75 * full.stat().st_size
    found = values(load(half).system)
    for name, value in values(lifter).items():
        if name == "lifter/hidden_1/kernel":
            np.testing.assert_allclose(found[name], value, rtol=2**-10, atol=1e-7)
            assert (found[name] != value).any()
        elif value.ndim == 1 or name.startswith("standardization/"):
            np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_no_path_of_the_maker_is_in_the_file(lifter, tmp_path):
    settings = dataclasses.replace(LIFTER, input=JointsInput(keypoints="/home/maker/data_2d_h36m_sh.npz"))
    path = tmp_path / "a.safetensors"
    released.save(path, lifter, settings, licence="CC0-1.0")
    assert b"maker" not in path.read_bytes()


def spoil_byte(content):
    return content[:-5] + bytes([content[-5] ^ 0xFF]) + content[-4:]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_byte, "is damaged, or no file of weights .its weights are not those that were written"),
        (lambda content: content[: len(content) // 2], "is damaged, or no file of weights"),
        (lambda content: b"", "is damaged, or no file of weights"),
        (lambda content: b"\xff" * 8 + content[8:], "is damaged, or no file of weights"),
        (lambda content: content.replace(b"hpe-weights-1", b"hpe-weights-9"), "of another version"),
    ],
)
def test_a_damaged_file_is_one_line(lifter, tmp_path, spoil, message):
    path = save(tmp_path / "a.safetensors", lifter)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(UserError, match=message) as error:
        load(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_files_of_others_and_files_that_are_not_there_are_named(tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=r"other\.safetensors: are not weights of hpe"):
        load(tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=r"none\.safetensors: cannot be read \(.*No such file"):
        load(tmp_path / "none.safetensors")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file: cannot be written"):
        save(tmp_path / "file" / "x.safetensors", LIFTER.build())
    with pytest.raises(ValueError, match=r"path must end in \.safetensors"):
        save(tmp_path / "x.npz", None)


def test_a_setting_of_another_version_is_named(lifter, tmp_path, monkeypatch):
    plain = Settings.to_plain
    monkeypatch.setattr(Settings, "to_plain", lambda self: {**plain(self), "model": {"tempo": 3}})
    path = save(tmp_path / "a.safetensors", lifter)
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"a\.safetensors: does not fit .*model\.tempo: unknown setting"):
        load(path)


def test_training_starts_from_released_weights(lifter, tmp_path):
    path = save(tmp_path / "a.safetensors", lifter, dtype="float32")
    other = LIFTER.build()
    assert all(match.matched == match.total for match in initialize(other, path))
    for name, value in values(lifter).items():
        np.testing.assert_array_equal(values(other)[name], value)


def test_weights_for_another_body_model_ask_for_its_file(tmp_path):
    config = HybridHmrConfig(encoder="small", encoder_weights="none", compile_body=False)
    settings = Settings("hybrid_hmr", config, ImageInput(img_size=48))
    system = settings.build()
    path = tmp_path / "a.safetensors"
    released.save(path, system, settings, licence="CC0-1.0")
    assert load(path).system.body_models == system.body_models
    system.body_models = ("smpl",)
    released.save(path, system, settings, licence="CC0-1.0")
    with pytest.raises(UserError, match=r"trained with the body model smpl, not with .*`body_model`\.$"):
        load(path)


@pytest.fixture
def preset(lifter, tmp_path, monkeypatch):
    monkeypatch.setattr(presets, "PRESETS", {})
    path = save(tmp_path / "a.safetensors", lifter)
    presets.register("lightning", presets.Preset(path, "A test."))
    return path


def test_a_preset_is_loaded_by_its_name(preset, lifter, tmp_path, monkeypatch):
    assert load("lightning").path == str(preset)
    assert hpe.list_models() == ["lightning"]
    with pytest.raises(
        UserError, match=r"thunder: no such run directory, .* or a preset .there are lightning.\.$"
    ):
        load("thunder")
    # Told before TensorFlow is imported, and with the name that is meant.
    with pytest.raises(UserError, match=r"lightening: no such .*Did you mean lightning\?$"):
        load_ready("lightening")
    with pytest.raises(UserError, match="not a run directory"):
        load_ready(tmp_path)
    # What lies here by that name goes before.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lightning").mkdir()
    with pytest.raises(UserError, match="lightning: not a run directory"):
        load("lightning")
    with pytest.raises(ValueError, match="There is a preset called 'lightning' already"):
        presets.register("lightning", presets.Preset(preset, ""))
    for name in ("a/b", "a.safetensors", ""):
        with pytest.raises(ValueError, match="no folder and no ending"):
            presets.register(name, presets.Preset(preset, ""))


def test_without_presets_that_is_said(monkeypatch):
    monkeypatch.setattr(presets, "PRESETS", {})
    with pytest.raises(UserError, match=r"or a preset .this version has none.\.$"):
        load("lightning")
    assert hpe.list_models() == []


def test_the_metadata_is_text_that_any_reader_of_safetensors_shows(lifter, tmp_path):
    from safetensors import safe_open

    with safe_open(save(tmp_path / "a.safetensors", lifter), framework="numpy") as file:
        metadata = file.metadata()
    assert json.loads(metadata["settings"])["system"] == "lifter"
    assert json.loads(metadata["skeletons"]) == {"joints2d": "mpii16", "joints3d": "h36m17"}
    assert (metadata["licence"], metadata["about"], metadata["step"]) == ("CC0-1.0", "a test", "7")
    assert metadata["body_models"] == "[]"
