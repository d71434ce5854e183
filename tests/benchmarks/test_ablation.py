"""The ablation without its trainings: what is run with which flags, what is left to do, and what the tables say."""

import json
import sys
import textwrap

import pytest

from benchmarks.ablation import processes
from benchmarks.ablation.measurements import curve, main_table, measured, other_table, tables, write_curves
from benchmarks.ablation.plan import SETTINGS, AblationConfig, Size, State, plan, stages, state
from benchmarks.ablation.processes import read_note, run_all
from hpe.errors import UserError
from hpe.pipeline.config import PipelineConfig
from hpe.programs import train
from hpe.systems.hybrid_hmr import HybridHmrConfig
from hpe.training.config import TrainingConfig

RECORDS = {"lsp_train": 1000, "lsp_ext": 7000, "lsp_val": 1000}


def config_of(flags, *kinds):
    """Reads flags the way train does, into its configurations."""
    from absl import flags as absl_flags

    from hpe.programs import flags as program_flags

    before = set(absl_flags.FLAGS)
    try:
        train.define_flags(flags)
        absl_flags.FLAGS(["train", *flags])
        return [program_flags.read(kind) for kind in kinds]
    finally:
        for name in set(absl_flags.FLAGS) - before:
            delattr(absl_flags.FLAGS, name)
        absl_flags.FLAGS.unparse_flags()


def runs_of(tmp_path, **options):
    return plan(AblationConfig(output=str(tmp_path), **options), RECORDS)


def by_setting(runs, data_set):
    return {run.setting.name: run for run in runs if run.data_set == data_set}


def test_settings_use_the_evidence_that_their_names_say(tmp_path):
    used = {}
    for name, run in by_setting(runs_of(tmp_path), "eight images").items():
        (model,) = config_of(run.flags, HybridHmrConfig)
        used[name] = (
            model.use_kpr_loss,
            model.use_mesh_repro_loss,
            not model.encoder_only,
            model.critic_use_rotations,
        )
    assert used == {
        "keypoints": (True, False, False, True),
        "silhouette": (False, True, False, True),
        "both": (True, True, False, True),
        "both-critic-norot": (True, True, True, False),
        "both-critic": (True, True, True, True),
        "keypoints-critic": (True, False, True, True),
    }


@pytest.mark.parametrize("size", list(Size))
def test_runs_of_one_data_set_differ_in_nothing_but_their_setting(tmp_path, size):
    runs = runs_of(tmp_path, size=size, seed=3)
    for data_set in {run.data_set for run in runs}:
        own = [run for run in runs if run.data_set == data_set]
        shared = [[flag for flag in run.flags if flag not in run.setting.flags] for run in own]
        assert len(shared) == len(SETTINGS)
        assert all(flags == shared[0] for flags in shared)
        assert "--seed=3" in shared[0]


def test_the_overfit_sees_its_images_as_they_are(tmp_path):
    run = runs_of(tmp_path, steps=2000, validations=10)[0]
    training, pipeline, model = config_of(run.flags, TrainingConfig, PipelineConfig, HybridHmrConfig)
    assert (training.max_steps, training.validation_step_size, training.batch_size) == (2000, 200, 8)
    assert (pipeline.trans_max, pipeline.scale_min, pipeline.scale_max, pipeline.flip) == (0, 1, 1, False)
    assert (pipeline.img_size, model.dropout, model.encoder_weights) == (128, 0, "none")
    assert run.validations == {"train": str(tmp_path / "overfit.tfrecords"), "validation": "lsp_val"}


def test_full_runs_on_both_data_sets_have_the_same_number_of_steps(tmp_path):
    runs = runs_of(tmp_path, size=Size.FULL, batch_size=16, epochs=120)
    steps = {run.data_set: config_of(run.flags, TrainingConfig)[0] for run in runs}
    assert {name: training.max_steps for name, training in steps.items()} == {"lsp": 7440, "lsp+ext": 7440}
    assert steps["lsp"].datasets == ("lsp_train",)
    assert steps["lsp+ext"].datasets == ("lsp_train", "lsp_ext")


def test_passes_over_the_larger_data_set_can_be_given(tmp_path):
    runs = runs_of(tmp_path, size=Size.FULL, batch_size=16, epochs=120, ext_epochs=4)
    steps = {run.data_set: config_of(run.flags, TrainingConfig)[0].max_steps for run in runs}
    assert steps == {"lsp": 120 * 62, "lsp+ext": 4 * 500}


