"""People of a video are found now and then, followed in between, keep their numbers and are calmed."""

import dataclasses

import numpy as np
import pytest

from hpe.geometry.cameras import frame_camera
from hpe.inference.tracking import Smoother, SmoothingConfig, VideoTracker, person_box
from hpe.people.person import Person

FRAME = np.zeros((200, 400, 3), np.uint8)
STICK = np.stack([np.full(5, 0.5), np.linspace(0.05, 0.95, 5)], axis=1)


class Scene:
    """People on straight ways; a detector that sees them, and a model that finds joints where somebody is."""

    def __init__(self, ways, *, noise=0.0):
        self.ways, self.noise, self.frame, self.looks = ways, noise, 0, 0
        self._generator = np.random.default_rng(0)

    def boxes(self):
        places = [way(self.frame) for way in self.ways]
        return [np.array([*place, 40.0, 100.0]) for place in places if place is not None]

    def detect(self, frame):
        self.looks += 1
        boxes = self.boxes()
        return np.array(boxes).reshape(-1, 4), np.full(len(boxes), 0.9)

    def predict(self, frame, boxes):
        people = []
        for box in boxes:
            middle = np.add(box[:2], np.multiply(box[2:], 0.5))
            near = [b for b in self.boxes() if np.abs(b[:2] + b[2:] / 2 - middle).max() < 40]
            joints = STICK * [40, 100] + (near[0][:2] if near else np.array(box[:2]))
            joints = joints + self._generator.normal(scale=self.noise, size=joints.shape)
            sure = np.full(5, 0.9 if near else 0.02, np.float32)
            people.append(Person(tuple(box), 1.0, None, joints.astype(np.float32), sure, "lsp14"))
        return people

    def run(self, frames, **settings):
        tracker = VideoTracker(self.predict, self.detect, **settings)
        shown = []
        for self.frame in range(frames):
            shown.append(tracker(FRAME, self.frame / 25))
        return shown


def test_two_people_keep_their_numbers_and_the_detector_rests():
    scene = Scene([lambda k: (20 + 2 * k, 50), lambda k: (300 - 2 * k, 60)])
    shown = scene.run(40, smoothing=None, detect_every=10)
    assert [[person.track_id for person in people] for people in shown] == [[1, 2]] * 40
    assert scene.looks == 4
    xs = np.array([[person.joints2d[0, 0] for person in people] for people in shown])
    assert (np.diff(xs[:, 0]) > 0).all()
    assert (np.diff(xs[:, 1]) < 0).all()


def test_who_leaves_is_gone_and_an_empty_frame_has_nobody():
    scene = Scene([lambda k: (20, 50) if k < 10 else None])
    shown = scene.run(20)
    assert [len(people) for people in shown] == [1] * 10 + [0] * 10
    # With nobody to follow the detector looks at every frame.
    assert scene.looks >= 10


def test_a_newcomer_is_seen_at_the_next_look():
    scene = Scene([lambda k: (20, 50), lambda k: (200, 50) if k >= 3 else None])
    shown = scene.run(12, detect_every=5)
    assert [len(people) for people in shown] == [1] * 5 + [2] * 7
    assert shown[-1][1].track_id == 2


def test_jitter_of_a_person_who_stands_shrinks_and_a_fast_arm_is_followed():
    still = Scene([lambda k: (100, 50)], noise=1.0)
    raw = [people[0].joints2d for people in Scene([lambda k: (100, 50)], noise=1.0).run(80, smoothing=None)]
    calm = [people[0].joints2d for people in still.run(80, smoothing=SmoothingConfig())]
    assert np.std(calm[20:], axis=0).mean() < 0.6 * np.std(raw[20:], axis=0).mean()
    fast = Scene([lambda k: (20 + 8 * k, 50)])  # two box heights per second
    shown = fast.run(30, smoothing=SmoothingConfig())
    lag = (20 + 8 * 29 + 20 - shown[-1][0].joints2d[0, 0]) / 8 / 25
    assert 0 <= lag < 0.04  # seconds: one frame


def test_who_walks_by_is_where_they_are_and_stands_still_at_rest():
    """The place in space: across the picture it does not wait for the depth, which one view knows badly."""
    generator, camera = np.random.default_rng(0), frame_camera((480, 640))

    def shown(speed):
        smooth, places = Smoother(), []
        for frame in range(100):
            depth = 6.0 * np.exp(generator.normal(scale=0.015))  # 9 cm
            x = speed * (frame / 50 - 1) + generator.normal(scale=0.004)
            translation = np.array([x / 6, 0.02, 1.0]) * depth
            joints = np.zeros((5, 2), np.float32)
            person = Person((0, 0, 100, 200), 1.0, 1, joints, np.ones(5, np.float32), "lsp14", camera=camera)
            smoothed = smooth(dataclasses.replace(person, translation=translation), frame / 50)
            places.append(smoothed.translation)
        return np.array(places)[25:]

    still, walks = shown(0.0), shown(1.4)
    assert still[:, 2].std() < 0.35 * 0.09
    assert still[:, 0].std() < 0.5 * 0.004
    seen = 6 * walks[:, 0] / walks[:, 2]
    lag = np.mean(1.4 * (np.arange(25, 100) / 50 - 1) - seen) / 1.4
    assert 0 <= lag < 0.03  # seconds; one filter for all three had 0.1


def test_the_box_of_a_person_is_that_of_the_joints_that_were_seen():
    joints = np.float32([[10, 10], [30, 50], [999, 999]])
    person = Person((0, 0, 5, 5), 1.0, None, joints, np.float32([1, 1, 0]), "lsp14")
    np.testing.assert_allclose(person_box(person), (6, 6, 28, 48), atol=1e-4)
    nobody = Person((0, 0, 5, 5), 1.0, None, joints, np.zeros(3, np.float32), "lsp14")
    assert person_box(nobody) == (0, 0, 5, 5)
    with pytest.raises(ValueError, match="detect_every"):
        VideoTracker(None, None, detect_every=0)
