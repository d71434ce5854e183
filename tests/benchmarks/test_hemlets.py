"""The experiments of HEMlets: which runs there are, by which flags, and what the report makes of them."""

import xml.etree.ElementTree

import pytest

from benchmarks.curves import write_svg
from benchmarks.hemlets import EXPERIMENTS, ExperimentConfig, plan, train_flags, write_report
from hpe.errors import UserError


def test_every_experiment_has_its_runs():
    runs = plan(ExperimentConfig(small_steps=100))
    assert [run.experiment for run in runs] == ["one", "one", "ten", "people", "people"]
    assert {run.experiment for run in runs} == set(EXPERIMENTS)
    assert len({run.name for run in runs}) == len(runs)
    # 64 copies in batches of 16 are four steps an epoch.
    assert runs[0].epochs == 25
    assert [run.title for run in plan(ExperimentConfig(only=("ten",)))] == ["8 and 2 people"]
    with pytest.raises(UserError, match="only"):
        ExperimentConfig(only=("eleven",))


def test_runs_differ_in_what_they_are_to_show(tmp_path):
    config = ExperimentConfig(output=str(tmp_path))
    flags = {run.title: set(train_flags(run, tmp_path, config)) for run in plan(config)}
    one, other = flags["with triplets"], flags["without triplets"]
    assert {flag.partition("=")[0] for flag in one ^ other} == {"--model_dir", "--triplet_loss_weight"}
    assert "--encoder_weights=none" in flags["from scratch"]
    assert "--flip=False" in flags["from weights"]


def test_the_report_is_a_table_and_curves(tmp_path):
    measured = {"mpjpe@lsp14": 81.234, "pa_mpjpe@lsp14": 60.0, "pck0.2torso@lsp14": 0.5, "flip_test": True}
    result = {
        "experiment": "people",
        "title": "with triplets",
        "minutes": 3.21,
        "measured": [measured],
        "curves": {"loss": [[0, 2.0], [10, 1.0]], "joints": [[0, 1.0]], "mpjpe": [[10, 90.0]]},
    }
    write_report(tmp_path, [result], ExperimentConfig())
    assert (
        "| people | with triplets | with the mirror image | 81.2 | 60.0 | 0.500 | 3.2 |"
        in (tmp_path / "table.md").read_text()
    )
    titles = [
        node.text
        for node in xml.etree.ElementTree.parse(tmp_path / "curves.svg").iter()
        if node.tag.endswith("text")
    ]
    assert "500 held-out people: MPJPE, mm" in titles
    write_svg(tmp_path / "empty.svg", {"a": {"b": []}}, xlabel="step")
