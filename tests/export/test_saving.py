"""Files of whole videos: what readers of their own find in them, of everybody, to the last frame that was added."""

import csv
import json
import os

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe import skeletons
from hpe.datasets.mocap import Recording, load_sequence
from hpe.errors import UserError
from hpe.export import json_people
from hpe.export.json_people import HemletsLayout
from hpe.export.motion import rig_of
from hpe.export.saving import KINDS, VideoFiles, save_picture
from hpe.export.tracks import Tracks, to_amass
from hpe.geometry.cameras import frame_camera
from hpe.people.person import BodyParameters
from hpe.programs import preview_config
from tests.export.test_people import BARE, SCHEMA, person
from tests.export.test_rigs import Y_UP, posed, read_glb, skinned

RATE = 25.0


def walker(number, frame, *, turn=0.05):
    """Person `number` in a frame: walks to the right, turns, and is a little different in shape every time."""
    body = rig_of("default")
    pose = np.tile(np.eye(3), (24, 1, 1))
    pose[0] = (Rotation.from_rotvec([np.pi, 0, 0]) * Rotation.from_rotvec([0, turn * frame, 0])).as_matrix()
    pose[16] = Rotation.from_rotvec([0, 0, 0.3 * np.sin(frame)]).as_matrix()
    shape = np.zeros(10)
    shape[0] = 0.2 * np.cos(np.pi * frame)
    translation = np.array([0.04 * frame + number, 0.1, 4.0])
    rest = body.v_template + body.shape_dirs.astype(np.float64) @ shape
    return person(
        track_id=number,
        camera=frame_camera((480, 640)),
        body=BodyParameters("default", np.float32(pose), np.float32(shape)),
        translation=np.float32(translation),
        vertices=np.float32(rest * Y_UP + translation),
        faces=body.faces,
    )


def people_of(frame):
    """Person 1 in all frames but the third to fifth, person 2 from the second frame on."""
    seen = [] if frame in (3, 4, 5) else [1]
    return [walker(number, frame) for number in seen + ([2] if 2 <= frame != 4 else [])]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("video")
    with VideoFiles(folder / "a.b", [*KINDS], frames_per_second=RATE) as files:
        for frame in range(8):
            files.add(frame, frame / RATE, people_of(frame))
        lines, notes = files.finish()
    assert not notes
    assert len(lines) == 10  # json, csv, two npz, glb, two bvh, the page, two folders
    return folder


def test_kinds_are_those_of_the_program():
    assert preview_config.KINDS == KINDS


