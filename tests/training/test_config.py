"""Settings of a run that make no sense are named by their flag."""

import pytest

from hpe.training.config import TrainingConfig


@pytest.mark.parametrize(
    "values",
    [
        {"num_epochs": 0},
        {"batch_size": 0},
        {"log_every": 0},
        {"log_img_step": -1},
        {"checkpoint_steps": 0},
        {"validation_epochs": 0},
        {"validation_step_size": -1},
        {"keep_checkpoints": 0},
        {"max_bad_steps": 0},
        {"max_steps": 0},
        {"seed": -1},
        {"seed": 2**31},
        {"datasets": ()},
    ],
)
def test_wrong_values_are_named(values):
    (name,) = values
    with pytest.raises(ValueError, match=f"{name}.*: must "):
        TrainingConfig(**values)
