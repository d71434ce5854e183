"""The live window over a film that is made up: a body in front of a colour that counts the frames.

Run by test_preview_window.py on a virtual screen: FOLDER and how long a frame lasts, in seconds.
"""

import dataclasses
import pathlib
import sys
import time

import numpy as np

from hpe.export.motion import rig_of
from hpe.geometry.cameras import frame_camera
from hpe.inference.sources import Frame
from hpe.people.person import BodyParameters, Person
from hpe.programs.preview_config import PreviewConfig
from hpe.programs.preview_window import play

HEIGHT, WIDTH = 240, 320


def made_up(seconds):
    body = rig_of("default")
    camera = frame_camera((HEIGHT, WIDTH))
    vertices = body.v_template * np.float32([1, -1, -1]) + np.float32([0, 0.25, 3.4])
    joints = body.keypoint_regressors["cocoplus19"] @ vertices
    person = Person(
        box=(100.0, 20.0, 120.0, 200.0),
        score=1.0,
        track_id=1,
        joints2d=np.float32(camera.project(joints)),
        confidence=np.ones(19, np.float32),
        skeleton="cocoplus19",
        joints3d=np.float32(joints),
        joints3d_skeleton="cocoplus19",
        vertices=np.float32(vertices),
        faces=body.faces,
        camera=camera,
        translation=np.float32([0, 0.25, 3.4]),
        body=BodyParameters("default", np.tile(np.eye(3, dtype=np.float32), (24, 1, 1)), np.zeros(10)),
    )
    other = dataclasses.replace(person, track_id=2, vertices=person.vertices + np.float32([1.0, 0, 0]))
    for number in range(10_000):
        # The blue channel counts, so that a picture of the screen says which frame is shown.
        image = np.full((HEIGHT, WIDTH, 3), (90, 160, number % 256), np.uint8)
        yield Frame(image, number, number * seconds, time.monotonic()), [person, other]


class Nothing:
    is_camera = False
    received = None

    def add(self, *_):
        pass


if __name__ == "__main__":
    folder, seconds = pathlib.Path(sys.argv[1]), float(sys.argv[2])
    config = PreviewConfig(output=str(folder), fullscreen="--fullscreen" in sys.argv)
    frames = play(made_up(seconds), Nothing(), folder / "film", Nothing(), Nothing(), config, Nothing())
    print("frames", frames)
