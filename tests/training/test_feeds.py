"""Feeds: every system has one, whose settings and defaults are flags that there are."""

import dataclasses

import numpy as np
import pytest

from hpe import systems
from hpe.pipeline.config import PipelineConfig
from hpe.training.config import TrainingConfig
from hpe.training.feeds import FEEDS, feed_of
from hpe.training.optimization import OptimizationConfig
from tests.training.conftest import build_system
from tests.written_people import run_config, write_people


@pytest.mark.parametrize("name", systems.names())
def test_every_system_has_a_feed_and_defaults_of_flags_that_there_are(name):
    entry = systems.get(name)
    assert feed_of(name) is FEEDS[entry.input_key]
    configs = (TrainingConfig, OptimizationConfig, feed_of(name).config, entry.config)
    fields = [field.name for config in configs for field in dataclasses.fields(config)]
    # The flags of one system share one namespace.
    assert len(set(fields)) == len(fields)
    assert set(entry.defaults) <= set(fields)
    assert set(entry.aliases.values()) <= set(fields)


def test_images_without_silhouettes_spare_their_masks(tmp_path):
    write_people(tmp_path, count=4)
    config = run_config(tmp_path)
    source = FEEDS["image"].open(tmp_path, ["people"], PipelineConfig(img_size=48, shuffle_buffer=4))
    assert source.count == 4
    assert source.statistics() == {}
    seen = {}
    for use in (False, True):
        system = build_system(
            dataclasses.replace(config, model=dataclasses.replace(config.model, use_mesh_repro_loss=use))
        )
        batches = FEEDS["image"].training_batches(source, system, batch_size=4, seed=0)
        seen[use] = next(batches.as_numpy_iterator())
    assert seen[True]["silhouette"].any()
    assert "silhouette" not in seen[False]
    np.testing.assert_array_equal(seen[False]["image"], seen[True]["image"])
