"""`python -m train`: flags in, a run directory out; going on, and every wrong flag in one line."""

import json
import os
import signal
import subprocess
import sys

import pytest

from hpe.errors import UserError
from hpe.programs import train
from hpe.runs import RunDirectory
from hpe.runs.checkpoints import latest_checkpoint
from hpe.training.settings import read_config
from tests.conftest import PROJECT_ROOT
from tests.programs.conftest import SMALL
from tests.programs.running import run


def flags(trained, **more):
    given = {"data_dir": trained.data, **more}
    return [*SMALL, *(f"--{name}={value}" for name, value in given.items())]


def test_a_run_has_settings_checkpoints_a_log_and_metrics(trained):
    files = {str(path.relative_to(trained.run)) for path in trained.run.rglob("*")}
    assert {"params.json", "validation.json", "checkpoints/ckpt-1.index", "checkpoints/ckpt-2.index"} <= files
    assert any(name.startswith("tensorboard/events") for name in files)
    config = read_config(RunDirectory(trained.run))
    assert (config.pipeline.img_size, config.training.batch_size, config.model.encoder) == (48, 4, "small")
    assert config.model.use_mesh_repro_loss
    metrics = json.loads((trained.run / "validation.json").read_text())
    assert metrics["step"] == 2
    assert metrics["metrics"]["images"]["value"] == 12
    assert 0 < metrics["metrics"]["keypoint_loss@cocoplus19"]["value"] < 100
    assert metrics["metrics"]["silhouette_iou@picture"]["count"] == 12
    page = (trained.run / "report.html").read_text()
    assert f"<title>{trained.run.name}, step 2</title>" in page
    assert "silhouette_iou@picture" in page


def test_a_new_run_gets_a_name_and_can_be_resumed_without_one(trained, tmp_path, capsys):
    logs = tmp_path / "runs"
    run(train, *flags(trained, logs=logs, max_steps=1, encoder_only=True, use_validation=False))
    (path,) = logs.iterdir()
    assert path.name.startswith("hybrid_hmr_people_kp_")
    output = capsys.readouterr().out
    assert f"run directory: {path}" in output
    assert "finished at step 1" in output
    # Only what the run was not told before has to be said again.
    run(train, "--resume", f"--logs={logs}", "--max_steps=2")
    output = capsys.readouterr().out
    assert f"run directory: {path}" in output
    assert "finished at step 2" in output
    assert list(logs.iterdir()) == [path]
    run(train, "--resume", f"--model_dir={path}", "--use_validation")
    output = capsys.readouterr().out
    assert "had no step left: it was finished at step 2" in output
    assert "keypoint_loss" in output
    assert (path / "validation.json").exists()


def test_the_original_spellings(trained, tmp_path):
    given = [flag for flag in flags(trained, model_dir=tmp_path / "run") if "num_epochs" not in flag]
    run(train, *given, "--epoch=1", "--encoder_only", "--max_steps=1", "--nouse_validation")
    assert read_config(RunDirectory(tmp_path / "run")).training.num_epochs == 1


def test_what_a_run_computes_cannot_change_when_it_is_resumed(trained):
    for flag, old in (
        ("seed=4", "0"),
        ("batch_size=2", "4"),
        ("mr_loss_weight=2", ""),
        ("img_size=64", "48"),
    ):
        with pytest.raises(UserError, match=rf"--{flag}.* differs from the run in .*\({old}") as error:
            run(train, "--resume", f"--model_dir={trained.run}", f"--{flag}")
        assert "start a new run, or resume without this flag" in str(error.value)


def test_the_length_of_a_run_with_falling_rates_cannot_change(trained, tmp_path):
    given = flags(trained, model_dir=tmp_path / "run", max_steps=1, encoder_only=True, use_validation=False)
    run(train, *given, "--lr_schedule=cosine")
    with pytest.raises(UserError, match="--max_steps=2 differs from the run"):
        run(train, "--resume", f"--model_dir={tmp_path / 'run'}", "--max_steps=2")


