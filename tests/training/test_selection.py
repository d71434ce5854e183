"""Which value is better, and when early stopping says so."""

import math

import pytest

from hpe.errors import UserError
from hpe.evaluation.judging import Evaluation
from hpe.evaluation.report import Metric
from hpe.training.config import TrainingConfig
from hpe.training.history import VALIDATION, Entry
from hpe.training.selection import EarlyStopping, Plateau, is_better, judged_value


def validations(name, *values):
    return [Entry(step, float(step), VALIDATION, {name: value}) for step, value in enumerate(values, start=1)]


def test_every_metric_has_its_direction():
    assert is_better("silhouette_iou", 0.6, 0.5)
    assert not is_better("silhouette_iou", 0.5, 0.6)
    assert is_better("mpjpe", 90, 100)
    assert not is_better("mpjpe", 100, 90)
    assert not is_better("mpjpe", 90, 90)
    assert not is_better("mpjpe", 90, 100, by=10)
    assert is_better("mpjpe", 89.9, 100, by=10)
    with pytest.raises(ValueError, match=r"'speed' is no metric .*there are keypoint_loss@cocoplus19, pck0"):
        is_better("speed", 1, 2)


@pytest.mark.parametrize(
    ("patience", "min_delta", "values", "stops"),
    [
        (2, 0.0, (0.5, 0.6, 0.6), False),
        (2, 0.0, (0.5, 0.6, 0.6, 0.59), True),
        (2, 0.0, (0.5, 0.6, 0.6, 0.61), False),
        (2, 0.1, (0.5, 0.55, 0.59), True),  # each a little better, none by enough
        (2, 0.1, (0.5, 0.55, 0.65), False),
        (1, 0.0, (0.5, None), True),  # not measured is no improvement
        (2, 0.0, (None, None), True),
        (2, 0.0, (None, 0.5, 0.4), False),
        (1, 0.0, (0.1,), False),
        (1, 0.0, (), False),
    ],
)
def test_patience_counts_validations_without_improvement(patience, min_delta, values, stops):
    verdict = EarlyStopping("silhouette_iou", patience, min_delta).verdict(
        validations("silhouette_iou", *values)
    )
    assert (verdict is not None) == stops
    if stops:
        # The same history with every sign turned, judged by a metric of the other direction.
        turned = [None if value is None else -value for value in values]
        assert EarlyStopping("mpjpe", patience, min_delta).verdict(validations("mpjpe", *turned))


def test_old_names_and_families_find_their_metric():
    history = validations("pck0.2torso@lsp14", 0.5, 0.6, 0.6) + validations("pck0.2torso@lsp14/Head", 0.9)
    assert EarlyStopping("pck_0.2_torso", 2).progress(history[:3]).best == 0.6
    evaluation = Evaluation([Metric("mpjpe@h36m17", 60.3), Metric("mpjpe_actions@h36m17", 61.0)])
    assert judged_value(evaluation, "mpjpe", "flag") == 60.3
    assert judged_value(evaluation, "mpjpe_actions", "flag") == 61.0
    with pytest.raises(ValueError, match="neither less nor more of it is better"):
        is_better("mean_abs_shape", 1, 2)


def test_the_verdict_names_metric_value_and_step():
    verdict = EarlyStopping("mpjpe", 2).verdict(validations("mpjpe", 99.0, 88.0, 89.0, 90.0))
    assert verdict == "mpjpe has not improved on 88 of step 2 in 2 validations"


def test_validations_without_the_metric_do_not_count():
    mixed = validations("pve", 1.0, 1.0, 1.0) + validations("mpjpe", 5.0)
    assert EarlyStopping("mpjpe", 1).progress(mixed).since == 0


def test_a_metric_that_is_not_yielded_is_named_with_those_that_are():
    evaluation = Evaluation(
        [
            Metric("images", 3),
            Metric("keypoint_loss", 2.0),
            Metric("silhouette_f1", math.nan),
            Metric("nearest_mocap_pose", math.nan, reason="no mocap"),
        ],
        [],
    )
    assert judged_value(evaluation, "keypoint_loss", "keep_best_metric") == 2.0
    assert judged_value(evaluation, "silhouette_f1", "keep_best_metric") is None
    with pytest.raises(UserError, match="flag=mpjpe: the validation does not yield it; it yields keypoint"):
        judged_value(evaluation, "mpjpe", "flag")
    with pytest.raises(UserError, match=r"does not yield it \(no mocap\); it yields keypoint_loss\. Resume"):
        judged_value(evaluation, "nearest_mocap_pose", "flag")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"early_stopping_metric": "iou"}, "early_stopping_metric: 'iou' is no metric to judge a run by"),
        ({"keep_best_metric": "images"}, "keep_best_metric: 'images' is no metric"),
        ({"early_stopping_patience": 0}, "early_stopping_patience.*: must be at least 1"),
        ({"early_stopping_min_delta": -0.1}, "early_stopping_min_delta.*: must be finite and not negative"),
        ({"early_stopping_min_delta": math.nan}, "early_stopping_min_delta.*: must be finite"),
    ],
)
def test_wrong_settings_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**given)


@pytest.mark.parametrize(
    ("values", "factor"),
    [
        ((), 1.0),
        ((90.0, 80.0, 70.0), 1.0),
        ((90.0, 91.0), 1.0),
        ((90.0, 91.0, 90.0), 0.1),
        ((90.0, 91.0, None), 0.1),
        ((90.0, 91.0, 92.0, 93.0, 89.0, 90.0), 0.1),
        ((90.0, 91.0, 92.0, 93.0, 90.0), 0.01),
    ],
)
def test_rates_fall_whenever_a_metric_stands_still(values, factor):
    found = Plateau("mpjpe", 2, 0.1).now(validations("mpjpe@lsp14", *values))
    assert found == pytest.approx(factor)
    assert Plateau("pve", 2, 0.1).now(validations("mpjpe@lsp14", *values)) == 1.0
