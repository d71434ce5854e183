"""`python -m validate_checkpoint`: a table, a JSON file, panels of best and worst, and one line for mistakes."""

import json
import shutil

import numpy as np
import pytest

from hpe.errors import UserError
from hpe.programs import validate_checkpoint
from hpe.runs import load
from hpe.runs.presets import presets
from hpe.visualization.grids import read_image
from tests.programs.running import run


def validate(trained, *flags, checkpoint=None):
    run(validate_checkpoint, f"--checkpoint={checkpoint or trained.run}", *flags)


@pytest.fixture(scope="module")
def report(trained, tmp_path_factory):
    output = tmp_path_factory.mktemp("report")
    validate(
        trained,
        f"--output={output}",
        "--num_panels=3",
        "--batch_size=5",
        f"--report={output / 'page' / 'a.html'}",
    )
    return output


def test_the_page_holds_metrics_settings_and_pictures(report):
    page = (report / "page" / "a.html").read_text()
    assert "python -m validate_checkpoint" in page
    assert "keypoint_loss@cocoplus19" in page
    assert "mr_loss_weight" in page
    assert page.count("data:image/png;base64,") == 3


def test_the_report(trained, report):
    content = json.loads((report / "metrics.json").read_text())
    assert (content["step"], content["datasets"]) == (2, ["people"])
    metrics = {name: metric["value"] for name, metric in content["metrics"].items()}
    assert metrics["images"] == 12
    expected = json.loads((trained.run / "validation.json").read_text())["metrics"]
    # Another batch size, and the critic left out, change nothing.
    assert metrics == pytest.approx({name: metric["value"] for name, metric in expected.items()}, rel=1e-4)
    assert content["schema"] == 2
    samples = content["samples"]
    assert samples["name"] == [f"person{n:03d}.jpg" for n in range(12)]
    loss = "keypoint_loss@cocoplus19"
    assert np.mean(samples[loss]) == pytest.approx(metrics[loss], rel=1e-5)
    assert metrics["silhouette_accuracy@picture"] != metrics["silhouette_accuracy@crop"]
    assert content["metrics"][loss]["better"] == "lower"


def test_the_bodies_are_compared_with_the_mocap_of_the_run(report):
    metrics = json.loads((report / "metrics.json").read_text())["metrics"]
    for name in ("angles_outside_limits@mocap", "nearest_mocap_pose@mocap", "limb_asymmetry@body"):
        assert 0 <= metrics[name]["value"] < 100, name
        assert metrics[name]["count"] == 12
    assert metrics["nearest_mocap_pose@mocap"]["value"] > 1


def test_without_mocap_the_report_says_why(trained, tmp_path):
    data = shutil.copytree(trained.data, tmp_path / "data", ignore=shutil.ignore_patterns("mocap*"))
    validate(trained, f"--output={tmp_path}", f"--data_dir={data}", "--num_panels=0")
    metrics = json.loads((tmp_path / "metrics.json").read_text())["metrics"]
    for name in ("angles_outside_limits@mocap", "nearest_mocap_pose@mocap"):
        assert metrics[name]["value"] is None
        assert "there are no files neutrSMPL_random_*.tfrecord" in metrics[name]["reason"]
        assert metrics[name]["reason"] in (tmp_path / "metrics.txt").read_text()
    assert metrics["limb_asymmetry@body"]["value"] >= 0


def test_the_panels(report):
    best, worst = (read_image(report / f"{name}.png") for name in ("best", "worst"))
    assert best.shape == worst.shape
    assert best.shape[1] > 2 * 4 * 224
    assert best.std() > 20
    assert (best != worst).any()


def test_the_report_goes_into_the_run_by_default(trained, tmp_path, capsys):
    copy = shutil.copytree(trained.run, tmp_path / "moved")
    validate(trained, "--num_panels=0", "--verify", checkpoint=copy / "checkpoints" / "ckpt-1")
    names = {path.name for path in (copy / "validation").iterdir()}
    assert "metrics.json" in names
    assert not {"best.png", "worst.png"} & names
    output = capsys.readouterr().out
    assert "at step 1" in output
    assert "keypoint_loss" in output
    assert "silhouette_f1" in output


def test_bodies_are_fitted_to_the_labels(trained, report, tmp_path, capsys):
    flags = ["--refine=15", "--refine_to=truth", "--metrics=keypoint_loss@cocoplus19", "--num_panels=1"]
    validate(trained, f"--output={tmp_path}", *flags)
    before, after = (
        json.loads((folder / "metrics.json").read_text())["metrics"]["keypoint_loss@cocoplus19"]["value"]
        for folder in (report, tmp_path)
    )
    assert after < 0.8 * before
    assert "fitted by 15 steps to the truth" in capsys.readouterr().out


def test_more_panels_than_people(trained, tmp_path):
    validate(trained, f"--output={tmp_path}", "--num_panels=100")
    assert {"metrics.json", "best.png", "worst.png"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--val_datasets=nobody"], "there is no dataset nobody; found: people"),
        (["--data_dir=/no/such"], "data_dir: no such folder: /no/such"),
        (["--mocap_datasets=nobody"], r"neutrSMPL_nobody_\*\.tfrecord; found sets: random"),
        (["--batch_size=0"], "batch_size=0: must be at least 1"),
        (["--refine=-1"], "refine=-1: must not be negative"),
        (["--refine_to=truth"], "refine_to=truth: fits nothing"),
        (["--num_panels=-1"], "num_panels=-1: must not be negative"),
        (["--checkpoint=/no/run"], "/no/run: no such run directory, checkpoint"),
        (["--checkpoint=/"], r"/: not a run directory .no readable params\.json"),
    ],
)
def test_mistakes_are_one_line(trained, tmp_path, flags, message):
    with pytest.raises(UserError, match=message) as error:
        validate(trained, f"--output={tmp_path / 'report'}", *flags)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "report").exists()


def test_reports_of_presets_go_into_runs_and_not_into_the_package(tmp_path):
    config = validate_checkpoint.ValidationConfig()
    assert config.checkpoint in presets()
    loaded = load(config.checkpoint)
    assert validate_checkpoint.report_folder(loaded, "lightning").parts == ("runs", "lightning", "validation")
    copy = tmp_path / "own.safetensors"
    shutil.copy(loaded.path, copy)
    assert validate_checkpoint.report_folder(load(copy), str(copy)) == tmp_path / "own" / "validation"


def test_a_run_without_checkpoints(trained, tmp_path):
    shutil.copy(trained.run / "params.json", tmp_path)
    with pytest.raises(UserError, match="checkpoints: holds no checkpoint"):
        validate(trained, checkpoint=tmp_path)


def test_a_checkpoint_of_another_architecture(trained, tmp_path):
    copy = shutil.copytree(trained.run, tmp_path / "run")
    params = json.loads((copy / "params.json").read_text())
    params["model"]["encoder"] = "MobileNetV2"
    (copy / "params.json").write_text(json.dumps(params))
    with pytest.raises(
        UserError, match=r"ckpt-2: its encoder is of another architecture \(\d+ variables"
    ) as error:
        validate(trained, checkpoint=copy)
    assert "\n" not in str(error.value)


def test_an_output_that_cannot_be_written_is_told_before_anything_is_measured(trained, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", tmp_path / "file" / "report"):
        with pytest.raises(UserError, match=f"{output}: cannot be written to .*; set `output`"):
            validate(trained, f"--output={output}", "--num_panels=0")
    assert "keypoint_loss" not in capsys.readouterr().out
