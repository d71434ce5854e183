"""The registry: every system is fed by a pipeline, and its flags are flags that there are."""

import dataclasses

import pytest

from hpe import pipeline, systems
from hpe.training.config import OptimizationConfig, TrainingConfig


@pytest.mark.parametrize("name", systems.names())
def test_every_system_has_a_pipeline_and_defaults_of_flags_that_there_are(name):
    entry = systems.get(name)
    configs = (TrainingConfig, OptimizationConfig, pipeline.CONFIGS[entry.input_key], entry.config)
    assert issubclass(pipeline.CONFIGS[entry.input_key], entry.input)
    fields = [field.name for config in configs for field in dataclasses.fields(config)]
    # The flags of one system share one namespace.
    assert len(set(fields)) == len(fields)
    assert set(entry.defaults) <= set(fields)
    assert set(entry.aliases.values()) <= set(fields)
