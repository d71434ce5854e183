"""Tiny folders in the layouts of Human3.6M: two subjects that move at random before four cameras."""

from __future__ import annotations

import dataclasses
import pathlib

import h5py
import numpy as np

from hpe import skeletons
from hpe.datasets.human36m.names import CAMERAS, RAW_JOINTS
from hpe.geometry.cameras import perspective_project
from tests.dataset_folders import write_image

FRAMES = 6
TRIALS = {
    "S1": ("Walking", "Walking 1", "Sitting 1", "SittingDown"),
    "S9": ("Directions", "Photo 1"),
}


@dataclasses.dataclass(frozen=True)
class Camera:
    """What the files say of a camera, world to camera, millimetres."""

    rotation: np.ndarray
    centre: np.ndarray
    f: np.ndarray
    c: np.ndarray
    k: np.ndarray
    p: np.ndarray


def camera(subject: str, name: str) -> Camera:
    """A camera 5 m from the origin that looks at it; those of two subjects differ."""
    place = list(CAMERAS).index(name)
    rng = np.random.default_rng([int(subject[1:]), place])
    angle = 0.7 + place * np.pi / 2 + rng.uniform(-0.1, 0.1)
    centre = np.array([5000 * np.cos(angle), 5000 * np.sin(angle), 1500.0])
    forward = -centre / np.linalg.norm(centre)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    # Lenses are the same for all subjects, as in metadata.xml.
    lens = np.random.default_rng(place)
    return Camera(
        rotation,
        centre,
        lens.uniform(1100, 1200, 2),
        lens.uniform(490, 520, 2),
        lens.normal(0, 0.1, 3),
        lens.normal(0, 0.01, 2),
    )


def raw_positions(subject: str, trial: str, frames: int = FRAMES) -> np.ndarray:
    """(frames, 32, 3) float32, world, millimetres."""
    seed = [int(subject[1:]), *trial.encode()]
    return np.random.default_rng(seed).uniform(-600, 600, (frames, 32, 3)).astype(np.float32)


def detected(
    subject: str, trial: str, name: str, frames: int = FRAMES, skeleton: str = "mpii16"
) -> np.ndarray:
    """(frames, joints, 2) float32 pixels, some px from where the camera sees them."""
    taken = camera(subject, name)
    world = raw_positions(subject, trial, frames)[:, list(RAW_JOINTS)].astype(np.float64)
    seen = (world - taken.centre) @ taken.rotation.T / 1000
    pixels = perspective_project(seen, taken.f, taken.c, taken.k, taken.p)
    names = skeletons.get(skeleton).joints
    known = skeletons.H36M17.joints
    rng = np.random.default_rng([int(subject[1:]), int(name), *trial.encode()])
    pixels = pixels[:, [known.index(joint if joint in known else "thorax") for joint in names]]
    return (pixels + rng.normal(0, 4, pixels.shape)).astype(np.float32)


def expected_joints3d(subject: str, trial: str, name: str) -> np.ndarray:
    """(FRAMES, 17, 3) float64, camera frame, metres."""
    taken = camera(subject, name)
    world = raw_positions(subject, trial)[:, list(RAW_JOINTS)].astype(np.float64)
    return np.einsum("ij,tkj->tki", taken.rotation, world - taken.centre) / 1000


