"""Tiny folders of a few drawn-up people in the layouts of datasets with bodies, 3D joints and MATLAB structures."""

from __future__ import annotations

import pathlib
import pickle

import cv2
import h5py
import numpy as np
import scipy.io

from hpe import skeletons
from hpe.geometry.cameras import PinholeCamera
from tests.dataset_folders import write_image

HEIGHT, WIDTH = 120, 160
CAMERA = PinholeCamera(np.array([150.0, 152.0]), np.array([80.0, 61.0]))

# A person who stands before the camera and looks at it: metres, x right, y down, of the left side.
_BODY = {
    **{
        "ankle": (0.12, 0.8, 0),
        "knee": (0.12, 0.4, -0.04),
        "hip": (0.1, 0, 0),
        "shoulder": (0.18, -0.5, 0.02),
    },
    **{"elbow": (0.25, -0.25, 0.05), "wrist": (0.28, 0.0, -0.1), "hand": (0.3, 0.05, -0.12)},
    **{"foot": (0.13, 0.88, -0.1), "toe": (0.14, 0.9, -0.15), "collar": (0.08, -0.48, 0.02)},
    **{"eye": (0.03, -0.7, -0.1), "ear": (0.07, -0.68, 0), "clavicle": (0.08, -0.5, 0.02)},
}
_MIDDLE = {
    **{
        "head_top": -0.85,
        "nose": -0.66,
        "jaw": -0.6,
        "head": -0.7,
        "neck": -0.55,
        "thorax": -0.5,
        "spine": -0.25,
    },
    **{
        "spine1": -0.1,
        "spine2": -0.25,
        "spine3": -0.35,
        "spine4": -0.45,
        "belly": -0.2,
        "pelvis": 0.0,
        "mid_hip": 0.0,
    },
}


def standing(skeleton: skeletons.Skeleton, *, seed: int = 0, far: float = 3.0) -> np.ndarray:
    """Returns joints (J, 3) in the camera frame, metres, a little different for each seed."""
    rng = np.random.default_rng(seed)
    joints = []
    for name in skeleton.joints:
        name = name.removeprefix("op_")
        side, _, part = name.partition("_")
        if side in ("left", "right"):
            part = part.replace("big_toe", "toe").replace("small_toe", "toe").replace("heel", "ankle")
            x, y, z = _BODY[part]
            joints.append((x if side == "left" else -x, y, z))
        else:
            joints.append((0, _MIDDLE[name], 0.0))
    place = np.array([rng.uniform(-0.2, 0.2), 0, far + rng.uniform(0, 0.5)])
    moved = np.array(joints) + rng.normal(0, 0.01, (len(joints), 3))
    for middle, sides in (("pelvis", ("left_hip", "right_hip")),):
        if {middle, *sides} <= set(skeleton.joints):
            moved[skeleton.index(middle)] = sum(moved[skeleton.index(side)] for side in sides) / 2
    return moved + place


def seen(joints: np.ndarray) -> np.ndarray:
    """Returns the pixels (J, 2) of joints of `standing`."""
    return CAMERA.project(joints)


def write_mpii_release(folder: pathlib.Path, *, changes=None) -> pathlib.Path:
    """Writes three pictures: two people and one without joints, a person without a box, and one of the test set."""

    def person(number, **others):
        pixels = seen(standing(skeletons.MPII16, seed=number)) + 1
        points = [{"x": x, "y": y, "id": joint, "is_visible": "1"} for joint, (x, y) in enumerate(pixels)]
        return {
            **{"x1": 10.0, "y1": 20.0, "x2": 40.0, "y2": 60.0, "scale": 0.4},
            **{"objpos": {"x": 81.0, "y": 61.0}, "annopoints": {"point": _rows(points[:-1])}},
        } | others

    pictures = [
        {"image": {"name": "a.jpg"}, "annorect": _rows([person(0), person(1, annopoints=np.zeros((0, 0)))])},
        {"image": {"name": "b.jpg"}, "annorect": person(2, scale=np.zeros((0, 0)), objpos=np.zeros((0, 0)))},
        {"image": {"name": "c.jpg"}, "annorect": {"scale": 1.0, "objpos": {"x": 5.0, "y": 5.0}}},
    ]
    for place, entry in enumerate(pictures):
        entry["vididx"] = float(place + 1)
    if changes:
        changes(pictures)
    release = {
        "annolist": _rows(pictures),
        "img_train": np.array([[1, 1, 0]], np.uint8),
        "act": _rows([{"act_name": name, "act_id": 1.0} for name in ("rowing", "resting", "-1")]).reshape(
            -1, 1
        ),
        "video_list": np.array([["first", "second", "third"]], object),
    }
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(folder / "mpii_human_pose_v1_u12_1.mat", {"RELEASE": release}, do_compression=True)
    for name in "ab":
        write_image(folder / "images" / f"{name}.jpg", HEIGHT, WIDTH)
    return folder / "mpii_human_pose_v1_u12_1.mat"


