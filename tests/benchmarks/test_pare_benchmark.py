"""The benchmark of part attention: what the square hides, and that errors are those of the places it was at."""

import numpy as np
import pytest

from benchmarks.pare import occlusion, photographs
from benchmarks.pare.program import RUNS, BenchmarkConfig, run_config, table
from hpe.errors import SettingError

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
    row = {"table": {"none": [90.0, 60.0], "0.5": [100.0, 70.0], "worst": [120.0]}, "seconds": 30.0}
    assert "| PARE | 90 / 60 | 100 / 70 | 120 | 30 |" in table(
        BenchmarkConfig(squares=("0.5",)), {"PARE": row}
    )
    with pytest.raises(SettingError, match="squares"):
        BenchmarkConfig(squares=("2",))