def test_json_and_csv_hold_all_frames(written):
    jsonschema = pytest.importorskip("jsonschema")
    read = json.loads((written / "a.b.json").read_text())
    jsonschema.validate(read, SCHEMA)
    assert [frame["frame"] for frame in read["frames"]] == [*range(8)]
    assert [[one["track_id"] for one in frame["people"]] for frame in read["frames"][2:6]] == [
        [1, 2],
        [2],
        [],
        [2],
    ]
    assert read["frames"][4]["time"] == 0.16
    with open(written / "a.b.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == (5 + 5) * (19 + 3)  # h36m17 has three joints that cocoplus19 lacks
    (row,) = (r for r in rows if (r["frame"], r["person"], r["joint"]) == ("7", "2", "left_knee"))
    (hip,) = (r for r in rows if (r["frame"], r["person"], r["joint"]) == ("7", "2", "pelvis"))
    she = walker(2, 7)
    place = she.joints2d[skeletons.COCOPLUS19.index("left_knee")]
    np.testing.assert_allclose([float(row["x_px"]), float(row["y_px"])], place, atol=1e-3)
    place = she.joints3d[skeletons.H36M17.index("pelvis")]
    np.testing.assert_allclose([float(hip[name]) for name in ("x_m", "y_m", "z_m")], place, atol=1e-5)
    assert hip["x_px"] == ""
    assert row["time_s"] == "0.280000"


def test_the_animation_shows_everybody_where_they_were_seen(written):
    document, array = read_glb((written / "a.b.glb").read_bytes())
    assert [skin["name"] for skin in document["skins"]] == ["person1", "person2"]
    (animation,) = document["animations"]  # viewers play the first
    times = [array(sampler["input"])[:, 0] for sampler in animation["samplers"]]
    np.testing.assert_allclose(times[0], np.arange(8) / RATE, atol=1e-6)
    np.testing.assert_allclose(times[-1], np.arange(2, 8) / RATE, atol=1e-6)
    body = rig_of("default")
    for skin, number, frames in ((0, 1, range(8)), (1, 2, range(2, 8))):
        for place, frame in enumerate(frames):
            vertices = skinned(document, array, skin, place)
            she = walker(number, frame)
            # The shape is the mean over the frames seen, the root joint stays where it was.
            shapes = [walker(number, f).body.shape for f in frames if number in ids(f)]
            root = body.joint_regressor[0].astype(np.float64)
            rest = body.v_template + body.shape_dirs.astype(np.float64) @ np.mean(shapes, axis=0)
            own = body.v_template + body.shape_dirs.astype(np.float64) @ she.body.shape
            translation = she.translation + root @ own - root @ rest
            motion = Tracks(RATE)
            motion.add(frame, frame / RATE, [she])
            (track,) = motion.finish()
            expected = posed(
                type(track.motion)(
                    body, she.body.pose[None], np.mean(shapes, axis=0), translation[None], np.zeros(1)
                )
            )[0][0]
            if number in ids(frame):
                assert np.abs(vertices * Y_UP - expected).max() < 1e-4  # metres


def ids(frame):
    return [she.track_id for she in people_of(frame)]


def test_motion_capture_is_read_back_upright_and_gaps_are_filled(written):
    with np.load(written / "a.b_1.npz", allow_pickle=False) as read:
        content = dict(read)
    assert content["poses"].shape == (8, 72)
    assert float(content["mocap_framerate"]) == pytest.approx(RATE)
    assert content["seen"].tolist() == [True, True, True, False, False, False, True, True]
    # Turning at an even pace, person 1 turned in the gap as well: about z, which is up.
    turns = Rotation.from_rotvec(content["poses"][:, :3])
    steps = (turns[1:] * turns[:-1].inv()).as_rotvec()
    np.testing.assert_allclose(steps, np.tile([0, 0, 0.05], (7, 1)), atol=1e-5)
    up = turns.apply([0, 1, 0])
    np.testing.assert_allclose(up, np.tile([0, 0, 1], (8, 1)), atol=1e-5)
    np.testing.assert_allclose(np.diff(content["trans"][:, 0]), 0.04, atol=1e-3)
    sequence = load_sequence(Recording("a.npz", str(written / "a.b_1.npz"), "a"), fps=0)
    assert (len(sequence.pose), sequence.frames_per_second) == (8, pytest.approx(RATE))


def test_meshes_have_a_folder(written):
    names = sorted(path.name for path in (written / "a.b_obj").iterdir())
    assert names == [f"{frame:06d}.obj" for frame in range(8) if ids(frame)]
    assert not list(written.glob(".*"))


def test_a_track_of_uneven_times_is_spaced_evenly():
    tracks = Tracks(RATE)
    for frame, time in ((0, 0.0), (1, 0.03), (2, 0.12)):
        tracks.add(frame, time, [walker(1, time * RATE)])
    (track,) = tracks.finish()
    np.testing.assert_allclose(track.motion.times, [0, 0.04, 0.08, 0.12])
    np.testing.assert_allclose(np.diff(track.motion.root_positions()[:, 0]), 0.04, atol=1e-6)
    assert track.seen.tolist() == [True, True, False, True]
    assert to_amass(track)["poses"].shape == (4, 72)


def test_hemlets_layout(tmp_path):
    with VideoFiles(tmp_path / "v", ["json"], frames_per_second=RATE, layout=HemletsLayout()) as files:
        for frame in range(5):
            files.add(frame, frame / RATE, people_of(frame))
        files.finish()
    text = (tmp_path / "v.json").read_text()
    read = json.loads(text, parse_constant=pytest.fail)
    assert text.startswith('{\n    "project": "2_3D_Human_Pose_Estimation",\n    "output": [')
    assert [entry["frame"] for entry in read["output"]] == [*range(5)]
    assert [[one["id"] for one in entry["predictions"]] for entry in read["output"]] == [
        [1],
        [1],
        [1, 2],
        [2],
        [],
    ]
    pred = np.array(read["output"][0]["predictions"][0]["pred"], float)
    assert pred.shape == (18, 3)
    assert pred[0].tolist() == [0, 0, 0]
    # The head is above the pelvis, the right hip to its left as the camera sees it, in pixels of a 256-pixel crop.
    she = walker(1, 0)
    joints = rig_of("default").keypoint_regressors["h36m17"] @ she.vertices.astype(np.float64)
    pixels = she.camera.project(joints) * 256 / (max(she.box[2:]) + 0.2 * she.box[3])
    np.testing.assert_allclose(pred[1, :2], (pixels[1] - pixels[0]), atol=2e-3)
    np.testing.assert_allclose(pred[10, 2], 64 * (joints[10] - joints[0])[2], atol=2e-3)


def test_hemlets_leaves_out_what_is_not_known():
    two_d = person(**BARE)
    assert json.loads(json_people.to_json([two_d], layout=HemletsLayout()))["output"][0]["predictions"] == []
    flat = person(joints3d=np.ones((17, 3), np.float32), joints3d_skeleton="coco17", vertices=None)
    joints = json_people.hemlets_joints(flat)
    assert [None] * 3 in joints
    assert len(joints) == 18


def test_kinds_that_cannot_be_written_say_why(tmp_path):
    with VideoFiles(tmp_path / "v", ["glb", "obj", "csv"], frames_per_second=RATE) as files:
        files.add(0, 0.0, [person(**BARE)])
        written, notes = files.finish()
    assert written == [str(tmp_path / "v.csv")]
    assert notes == [
        "no obj was written: holds meshes, and this model predicts none.",
        "no glb was written: there are no body parameters, which a rig is made of.",
    ]
    written, notes = save_picture([], tmp_path / "p", ["json", "csv", "npz", "glb", "bvh"])
    assert [path.name for path in written] == ["p.json", "p.csv", "p.npz"]
    assert len(notes) == 2
    written, notes = save_picture([walker(1, 0), walker(2, 0)], tmp_path / "p", ["bvh"])
    assert [path.name for path in written] == ["p_1.bvh", "p_2.bvh"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    files = VideoFiles(tmp_path / "v", ["json", "csv"], frames_per_second=RATE)
    for stream in files._streams.values():
        # The device that is always full takes the place of the disk.
        os.dup2(os.open("/dev/full", os.O_WRONLY), stream._stream._stream.fileno())
    with pytest.raises(UserError, match=r"v\.json: cannot be written \(No space left on device\)"), files:
        for frame in range(20):
            files.add(frame, frame / RATE, [walker(1, frame)])
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file: cannot be written"):
        VideoFiles(tmp_path / "file" / "v", ["json"], frames_per_second=RATE)
    with pytest.raises(RuntimeError), VideoFiles(tmp_path / "v", [*KINDS], frames_per_second=RATE) as files:
        files.add(0, 0.0, [])
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