def test_extra_flags_win(tmp_path):
    run = runs_of(tmp_path, size=Size.FULL, extra=("img_size=72", "dropout=0.1"))[0]
    pipeline, model = config_of(run.flags, PipelineConfig, HybridHmrConfig)
    assert (pipeline.img_size, model.dropout) == (72, 0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": ("both", "critic")}, "--only: 'critic'"),
        ({"data_sets": ("mpii",)}, "--data_sets: 'mpii'"),
        ({"extra": ("--dropout=0",)}, "--extra takes NAME=VALUE"),
        ({"parallel": 0}, "--parallel must be at least 1"),
        ({"img_size": 0}, "--img_size must be at least 1"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        AblationConfig(**options)


# ---- what is left to do ------------------------------------------------------------------------------------


def note(run, **changes):
    return {"flags": list(run.flags), "seconds": 90.0, "trained": False} | changes


def start(run):
    run.directory.mkdir(parents=True)
    (run.directory / "params.json").touch()


def write_report(run, kind, metrics, step=20):
    path = run.report(kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = {name: {"value": value, "unit": unit} for name, (value, unit) in metrics.items()}
    path.write_text(json.dumps({"step": step, "metrics": entries}))


def test_a_new_run_is_trained_and_measured_on_both_sets(tmp_path):
    run = runs_of(tmp_path)[0]
    assert state(run, None) is State.NEW
    training, *validations = stages(run, State.NEW)
    assert training == ("-m", "train", f"--model_dir={run.directory}", *run.flags)
    assert [stage[:2] for stage in validations] == [("-m", "validate_checkpoint")] * 2
    assert [stage[3] for stage in validations] == [
        f"--val_datasets={tmp_path / 'overfit.tfrecords'}",
        "--val_datasets=lsp_val",
    ]


def test_an_interrupted_run_is_resumed(tmp_path):
    run = runs_of(tmp_path)[0]
    start(run)
    assert state(run, note(run)) is State.INTERRUPTED
    assert stages(run, State.INTERRUPTED)[0] == ("-m", "train", "--resume", f"--model_dir={run.directory}")


def test_a_run_that_died_before_its_first_file_starts_anew(tmp_path):
    run = runs_of(tmp_path)[0]
    assert state(run, note(run)) is State.NEW


def test_a_trained_run_is_only_measured_where_that_is_missing(tmp_path):
    run = runs_of(tmp_path)[0]
    start(run)
    write_report(run, "train", {})
    assert state(run, note(run, trained=True)) is State.TRAINED
    (left,) = stages(run, State.TRAINED)
    assert f"--output={run.directory / 'validation'}" in left


def test_a_finished_run_is_left_alone(tmp_path):
    run = runs_of(tmp_path)[0]
    start(run)
    for kind in run.validations:
        write_report(run, kind, {})
    assert state(run, note(run, trained=True)) is State.FINISHED
    assert stages(run, State.FINISHED) == []


def test_runs_of_other_flags_are_not_taken_for_these(tmp_path):
    run = runs_of(tmp_path, img_size=64)[0]
    start(run)
    other = runs_of(tmp_path, img_size=96)[0]
    with pytest.raises(UserError, match=r"other flags \(--img_size=64, --img_size=96\)"):
        state(other, note(run))
    with pytest.raises(UserError, match="not of an ablation"):
        state(run, None)


# ---- processes ---------------------------------------------------------------------------------------------


@pytest.fixture
def programs(monkeypatch):
    """Sets what runs instead of train and validate_checkpoint, by the name of the setting."""

    def use(**scripts):
        def left(run, state):
            return [("-c", textwrap.dedent(scripts[run.setting.name]), "train")]

        monkeypatch.setattr(processes, "stages", left)

    return use


def test_a_failure_is_told_with_its_last_words_and_the_others_go_on(tmp_path, programs):
    runs = runs_of(tmp_path, only=("keypoints", "both"))
    programs(keypoints="import sys; sys.exit('error: no disk')", both="print('fine')")
    reports = []
    failures, signal = run_all(runs, parallel=2, report=lambda: reports.append(1), say=lambda line: None)
    assert list(failures) == ["eight images/keypoints"]
    assert "status 1" in failures["eight images/keypoints"]
    assert "error: no disk" in failures["eight images/keypoints"]
    assert reports == [1]
    assert signal is None


def test_processors_are_shared_evenly(tmp_path, programs, monkeypatch):
    monkeypatch.setattr(processes.os, "sched_getaffinity", lambda _: range(4))
    (run,) = runs_of(tmp_path, only=("both",))
    programs(both="import os; print('threads', os.environ['TF_NUM_INTRAOP_THREADS'])")
    run_all([run], parallel=2, report=lambda: None, say=lambda line: None)
    assert "threads 2" in (run.directory / "ablation.log").read_text()


def test_a_signal_lets_trainings_save_and_ends_everything(tmp_path, programs):
    runs = runs_of(tmp_path, only=("keypoints", "both"))
    saves = """
        import os, pathlib, signal, sys, time
        folder = pathlib.Path(sys.argv[1])
        def save(*_):
            (folder / sys.argv[2]).touch()
            sys.exit(143)
        signal.signal(signal.SIGTERM, save)
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(60)
    """
    processes_started = []

    def left(run, state):
        processes_started.append(run.setting.name)
        return [("-c", textwrap.dedent(saves), str(tmp_path), run.setting.name)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "stages", left)
        failures, signal = run_all(runs, parallel=1, report=lambda: None, say=lambda line: None)
    assert signal == "SIGTERM"
    assert failures == {}
    assert processes_started == ["keypoints"]
    assert (tmp_path / "keypoints").exists()


def test_two_ablations_never_train_the_same_run(tmp_path):
    (run,) = runs_of(tmp_path, only=("both",))
    run.directory.mkdir(parents=True)
    lock = processes.lock_run(run)
    with pytest.raises(UserError, match="another process is at this run"):
        run_all([run], parallel=1, report=lambda: None, say=lambda line: None)
    lock.close()
    assert read_note(run) is None


# ---- tables and curves -------------------------------------------------------------------------------------


def finished(tmp_path):
    runs = runs_of(tmp_path, only=("keypoints", "both"))
    for number, run in enumerate(runs):
        start(run)
        for kind, more in (("train", 0.0), ("validation", 1.0)):
            metrics = {
                "images": (8, ""),
                "keypoint_loss@cocoplus19": (1.25 + number + more, "60 x mean |x|"),
                "pck0.2torso@lsp14": (0.5, ""),
                "bone_asymmetry": (12.345 + more, "mm"),
            }
            if number:
                metrics |= {"mesh_loss@crop": (2.5, "px of 224"), "silhouette_iou@crop": (None, "")}
            write_report(run, kind, metrics)
    return [measured(run, note(run, trained=True)) for run in runs]


def cells(table):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]


def test_the_table_shows_training_and_validation_images(tmp_path):
    header, _, first, second = cells(main_table(finished(tmp_path)))
    assert header[:3] == ["setting", "keypoint loss: training", "validation"]
    assert first == ["keypoints", "1.25", "2.25", "-", "-", "0.500", "0.500", "-", "-", "1.5"]
    assert second == ["both", "2.25", "3.25", "2.50", "2.50", "0.500", "0.500", "-", "-", "1.5"]


def test_metrics_that_the_table_does_not_know_are_shown_by_their_names(tmp_path):
    header, _, first, _ = cells(other_table(finished(tmp_path)))
    assert header == ["setting", "bone_asymmetry, mm"]
    assert first == ["keypoints", "12.3 / 13.3"]


def test_every_data_set_has_its_tables(tmp_path):
    text = tables(finished(tmp_path))
    assert text.startswith("## eight images\n\n20 steps.\n")
    assert tables([]) == "No run is finished.\n"


def test_a_run_without_all_its_reports_is_not_measured(tmp_path):
    run = runs_of(tmp_path)[0]
    start(run)
    write_report(run, "train", {})
    assert measured(run, note(run, trained=True)) is None


def test_curves_are_those_of_the_validations(tmp_path):
    run = runs_of(tmp_path)[0]
    start(run)
    lines = [
        {"step": 10, "epoch": 0.1, "kind": "train", "values": {"keypoint_loss": 9.0}},
        {"step": 10, "epoch": 0.1, "kind": "validation", "values": {"keypoint_loss": 8.0}},
        {"step": 20, "epoch": 0.2, "kind": "validation", "values": {"keypoint_loss": None}},
        {"step": 30, "epoch": 0.3, "kind": "validation", "values": {"keypoint_loss": 7.0}},
    ]
    (run.directory / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert curve(run, "keypoint_loss") == [(10, 8.0), (30, 7.0)]
    assert curve(run, "silhouette_iou") == []


def test_curves_say_what_they_lack(tmp_path, monkeypatch, capsys):
    run = runs_of(tmp_path)[0]
    start(run)
    picture = tmp_path / "curves.png"
    titles = {"keypoint_loss": "keypoint loss"}
    assert not write_curves(picture, [run], titles, title="nothing")
    line = {"step": 10, "epoch": 0.1, "kind": "validation", "values": {"keypoint_loss": 8.0}}
    (run.directory / "history.jsonl").write_text(json.dumps(line) + "\n")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert not write_curves(picture, [run], titles, title="something")
    assert "matplotlib" in capsys.readouterr().out
    monkeypatch.undo()
    pytest.importorskip("matplotlib")
    assert write_curves(picture, [run], titles, title="something")
    assert picture.read_bytes().startswith(b"\x89PNG")