def test_a_run_is_not_overwritten(trained):
    before = (trained.run / "params.json").read_bytes()
    with pytest.raises(UserError, match="holds a run already; add --resume, or choose another --model_dir"):
        run(train, *flags(trained, model_dir=trained.run))
    assert (trained.run / "params.json").read_bytes() == before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"data_dir": "/no/such"}, "data_dir: no such folder: /no/such"),
        ({"datasets": "nobody"}, r"there is no dataset nobody; found: people\. Make it with create_datasets"),
        (
            {"val_datasets": "nobody"},
            "there is no dataset nobody; found: people.* Or train without validation: `use_validation=False`",
        ),
        ({"datasets": "/no/such.tfrecords"}, r"/no/such\.tfrecords: no such record file"),
        ({"mocap_datasets": "CMU"}, "CMU"),
        ({"batch_size": 100}, "batch_size=100: is larger than the dataset: people has 12 images"),
        ({"encoder": "ResNet5"}, "Unknown encoder 'ResNet5'"),
        ({"encoder_weights": "/no/such.h5"}, r"encoder_weights=/no/such\.h5"),
        (
            {"encoder_weights": "imagenet"},
            "the encoder 'small' has no ImageNet weights; use `encoder_weights=",
        ),
        ({"smpl_model_path": "/no/smpl.pkl"}, r"/no/smpl\.pkl: no such body model file"),
        ({"num_epochs": 0}, "num_epochs=0: must be at least 1"),
        ({"scale_min": 2}, "scale_min=2.0: must be above 0 and not above `scale_max"),
        ({"num_stage": 0}, "num_stage=0: must be at least 1"),
        ({"seed": -1}, "seed=-1: must be in"),
    ],
)
def test_wrong_flags_are_one_line_and_leave_nothing(trained, tmp_path, given, message):
    with pytest.raises(UserError, match=message) as error:
        run(train, *flags(trained, **{"logs": tmp_path / "runs", **given}))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "runs").exists() or not os.listdir(tmp_path / "runs")


def test_nothing_to_resume(tmp_path):
    with pytest.raises(UserError, match="holds no run to resume; name one with `model_dir`"):
        run(train, "--resume", f"--logs={tmp_path}")
    # Even with flags of a system that only the run would name.
    for flag in ("--max_steps=2", "--linear_size=16"):
        with pytest.raises(UserError, match="run: not a run directory"):
            run(train, "--resume", f"--model_dir={tmp_path / 'run'}", flag)


FULL_DISK = """
import resource
from hpe.programs import flags, train
from hpe.runs.store import CheckpointStore

save = CheckpointStore.save

def save_on_a_full_disk(self):
    # Settings and the log are written; only the checkpoint does not fit any more.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    return save(self)

CheckpointStore.save = save_on_a_full_disk
train.define_flags()
flags.run(train.main)
"""


@pytest.mark.slow
def test_a_full_disk_loses_nothing(trained, tmp_path):
    """In a process of its own, to see the exit status and all that is printed."""
    path = tmp_path / "run"
    command = [sys.executable, "-c", FULL_DISK]
    given = flags(trained, model_dir=path, encoder_only=True, use_validation=False)
    run(train, *given, "--max_steps=1")
    done = subprocess.run(
        [*command, "--resume", f"--model_dir={path}", "--max_steps=3"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"error: {path / 'checkpoints'}: the checkpoint of step 3 cannot be written")
    assert "Traceback" not in done.stderr
    assert sorted(p.name for p in (path / "checkpoints").glob("ckpt*")) == [
        "ckpt-1.data-00000-of-00001",
        "ckpt-1.index",
    ]
    run(train, "--resume", f"--model_dir={path}", "--max_steps=2")
    assert latest_checkpoint(path / "checkpoints").endswith("ckpt-2")


@pytest.mark.data
def test_records_of_the_original_code_train_as_they_are(data_dir, trained, tmp_path):
    records = data_dir / "samples" / "original_lsp_16.tfrecords"
    run(
        train,
        *flags(trained, datasets=records, val_datasets=records, model_dir=tmp_path / "run", max_steps=2),
        "--use_mesh_repro_loss",
    )
    metrics = json.loads((tmp_path / "run" / "validation.json").read_text())["metrics"]
    assert metrics["images"]["value"] == 16
    assert metrics["silhouette_iou@picture"]["count"] == 16
