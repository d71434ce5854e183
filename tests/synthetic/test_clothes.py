"""Clothes are cut where they belong, on any body, and differ from person to person."""

import dataclasses

import numpy as np
import pytest

from hpe.body.data import load_body_model
from hpe.body.regions import Region
from hpe.skeletons import SMPL24
from hpe.synthetic.clothes import dress, wardrobe


@pytest.fixture(scope="module")
def data():
    return load_body_model("default")


@pytest.fixture(scope="module")
def body(data):
    return wardrobe(data)


def test_parts_follow_the_skeleton(data, body):
    strongest = np.array(SMPL24.joints)[data.weights.argmax(axis=1)]
    assert body.arm[strongest == "left_elbow"].all()
    assert body.leg[strongest == "right_knee"].all()
    assert body.head[strongest == "head"].mean() > 0.95
    assert not (body.arm & body.leg).any()
    trunk = ~(body.arm | body.leg | body.head)
    assert trunk[strongest == "spine2"].all()
    assert not trunk[np.isin(strongest, ["left_elbow", "left_ankle"])].any()


def test_measures_run_along_the_limbs(data, body):
    strongest = np.array(SMPL24.joints)[data.weights.argmax(axis=1)]
    for side in ("left", "right"):
        assert body.along_arm[strongest == f"{side}_hand"].min() > 0.95
        assert 0.3 < np.median(body.along_arm[strongest == f"{side}_elbow"]) < 1
        assert body.along_leg[strongest == f"{side}_ankle"].min() > 0.7
        assert 0.3 < np.median(body.along_leg[strongest == f"{side}_knee"]) < 1
    assert body.up_trunk[strongest == "head"].min() > 1


def test_hips_and_chest_are_always_covered(body):
    """Whatever is drawn, hips and chest do not have the colour of the face, and both sides are alike."""
    trunk = ~(body.arm | body.leg | body.head)
    hips = trunk & (body.up_trunk > -0.1) & (body.up_trunk < 0.05)
    chest = trunk & (body.up_trunk > 0.4) & (body.up_trunk < 0.7)
    face = body.head & ~body.hair & ~body.eyes & ~body.lips
    for seed in range(40):
        colors = dress(np.random.default_rng(seed), body)
        assert colors.shape == (len(body.points), 3)
        assert colors.min() >= 0
        assert colors.max() <= 255
        skin = np.median(colors[face], axis=0)
        for part in (hips, chest):
            assert np.linalg.norm(np.median(colors[part], axis=0) - skin) > 25, seed


def test_people_differ(body):
    shirts = {tuple(dress(np.random.default_rng(n), body)[body.up_trunk.argmin()].round()) for n in range(20)}
    assert len(shirts) > 15
    again = dress(np.random.default_rng(3), body)
    np.testing.assert_array_equal(again, dress(np.random.default_rng(3), body))


def test_hair_and_shoes_are_found_without_painted_regions(data):
    """What the geometry says agrees by and large with what the default body was painted as."""
    guessed = wardrobe(dataclasses.replace(data, vertex_regions=None))
    for name, region in (("hair", Region.HAIR), ("shoes", Region.SHOES)):
        found, painted = getattr(guessed, name), data.vertex_regions == region
        assert (found & painted).sum() > 0.5 * (found | painted).sum(), name
    assert not guessed.eyes.any()
