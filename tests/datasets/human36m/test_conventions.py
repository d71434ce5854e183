"""Conventions: what fits passes, what does not is refused with the convention that would fit."""

import numpy as np
import pytest

from hpe.datasets.human36m import conventions
from hpe.datasets.human36m.cameras import Camera
from hpe.datasets.human36m.names import CAMERAS, Trial
from hpe.datasets.human36m.recordings import Detections, Recordings
from hpe.errors import UserError
from hpe.skeletons import H36M17, MPII16

TRIAL = Trial("S1", "Walking", "1")
# Height and side of the joints of somebody who stands, metres.
_PLACES = {
    "pelvis": (0, 0.95), "hip": (0.13, 0.93), "knee": (0.13, 0.5), "ankle": (0.13, 0.08), "spine": (0, 1.2),
    "thorax": (0, 1.45), "nose": (0, 1.58), "head_top": (0, 1.72), "shoulder": (0.17, 1.42), "elbow": (0.22, 1.14),
    "wrist": (0.22, 0.92),
}  # fmt: skip


def people(frames=8):
    """Returns joints (frames, 17, 3) of somebody who stands about the origin, metres, z up."""
    rng = np.random.default_rng(0)
    rest = np.zeros((17, 3))
    for place, joint in enumerate(H36M17.joints):
        side, height = _PLACES[joint.removeprefix("left_").removeprefix("right_")]
        rest[place] = (-side if joint.startswith("left") else side, 0, height)
    joints = rest + rng.normal(0, 0.02, (frames, 17, 3))
    angles = rng.uniform(0, 6, frames)
    turned = joints.copy()
    turned[..., 0] = np.cos(angles)[:, None] * joints[..., 0] - np.sin(angles)[:, None] * joints[..., 1]
    turned[..., 1] = np.sin(angles)[:, None] * joints[..., 0] + np.cos(angles)[:, None] * joints[..., 1]
    return turned + np.array([0.4, -0.6, 0])


def cameras(*, transposed=False, offset=False, scale=1.0):
    table = {}
    for number, name in enumerate(CAMERAS):
        centre = np.array([4.9 * np.cos(0.7 + 1.5 * number), 4.9 * np.sin(0.7 + 1.5 * number), 1.6])
        forward = np.array([0, 0, 0.9]) - centre
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, (0, 0, 1.0))
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        translation = -rotation @ centre if offset else centre
        table["S1", name] = Camera(
            rotation.T if transposed else rotation,
            translation * scale,
            np.array([1145.0, 1144.0]),
            np.array([512.0, 508.0]),
            np.zeros(3),
            np.zeros(2),
        )
    return table


def detections():
    files = {}
    for (_, name), camera in cameras().items():
        pixels = camera.project(camera.to_camera(people()))
        joints = np.stack(
            [pixels[:, H36M17.index(joint if joint in H36M17.joints else "nose")] for joint in MPII16.joints],
            1,
        )
        files[TRIAL, name] = lambda joints=joints: joints
    return {"sh": Detections("mpii16", files)}


def check(world, table, *, detected):
    found = detections() if detected else {}
    recordings = Recordings("h5", {TRIAL: lambda: world}, found, 0.0)
    conventions.check(recordings, table, directory="DIR", cameras_file="cameras.h5")


@pytest.mark.parametrize("detected", [True, False])
def test_the_usual_convention_passes(detected):
    check(people(), cameras(), detected=detected)


@pytest.mark.parametrize(
    ("world", "table", "words"),
    [
        (
            people() / 1000,
            {},
            "0.00171 m tall if the unit is millimetres, as wanted; they seem to be in metres",
        ),
        (people() / 10, {}, "they seem to be in centimetres"),
        (people() * 1e9, {}, "m tall if the unit is millimetres, as wanted.$"),
        (people(), {"transposed": True}, "fit if R of the cameras is not transposed"),
        (people(), {"offset": True}, "fit if T of the cameras is the origin of the world in the camera"),
        (people(), {"scale": 1e-3}, "fit if T of the cameras is in metres"),
        (people()[..., [0, 2, 1]] * [1, 1, -1], {}, "fit if y is up in the positions"),
        (people()[..., [1, 2, 0]], {}, "fit if y is up in the positions"),
        (people() * [1, -1, -1], {}, "fit if z is down in the positions"),
        (people() - people()[:, :1], {}, "are relative to the pelvis; wanted are those in the world"),
    ],
)
@pytest.mark.parametrize("detected", [True, False])
def test_another_convention_is_refused_with_the_one_that_fits(world, table, words, detected):
    with pytest.raises(UserError, match=words) as caught:
        check(world, cameras(**table), detected=detected)
    assert str(caught.value).startswith("DIR: 3D positions of S1")
    assert "\n" not in str(caught.value)


def test_what_only_detections_tell():
    with pytest.raises(UserError, match="fit if the positions are mirrored"):
        check(people() * [-1, 1, 1], cameras(), detected=True)
    with pytest.raises(UserError, match="if left and right are exchanged"):
        check(people()[:, list(H36M17.flip)], cameras(), detected=True)
    with pytest.raises(
        UserError, match=r"do not belong together: \d+% of the joints .* px from the detections"
    ):
        check(people() + np.array([0.8, 0.3, 0]), cameras(), detected=True)


def test_cameras_of_something_else_are_refused():
    with pytest.raises(UserError, match="do not belong together: only 0% of the joints"):
        check(people() + np.array([0, 0, 50]), cameras(), detected=False)