def _rows(entries: list[dict]) -> np.ndarray:
    """Returns an array of structures."""
    rows = np.zeros((1, len(entries)), [(key, object) for key in entries[0]])
    for place, entry in enumerate(entries):
        for key, value in entry.items():
            rows[key][0, place] = value
    return rows


def write_hr_lspet(folder: pathlib.Path, *, numbers=(1, 2, 4), count: int = 3) -> pathlib.Path:
    """Writes pictures of some numbers, and joints of as many people; the second lacks its first joint."""
    joints = np.zeros((14, 3, count))
    for place in range(count):
        joints[:, :2, place] = seen(standing(skeletons.LSP14, seed=place))
    joints[:, 2] = 1
    joints[0, :, 1] = (-30.5, 0, 0)
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(folder / "joints.mat", {"joints": joints})
    for number in numbers:
        write_image(folder / f"im{number:05d}.png", HEIGHT, WIDTH)
    return folder / "joints.mat"


def spin_arrays(count: int = 3) -> dict[str, np.ndarray]:
    """Returns what a file of SPIN holds of a few people; the last has no body."""
    skeleton = skeletons.SPIN24
    bodies = np.stack([standing(skeleton, seed=seed) for seed in range(count)])
    pixels = np.stack([seen(body) for body in bodies])
    ones = np.ones((count, len(skeleton), 1))
    rng = np.random.default_rng(0)
    return {
        "imgname": np.array([f"imageFiles/walk/image_{number:05d}.jpg" for number in range(count)]),
        "center": np.tile([80.0, 60.0], (count, 1)),
        "scale": np.full(count, 0.5),
        "part": np.concatenate([pixels, ones], axis=2),
        "S": np.concatenate([bodies - bodies[:, 14:15], ones], axis=2),
        "openpose": np.concatenate(
            [
                np.stack([seen(standing(skeletons.OPENPOSE25, seed=seed)) for seed in range(count)]),
                rng.uniform(0.2, 1, (count, 25, 1)),
            ],
            axis=2,
        ),
        "pose": rng.normal(0, 0.2, (count, 72)),
        "shape": rng.normal(size=(count, 10)),
        "has_smpl": np.array([1.0] * (count - 1) + [0.0]),
        "gender": np.array(["m", "f", "x"])[:count],
    }


