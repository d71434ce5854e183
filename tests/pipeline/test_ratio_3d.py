"""People with and without 3D joints in one batch: shares, what is turned, and pictures that keep their labels."""

import dataclasses

import numpy as np
import pytest

from hpe.errors import SettingError
from hpe.fields import Needs
from hpe.pipeline import PipelineConfig
from hpe.pipeline.images import training_batches
from hpe.pipeline.spec import parse_specs, shares_by_kind
from hpe.records.reading import find_shards
from hpe.records.writing import write_dataset
from tests.pipeline.people import encode, make_sample

CONFIG = PipelineConfig(
    img_size=32, shuffle_buffer=9, trans_max=0, scale_min=1.0, scale_max=1.0, flip=False, rotation_max=90.0
)
NEEDS = Needs(("image", "joints2d", "joints3d"), "cocoplus19")
FLAT, DEEP = 8, 5
STEP = 18


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Pictures of one brightness each, which their 2D joints and, of some, 3D joints tell, too."""
    folder = tmp_path_factory.mktemp("records")
    for name, first, count in (("flat", 0, FLAT), ("deep", FLAT, DEEP)):
        people = []
        for number in range(first, first + count):
            changes = {
                "image": encode(np.full((64, 64, 3), STEP * number, np.uint8)),
                "height": 64,
                "width": 64,
                "mask": None,
                "joints2d": np.full((19, 2), 31.5, np.float32) + np.float32([0.5 * number, 0]),
                "center": np.array([31.5, 31.5], np.float32),
                "scale": 64.0,
                "joints3d": np.full((19, 3), number, np.float32),
            }
            if name == "flat":
                changes |= {"skeleton3d": None, "joints3d": None, "confidence3d": None}
            people.append(make_sample(number, **changes))
        write_dataset(people, folder, name, skeleton="cocoplus19", shard_size=4, progress=False)
    return find_shards(folder, ["flat", "deep"])


def batches(shards, ratio, count, *, texts=("flat", "deep", "rotation_max=0"), **options):
    config = dataclasses.replace(CONFIG, ratio_3d=ratio)
    dataset = training_batches(
        shards, config, batch_size=4, needs=NEEDS, specs=parse_specs(texts), seed=3, **options
    )
    return list(dataset.take(count).as_numpy_iterator())


def test_picture_and_label_stay_together_whatever_is_drawn(shards):
    """Shuffled, thinned to a share, and resumed: the published code paired pictures with labels of others."""
    seen = set()
    for batch in batches(shards, 1.0, 12, start_step=37):
        numbers = np.rint(batch["image"].mean(axis=(1, 2, 3)) / STEP)
        # A pixel of the picture is 0.4 of one of the crop, whose half side is 16; turning keeps distances.
        middle = -1 / 32
        distance = np.linalg.norm(batch["joints2d"] - middle, axis=2)
        np.testing.assert_allclose(distance, np.tile(0.5 * numbers * 0.4 / 16, (19, 1)).T, atol=1e-4)
        deep = batch["joints3d_weight"][:, 0] > 0
        np.testing.assert_array_equal(deep, numbers >= FLAT)
        assert deep.sum() == 2
        np.testing.assert_allclose(batch["joints3d"][deep, 0, 2], numbers[deep], atol=1e-4)
        # 2D people are turned, 3D people are not.
        assert not (np.abs(batch["joints2d"][deep, 0, 1] - middle) > 1e-4).any()
        seen.update(numbers)
    assert seen == set(range(FLAT + DEEP))


def test_datasets_of_a_kind_share_by_their_sizes():
    shares = shares_by_kind(parse_specs(["a", "b", "c"]), (30, 10, 500), (False, False, True), 0.5)
    assert [str(share) for share in shares] == ["1/2", "1/6", "1/3"]
    assert sum(shares) == 1


@pytest.mark.parametrize(
    ("texts", "kinds", "message"),
    [
        (["a:1", "b:1"], (False, True), "the `datasets` have shares already"),
        (["a", "b"], (True, True), "needs datasets with 3D joints and without: of a, b all have them"),
        (["a", "b"], (False, False), "needs datasets with 3D joints and without: of a, b none has them"),
    ],
)
def test_ratios_that_say_nothing_are_refused(texts, kinds, message):
    with pytest.raises(SettingError, match=message):
        shares_by_kind(parse_specs(texts), (5, 5), kinds, 1.0)


def test_settings_that_make_no_sense_are_refused():
    for options in (
        {"ratio_3d": -1.0},
        {"ratio_3d": float("inf")},
        {"ratio_3d": 1.0, "dataset_ratios": ("1",)},
    ):
        with pytest.raises(SettingError, match="ratio_3d="):
            PipelineConfig(**options)
