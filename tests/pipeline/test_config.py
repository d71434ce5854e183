import dataclasses

import pytest

from hpe.pipeline.config import PipelineConfig


def test_every_field_has_help():
    assert all(field.metadata["help"] for field in dataclasses.fields(PipelineConfig))


@pytest.mark.parametrize(
    "change",
    [
        {"img_size": 0},
        {"box_share": 0.0},
        {"box_share": 1.1},
        {"shuffle_buffer": 0},
        {"trans_max": -1},
        {"num_parallel_calls": -1},
        {"dataset_ratios": ("0.5", "-0.5")},
        {"dataset_ratios": ("0", "0.0")},
        {"dataset_ratios": ("0.5", "nan")},
        {"dataset_ratios": ("half", "1")},
        {"scale_min": 0.0},
        {"scale_min": 1.3, "scale_max": 1.2},
    ],
)
def test_values_without_sense_are_refused_with_the_flag(change):
    with pytest.raises(ValueError, match=f"{next(iter(change))}="):
        PipelineConfig(**change)


def test_ratios_are_numbers_in_order():
    assert PipelineConfig(dataset_ratios=("0.3", "2")).ratios == (0.3, 2.0)
    assert PipelineConfig().ratios == ()