def write_spin(path: pathlib.Path, **changes) -> pathlib.Path:
    """Writes `spin_arrays` but for changes (None leaves one out), and the pictures beside the file."""
    arrays = {key: value for key, value in (spin_arrays() | changes).items() if value is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    for name in np.asarray(arrays.get("imgname", ())).ravel():
        write_image(path.parent / str(name), HEIGHT, WIDTH)
    return path


def pw3d_recording(frames: int = 4, people: int = 2) -> dict:
    """Returns a recording of 3DPW by a camera that turns; the second person is not found in the first frame."""
    rng = np.random.default_rng(0)
    cameras = np.tile(np.eye(4), (frames, 1, 1))
    for frame in range(frames):
        angle = 0.3 + 0.1 * frame
        cameras[frame, :3, :3] = [
            *([np.cos(angle), 0, np.sin(angle)], [0, 1, 0]),
            [-np.sin(angle), 0, np.cos(angle)],
        ]
        cameras[frame, :3, 3] = (0.1, -0.2, 0.3)
    found: dict[str, list] = {"jointPositions": [], "poses2d": []}
    for person in range(people):
        joints, detected = np.zeros((frames, 24, 3)), np.zeros((frames, 3, 18))
        for frame in range(frames):
            body = standing(skeletons.SMPL24, seed=person)
            joints[frame] = (body - cameras[frame, :3, 3]) @ cameras[frame, :3, :3]
            detected[frame, :2] = seen(standing(skeletons.OPENPOSE18, seed=person)).T
            detected[frame, 2] = rng.uniform(0.5, 1, 18)
        found["jointPositions"].append(joints.reshape(frames, 72))
        found["poses2d"].append(detected)
    found["poses2d"][-1][0] = 0
    valid = np.ones(frames)
    valid[-1] = 0
    return {
        **found,
        "poses": [rng.normal(0, 0.2, (frames, 72)) for _ in range(people)],
        "betas": [rng.normal(size=300) for _ in range(people)],
        "trans": [np.zeros((frames, 3)) for _ in range(people)],
        "genders": ["m", "f"][:people],
        "sequence": "walk_00",
        "img_frame_ids": np.arange(frames) * 2,
        "cam_poses": cameras,
        "campose_valid": [valid] * people,
        "cam_intrinsics": CAMERA.matrix,
    }


def write_pw3d(folder: pathlib.Path, recording=None, *, split: str = "train") -> pathlib.Path:
    """Writes a recording and its pictures; Python 2 wrote 3DPW's."""
    recording = pw3d_recording() if recording is None else recording
    path = folder / "sequenceFiles" / split / "walk_00.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(recording, protocol=2))
    for frame in range(4):
        write_image(folder / "imageFiles" / "walk_00" / f"image_{frame:05d}.jpg", HEIGHT, WIDTH)
    return path


def write_mpi_inf_3dhp(
    folder: pathlib.Path, *, frames: int = 8, convert=lambda joints: 1000 * joints
) -> pathlib.Path:
    """Writes the pictures of one camera of S1/Seq1, every other frame of them; two of 14 cameras have labels."""
    skeleton = skeletons.MPI_INF_3DHP28
    bodies = np.stack([standing(skeleton, seed=seed) for seed in range(frames)])
    pixels = np.stack([seen(body) for body in bodies])
    annot2, annot3 = np.empty((2, 1), object), np.empty((2, 1), object)
    for camera in range(2):
        annot2[camera, 0] = pixels.reshape(frames, -1).astype(np.float32)
        annot3[camera, 0] = convert(bodies).reshape(frames, -1).astype(np.float32)
    path = folder / "S1" / "Seq1" / "annot.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(
        path, {"annot2": annot2, "annot3": annot3, "frames": np.arange(frames)}, do_compression=True
    )
    for frame in range(0, frames, 2):
        write_image(path.parent / "imageFrames" / "video_1" / f"frame_{frame + 1:06d}.jpg", HEIGHT, WIDTH)
    return path


def write_mpi_inf_3dhp_test(folder: pathlib.Path, *, frames: int = 4) -> pathlib.Path:
    """Writes TS1 as MATLAB's version 7.3 has it; the second frame is not valid."""
    skeleton = skeletons.MPI_INF_3DHP17
    bodies = np.stack([standing(skeleton, seed=seed) for seed in range(frames)])
    path = folder / "mpi_inf_3dhp_test_set" / "TS1" / "annot_data.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        file["annot2"] = np.stack([seen(body) for body in bodies])[:, None]
        file["annot3"] = 1000 * bodies[:, None]
        file["univ_annot3"] = 920 * bodies[:, None]
        file["valid_frame"] = np.array([[1.0], [0.0], [1.0], [1.0]])
        file["activity_annotation"] = np.array([[1.0], [1.0], [3.0], [7.0]])
    for frame in range(frames):
        write_image(path.parent / "imageSequence" / f"img_{frame + 1:06d}.jpg", HEIGHT, WIDTH)
    return path