def write_h5_file(path: pathlib.Path, **arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values


def write_cameras_h5(root: pathlib.Path, subjects=tuple(TRIALS)) -> None:
    """MATLAB's matrices lie column by column, so that HDF5 shows R transposed."""
    with h5py.File(root / "cameras.h5", "w") as file:
        for subject in subjects:
            for place, name in enumerate(CAMERAS, 1):
                taken = camera(subject, name)
                group = file.create_group(f"subject{subject[1:]}/camera{place}")
                group["R"] = taken.rotation.T
                group["T"] = taken.centre[:, None]
                for field in "fckp":
                    group[field] = getattr(taken, field)[:, None]
                group["Name"] = np.array([[float(ord(letter))] for letter in name])


def write_metadata_xml(root: pathlib.Path) -> None:
    extrinsics, intrinsics = [], []
    for name in CAMERAS:
        for number in range(1, 12):
            taken = camera(f"S{number}", name)
            r = taken.rotation
            angles = [np.arctan2(-r[1, 2], r[2, 2]), np.arcsin(r[0, 2]), np.arctan2(-r[0, 1], r[0, 0])]
            extrinsics += [*angles, *taken.centre]
        intrinsics += [*taken.f, *taken.c, *taken.k, *taken.p]
    numbers = " ".join(f"{float(value)!r}" for value in (*extrinsics, *intrinsics))
    text = f"<?xml version='1.0'?>\n<root><other>[1 2]</other><w0>[{numbers}]</w0></root>\n"
    (root / "metadata.xml").write_text(text)


def write_h5(root: pathlib.Path, *, detections: bool = True, cameras: bool = True) -> pathlib.Path:
    """3d-pose-baseline's layout."""
    for subject, trials in TRIALS.items():
        for trial in trials:
            values = raw_positions(subject, trial).reshape(FRAMES, 96).T
            write_h5_file(positions_h5(root, subject, trial), **{"3D_positions": values})
            for name in CAMERAS if detections else ():
                write_h5_file(detections_h5(root, subject, trial, name), poses=detected(subject, trial, name))
    if cameras:
        write_cameras_h5(root)
    return root


def positions_h5(root: pathlib.Path, subject: str, trial: str) -> pathlib.Path:
    return root / subject / "MyPoses" / "3D_positions" / f"{trial}.h5"


def detections_h5(root: pathlib.Path, subject: str, trial: str, name: str) -> pathlib.Path:
    return root / subject / "StackedHourglass" / f"{trial.replace(' ', '_')}.{name}.h5"


def write_cdf(root: pathlib.Path) -> pathlib.Path:
    """The release's layout, with metadata.xml."""
    for subject, trials in TRIALS.items():
        for trial in trials:
            path = root / subject / "MyPoseFeatures" / "D3_Positions" / f"{trial}.cdf"
            write_cdf_file(path, raw_positions(subject, trial).reshape(1, FRAMES, 96))
    write_metadata_xml(root)
    return root


def write_cdf_file(path: pathlib.Path, values: np.ndarray, variable: str = "Pose") -> None:
    """One record that holds all frames, as in the release."""
    import cdflib.cdfwrite

    path.parent.mkdir(parents=True, exist_ok=True)
    with cdflib.cdfwrite.CDF(path, delete=True) as file:
        spec = {
            "Variable": variable,
            "Data_Type": file.CDF_FLOAT,
            "Num_Elements": 1,
            "Rec_Vary": True,
            "Dim_Sizes": list(values.shape[1:]),
        }
        file.write_var(spec, var_data=values.astype(np.float32))


MPII_METADATA = {
    "num_joints": 16,
    "keypoints_symmetry": [[3, 4, 5, 13, 14, 15], [0, 1, 2, 10, 11, 12]],
}


def write_npz(root: pathlib.Path, *, metadata: dict | None = None, **changes) -> pathlib.Path:
    """VideoPose3D's layout, with cameras.h5 beside it."""
    root.mkdir(parents=True, exist_ok=True)
    positions = {
        subject: {trial: raw_positions(subject, trial) / 1000 for trial in trials}
        for subject, trials in TRIALS.items()
    }
    found = {
        subject: {trial: [detected(subject, trial, name) for name in CAMERAS] for trial in trials}
        for subject, trials in TRIALS.items()
    }
    np.savez_compressed(root / "data_3d_h36m.npz", positions_3d=changes.get("positions_3d", positions))
    np.savez_compressed(
        root / "data_2d_h36m_sh_pt_mpii.npz",
        positions_2d=changes.get("positions_2d", found),
        metadata=metadata or MPII_METADATA,
    )
    np.savez_compressed(root / "data_2d_h36m_gt.npz", positions_2d={}, metadata=MPII_METADATA)
    write_cameras_h5(root)
    return root


COURSE_NAMES = (
    "S1_Walking_1.54138969_000006.jpg",
    "S1_Walking_1.54138969_000001.jpg",
    "S1_Sitting.60457274_000001.jpg",
    "S1_SittingDown.60457274_000001.jpg",
    "S6_Directions.55011271_000011.jpg",
)
COURSE_VALID = ("S9_Posing.54138969_000001.jpg", "S11_Eating_1.58860488_000021.jpg")


def write_course(root: pathlib.Path, *, images: bool = True) -> pathlib.Path:
    """The layout with crops of 256 pixels."""
    rng = np.random.default_rng(0)
    count = len(COURSE_NAMES)
    pose2d, pose3d = rng.uniform(20, 235, (count, 17, 2)), rng.uniform(-700, 700, (count, 17, 3))
    pose3d[:, 0] = 0
    write_h5_file(root / "annot" / "train.h5", pose2d=pose2d, pose3d=pose3d)
    for name, lines in (("train_images.txt", COURSE_NAMES), ("valid_images.txt", COURSE_VALID)):
        (root / "annot" / name).write_text("".join(f"{line}\n" for line in lines))
    np.savetxt(root / "annot" / "mean.txt", pose3d.mean(axis=0))
    np.savetxt(root / "annot" / "std.txt", pose3d.std(axis=0))
    if images:
        for name in (*COURSE_NAMES[:-1], *COURSE_VALID):
            write_image(root / "images" / name, 256, 256)
    return root
