"""Datasets as they are written: names, shares and settings of their own."""

import fractions

import pytest

from hpe.errors import SettingError
from hpe.pipeline import DatasetSpec, PipelineConfig, PosePipelineConfig
from hpe.pipeline.spec import in_full, parse_specs, shares_of


def test_a_list_that_was_cut_at_its_commas_is_put_together_again():
    specs = parse_specs(["mpii:0.5", "rotation_max=30", "flip=false", "data/h36m-00.tfrecords", "lsp:1/3"])
    assert specs == (
        DatasetSpec("mpii", fractions.Fraction(1, 2), {"rotation_max": "30", "flip": "false"}),
        DatasetSpec("data/h36m-00.tfrecords"),
        DatasetSpec("lsp", fractions.Fraction(1, 3)),
    )
    assert [DatasetSpec.parse(str(spec)) for spec in specs] == list(specs)
    assert parse_specs([*specs, "more"]) == (*specs, DatasetSpec("more"))
    # A colon that no number follows belongs to the name.
    assert DatasetSpec.parse("C:/data:old").name == "C:/data:old"


def test_settings_of_a_dataset_replace_those_of_the_pipeline():
    spec = DatasetSpec.parse("h36m,rotation_max=0,flip=no,scale_min=0.9,trans_max=5")
    own = spec.configured(PipelineConfig(rotation_max=60, img_size=64))
    assert (own.rotation_max, own.flip, own.scale_min, own.trans_max, own.img_size) == (0, False, 0.9, 5, 64)
    assert DatasetSpec.parse("x,reproject=1").configured(PosePipelineConfig()).reproject


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,img_size=3", "x cannot have a img_size of its own, only: trans_max, "),
        ("x,colour=3", "x cannot have a colour of its own"),
        ("x,flip=perhaps", "flip of x must be true or false"),
        ("x,rotation_max=far", "rotation_max of x must be a number"),
        ("x,joints=theirs", "joints of x must be one of pose_hg_3d, spin"),
        ("x,rotation_max=400", "x: rotation_max=400.0: must be from 0 to 180"),
    ],
)
def test_settings_that_do_not_suit_are_named(text, message):
    with pytest.raises(SettingError, match=message):
        DatasetSpec.parse(text).configured(PipelineConfig())
    with pytest.raises(SettingError, match="must begin with the name"):
        parse_specs(["flip=false", "x"])


def test_a_mix_of_the_course_is_datasets_with_shares(tmp_path):
    specs = parse_specs(["mpii_3dpw_0.4_0.6", "rotation_max=30"])
    assert specs == (
        DatasetSpec("mpii", fractions.Fraction(2, 5)),
        DatasetSpec("3dpw", fractions.Fraction(3, 5), {"rotation_max": "30"}),
    )
    for name in ("mpii", "spin_mpii_train", "spin_3dpw_train_subset", "spin_3dpw_test"):
        (tmp_path / f"{name}.manifest.json").write_text("{}")
    assert [spec.name for spec in in_full(specs, tmp_path)] == ["mpii", "spin_3dpw_train_subset"]
    assert in_full(parse_specs(["3dpw"]), tmp_path)[0].name == "3dpw"
    (tmp_path / "pw3d_3dpw_train.manifest.json").write_text("{}")
    with pytest.raises(SettingError, match="could be pw3d_3dpw_train or spin_3dpw_train_subset"):
        in_full(specs, tmp_path)
    for name in ("lsp_train", "recording_2", "a_b_2_3", "data/a_b_0.4_0.6", "a_0.5", "x_0"):
        assert parse_specs([name]) == (DatasetSpec(name),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mpii_3dpw_0.4_0.5", "add up to 0.9, not to 1"),
        ("lsp_train_lsp_ext_0.4_0.6", "has 2 shares for 4 names"),
    ],
)
def test_mixes_that_do_not_add_up_are_refused(text, message):
    with pytest.raises(SettingError, match=message):
        parse_specs([text])


def test_shares_add_up_to_one_however_they_are_written():
    half = fractions.Fraction(1, 2)
    assert shares_of(parse_specs(["a:3", "b:3"])) == (half, half)
    assert shares_of(parse_specs(["a", "b"]), ("0.25", "0.25")) == (half, half)
    assert shares_of(parse_specs(["a", "b"])) is None


@pytest.mark.parametrize(
    ("texts", "ratios", "message"),
    [
        (["a:1", "b"], (), "b has no share"),
        (["a:1", "b:1"], ("1", "1"), "have shares already"),
        (["a", "b"], ("1",), "has 1 numbers, but there are 2 `datasets`: a, b"),
        (["a:0", "b:0"], (), "must be above 0"),
    ],
)
def test_shares_that_say_nothing_are_refused(texts, ratios, message):
    with pytest.raises(SettingError, match=message):
        shares_of(parse_specs(texts), ratios)
