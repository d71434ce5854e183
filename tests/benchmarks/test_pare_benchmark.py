"""The benchmark of part attention: what the square hides, and that errors are those of the places it was at."""

import pathlib
import types

import numpy as np
import pytest

from benchmarks.pare import occlusion, photographs
from benchmarks.pare.program import RUNS, BenchmarkConfig, run_config, table
from hpe import pipeline
from hpe.errors import SettingError, UserError
from hpe.pipeline.spec import shares_of
from hpe.systems.prediction import Prediction
from tests.written_people import write_people

IMAGES = np.full((2, 32, 32, 3), 10, np.uint8)
JOINTS = np.random.default_rng(0).normal(size=(2, 19, 3))


def crops():
    silhouettes = np.zeros((2, 32, 32), bool)
    silhouettes[0, :, :16] = silhouettes[1, :8, :8] = True
    return occlusion.Crops(IMAGES, JOINTS, silhouettes)


def test_the_square_covers_its_place_and_is_cut_at_the_border():
    picture = occlusion.covered(IMAGES, 3.5, 12.0, 8)
    assert (picture[:, 8:16, 0:8] == occlusion.GREY).all()
    assert (picture == occlusion.GREY).sum() == 2 * 64 * 3
    assert (occlusion.covered(IMAGES, 0.0, 0.0, 8) == occlusion.GREY).sum() == 2 * 16 * 3
    assert (IMAGES == 10).all()


def test_errors_belong_to_the_places_where_the_square_was():
    def predict(images):
        hidden = (images[:, 4, 28, 0] == occlusion.GREY)[:, None, None]
        # A joint that is no hip, so that the origin stays.
        return JOINTS + 0.1 * hidden * (np.arange(19) == 10)[:, None]

    found = occlusion.errors(predict, crops(), side=8, count=4)
    places = occlusion.places(32, 4)
    worst = np.argmax(found[0, :, 0])
    np.testing.assert_allclose(places[worst], (27.5, 3.5))
    assert found[0, worst, 0] == pytest.approx(100 * np.sqrt(3) / 14)
    assert (np.delete(found, worst, axis=1) < 1e-6).all()


def test_shares_of_people_that_are_hidden():
    shares = occlusion.hides(crops(), side=8, count=4)
    assert shares[0].reshape(4, 4).tolist() == [[0.125, 0.125, 0, 0]] * 4
    assert shares[1, 0] == 1
    assert shares[1].sum() == 1


def test_all_runs_see_the_same_for_as_long(tmp_path):
    config = BenchmarkConfig(people=100, steps=50)
    made = [run_config(config, tmp_path, name) for name in RUNS]
    assert len({(run.training.max_steps, run.training.batch_size, run.model.encoder) for run in made}) == 1
    assert {run.pipeline.occluder_probability for run in made} == {0.0, 0.5}
    assert made[0].training.datasets == ("synthetic_train",)
    row = {"table": {"none": [90.0, 60.0], "0.5": [100.0, 70.0], "worst": [120.0]}, "seconds": 30.0}
    assert "| PARE | 90 / 60 | 100 / 70 | 120 | 30 |" in table(
        BenchmarkConfig(squares=("0.5",)), {"PARE": row}
    )
    with pytest.raises(SettingError, match="squares"):
        BenchmarkConfig(squares=("2",))


def test_photographs_have_one_half_of_every_batch(tmp_path):
    for name, count in (("lsp_train", 2), ("lsp_val", 1)):
        write_people(tmp_path, count=count, name=name, frames=1)
    assert photographs.mixed("people", tmp_path) == (
        "people:1/2",
        f"{tmp_path / 'lsp_train'}.manifest.json:1/2",
    )
    write_people(tmp_path, count=6, name="lsp_ext", frames=1)
    config = BenchmarkConfig(people=8, steps=50, batch_size=16, photographs=str(tmp_path))
    run = run_config(config, tmp_path / "out", "PARE, things in front")
    specs = pipeline.parse_specs(run.training.datasets)
    assert [pathlib.Path(spec.name).name.partition(".")[0] for spec in specs] == [
        *("synthetic_train", "lsp_train", "lsp_ext")
    ]
    # Of 16 people in a batch.
    assert [16 * share for share in shares_of(specs)] == [8, 2, 6]
    # The labels of parts lead for half of the steps, which are epochs of all that there is.
    assert run.optimization.loss_schedules == ("part_loss=1@25.000:0@30.000",)
    (tmp_path / "lsp_val.manifest.json").unlink()
    with pytest.raises(UserError, match="lsp_val"):
        photographs.check(tmp_path)


def test_the_joints_found_on_photographs_have_a_column(tmp_path):
    write_people(tmp_path, count=3, name="lsp_val", frames=1)

    class Predictor:
        """Finds every joint at one place."""

        system = types.SimpleNamespace(
            name="pare", skeleton="lsp14", input_key="image", body_models=(), input_shape=(64, 64, 3)
        )

        def __call__(self, images):
            return Prediction("lsp14", np.zeros((len(images), 14, 2), np.float32))

    found = photographs.found_joints(Predictor(), tmp_path, img_size=64)
    assert 0 < found < 0.5
    config = BenchmarkConfig(squares=("0.5",), photographs=str(tmp_path))
    row = {"none": [90.0, 60.0], "0.5": [100.0, 70.0], "worst": [120.0], "photographs": 0.4567}
    text = table(config, {"PARE": {"table": row, "seconds": 30.0}})
    assert "| 90 / 60 | 100 / 70 | 120 | 0.457 | 30 |" in text
