"""People keep their numbers when they cross, leave for a moment and come back; strangers get new ones."""

import numpy as np
import pytest

from hpe.people.tracking import Tracker, TrackingConfig, box_overlap, similarity

RATE = 25.0


def walk(start, velocity, frames):
    return [
        np.array([*(np.array(start) + np.array(velocity) * k / RATE), 40.0, 100.0]) for k in range(frames)
    ]


def test_two_people_who_cross_keep_their_numbers():
    left, right = walk((0, 50), (80, 0), 75), walk((200, 55), (-80, 0), 75)
    tracker = Tracker()
    for k in range(75):
        # The order in which a detector names people says nothing.
        boxes = [left[k], right[k]] if k % 3 else [right[k], left[k]]
        numbers = tracker.update(boxes, k / RATE)
        assert numbers == ([1, 2] if k % 3 else [2, 1]) or k == 0
        if k == 0:
            tracker = Tracker()
            assert tracker.update([left[0], right[0]], 0.0) == [1, 2]


def test_joints_decide_where_boxes_say_nothing():
    box = np.array([0.0, 0.0, 50.0, 100.0])
    standing = np.stack([np.full(5, 25.0), np.linspace(0, 100, 5)], axis=1)
    lying = standing[:, ::-1].copy()
    assert similarity(box, box, standing, standing) == pytest.approx(1.0)
    assert similarity(box, box, standing, lying) < 0.85
    tracker = Tracker()
    tracker.update([box, box], 0.0, joints2d=[standing, lying])
    assert tracker.update([box, box], 0.04, joints2d=[lying, standing]) == [2, 1]


def test_a_person_who_is_lost_for_a_moment_keeps_the_number_and_one_who_is_gone_does_not():
    path = walk((0, 0), (100, 0), 120)
    tracker = Tracker(TrackingConfig(patience=1.0))
    for k in range(20):
        tracker.update([path[k]], k / RATE)
    for k in range(20, 32):  # behind a pillar
        assert tracker.update([], k / RATE) == []
    assert tracker.update([path[32]], 32 / RATE) == [1]
    assert tracker.update([path[90]], 90 / RATE) == [2]


def test_numbers_wait_for_confirmation():
    tracker = Tracker(TrackingConfig(confirm=3))
    box = np.array([0.0, 0.0, 10.0, 10.0])
    assert [tracker.update([box], k / RATE) for k in range(4)] == [[None], [None], [1], [1]]


def test_overlap_of_boxes():
    assert box_overlap((0, 0, 2, 2), (1, 0, 2, 2)) == pytest.approx(1 / 3)
    assert box_overlap((0, 0, 2, 2), (3, 0, 2, 2)) == 0.0
    assert box_overlap((0, 0, 0, 0), (0, 0, 0, 0)) == 0.0