def write_flic(folder: pathlib.Path, *, people: int = 25, mirrored: bool = False) -> pathlib.Path:
    """Writes frames of films, the last of them for testing; knees and ankles are not labelled."""
    columns = [
        *("left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist"),
        *("left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle"),
        *("left_eye", "right_eye", "left_ear", "right_ear", "nose"),
    ]
    skeleton = skeletons.COCO17
    examples = []
    for number in range(people):
        pixels = seen(standing(skeleton, seed=number)) + 1
        pixels = pixels[list(skeleton.flip)] if mirrored else pixels
        coords = np.full((2, 29), np.nan)
        for column, joint in enumerate(columns):
            if "knee" not in joint and "ankle" not in joint:
                coords[:, column] = pixels[skeleton.index(joint)]
        examples.append(
            {
                **{
                    "coords": coords,
                    "filepath": f"film-{number % 2}.jpg",
                    "moviename": "film",
                    "currframe": 7.0,
                },
                **{"istrain": float(number < people - 1), "istest": float(number == people - 1)},
            }
        )
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(folder / "examples.mat", {"examples": _rows(examples)}, do_compression=True)
    for number in range(2):
        write_image(folder / "images" / f"film-{number}.jpg", HEIGHT, WIDTH)
    return folder / "examples.mat"


def occlusion_person_entries(count: int = 3) -> list[dict]:
    """Returns entries of Occlusion-Person; the last joint of the second person is hidden."""
    entries = []
    for number in range(count):
        joints = standing(skeletons.OCCLUSION_PERSON15, seed=number)
        visible = np.ones((15, 1))
        visible[-1] = number != 1
        entries.append(
            {
                **{"image": f"room/{number:03d}.jpg", "joints_2d": seen(joints), "joints_3d": 1000 * joints},
                **{"joints_vis": np.ones((15, 1)), "joints_vis_2d": visible},
                **{
                    "center": np.array([80.0, 60.0]),
                    "scale": np.array([0.5, 0.5]),
                    "subject": 3,
                    "action": 2,
                },
                **{"image_id": number, "video_id": "a_00", "camera_id": 0, "source": "unrealcv"},
                "camera": {
                    **{"R": np.eye(3), "T": np.zeros((3, 1)), "k": np.zeros((3, 1)), "p": np.zeros((2, 1))},
                    **{"fx": np.array([150.0]), "fy": np.array([152.0])},
                    **{"cx": np.array([80.0]), "cy": np.array([61.0])},
                },
            }
        )
    return entries


def write_occlusion_person(folder: pathlib.Path, entries=None) -> pathlib.Path:
    """Writes the entries for training and their pictures."""
    path = folder / "annot" / "unrealcv_train.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(occlusion_person_entries() if entries is None else entries, protocol=3))
    for number in range(3):
        write_image(folder / "images" / "room" / f"{number:03d}.jpg", HEIGHT, WIDTH)
    return path


def eccv18_person(number: int, **changes) -> dict:
    """Returns somebody of Human3.6M of ECCV'18, whose joints tell their number; None leaves an entry out."""
    rng = np.random.default_rng(number)
    relative = rng.normal(scale=300, size=(18, 3))
    relative[0] = 0
    entry = {
        "image": f"{number:05d}.jpg",
        "joints_3d": np.concatenate([relative[:, :2] * 0.05 + 50, relative[:, 2:] * 0.05], axis=1),
        "joints_3d_vis": np.ones((18, 3)),
        "joints_3d_relative": relative,
        **{"center_x": 50.0 + number, "center_y": 48.0, "width": 60.0, "height": 80.0},
        **{"bone_len": 4465.0, "s": 0.05, "rot": np.eye(2), "t": np.zeros(2)},
    }
    return {key: value for key, value in {**entry, **changes}.items() if value is not None}


def write_h36m_eccv18(folder: pathlib.Path, people=None, *, split="Train", pictures=None) -> pathlib.Path:
    """Writes the cache of a split and its pictures, by default one for everybody, of a brightness of their own."""
    people = [eccv18_person(number) for number in (1, 2)] if people is None else people
    images = folder / "ECCV18_Challenge" / split / "IMG"
    images.mkdir(parents=True, exist_ok=True)
    for number in range(1, len(people) + 1) if pictures is None else pictures:
        cv2.imwrite(str(images / f"{number:05d}.jpg"), np.full((100, 100, 3), 10 * number, np.uint8))
    name = f"HM36_eccv_challenge_{split}_cache"
    path = folder / "msra_cache" / name / f"{name}_w288xh384_keypoint_jnt_bbox_db.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(people, protocol=2))
    return path
