"""Outlines: polygons and run lengths against independent references, and work that is bounded by the picture."""

import time

import cv2
import numpy as np
import pytest

from hpe.datasets.outlines import cut_polygon, decode_runs, draw_outline


def runs_of(mask):
    """Returns the run lengths of a mask, column after column, from 0."""
    values = mask.T.ravel()
    changes = np.flatnonzero(np.diff(values)) + 1
    runs = np.diff([0, *changes, values.size]).tolist()
    return [0, *runs] if values[0] else runs


def text_of(runs):
    """Returns COCO's text of run lengths, written after the description of its MATLAB API."""
    text = ""
    for place, run in enumerate(runs):
        value = run - runs[place - 2] if place > 2 else run
        more = True
        while more:
            bits = value & 31
            value >>= 5
            more = value != (-1 if bits & 16 else 0)
            text += chr((bits | 32 if more else bits) + 48)
    return text


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_come_back(seed):
    mask = cv2.resize(np.random.default_rng(seed).random((4, 5)), (37, 41)) > 0.5
    runs = runs_of(mask)
    for counts in (runs, text_of(runs)):
        np.testing.assert_array_equal(decode_runs({"size": [41, 37], "counts": counts}, 41, 37) > 0, mask)


@pytest.mark.parametrize(
    "content",
    [
        {"size": [10**9, 10**9], "counts": [10**18]},
        {"size": [4, 5], "counts": [30, -10]},
        {"size": [4, 5], "counts": [2**62, 2**62]},
        {"size": [4, 5], "counts": "~~~~~~~~~~~~~~~~~~~~~"},
        {"size": [4, 5], "counts": "o" * 100},
        {"size": [4, 5]},
        {"size": None, "counts": []},
    ],
)
def test_run_lengths_of_something_else_are_damaged(content):
    assert draw_outline(content, 4, 5) == (None, "segmentation is damaged")


def test_polygons_may_overlap():
    mask, _ = draw_outline([[10, 10, 30, 10, 30, 40, 10, 40], [20, 10, 50, 10, 50, 40, 20, 40]], 60, 80)
    assert mask[10:40, 10:50].all()
    alone, _ = draw_outline([10, 10, 30, 10, 30, 40, 10, 40], 60, 80)
    assert alone[10:40, 10:30].all()


@pytest.mark.parametrize("seed", range(10))
def test_cutting_changes_nothing_inside(seed):
    """The reference is a picture large enough for the whole polygon."""
    polygon = np.random.default_rng(seed).uniform(-150, 250, (9, 2))
    large = np.zeros((500, 500), np.uint8)
    cv2.fillPoly(large, [np.rint((polygon - 0.5 + 200) * 16).astype(np.int32)], 255, shift=4)
    mask, problem = draw_outline([polygon.ravel().tolist()], 60, 80)
    expected = large[200:260, 200:280]
    assert (mask is None) == (not expected.any()), problem
    if mask is not None:
        # Cut edges begin at other shares of a pixel.
        assert np.mean(mask != expected) < 0.03


def test_far_points_cost_no_more_than_near_ones():
    began = time.monotonic()
    mask, _ = draw_outline([[1e6, -1e6, 5, 5, 1e6, 7] * 5000], 64, 48)
    assert mask is None or mask.shape == (64, 48)
    assert draw_outline([[0, 0, 1, 1] * 40_000], 64, 48) == (None, "segmentation is damaged")
    assert time.monotonic() - began < 5
    assert len(cut_polygon(np.array([[1e9, 1e9], [2e9, 1e9], [1e9, 2e9]]), (0, 0), (10, 10))) == 0
