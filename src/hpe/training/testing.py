"""The test of a finished run: its last networks on datasets that nothing was decided by.

<run>/test.json              all metrics, as in validation.json
<run>/test_pred_joints.csv   joints of a system that predicts a body's `spin49`, see `evaluation.course_bodies`
"""

from __future__ import annotations

from collections.abc import Callable

from hpe.evaluation.course_bodies import PredictedJoints
from hpe.evaluation.judging import Evaluation, judge
from hpe.evaluation.report import write_json
from hpe.inference.predictor import Predictor
from hpe.runs import RunDirectory
from hpe.skeletons import SPIN49
from hpe.training.data import open_source
from hpe.training.settings import RunConfig

FILE = "test.json"

Test = Callable[[Predictor, int], Evaluation]


def open_test(config: RunConfig, run: RunDirectory, *, batch_size: int) -> Test | None:
    """Opens the datasets that a run is tested on.

    Args:
        config: the run's settings.
        run: where the results go.
        batch_size: samples per step; changes speed, not results.

    Returns:
        What takes a predictor and the step of its networks, writes and returns the results; None without datasets.

    Raises:
        UserError: a dataset is absent or damaged.
    """
    training = config.training
    if not training.test_datasets:
        return None
    source = open_source(config, training.test_datasets)

    def test(predictor: Predictor, step: int) -> Evaluation:
        system = predictor.system
        joints = PredictedJoints(system) if system.body_models and system.skeleton == SPIN49.name else None
        evaluation = judge(
            predictor,
            source,
            batch_size=batch_size,
            also=[joints] if joints else [],
            max_batches=1 if training.fast_dev_run else None,
            show_progress=False,
        )
        details = {"step": step, "datasets": list(training.test_datasets)}
        write_json(run.path / FILE, evaluation.metrics, details=details)
        if joints:
            joints.write(run.path)
        return evaluation

    return test
