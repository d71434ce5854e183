"""A small body of 24 rigid balls in the SMPL layout, for tests that need a person but not a good-looking one."""

import numpy as np

from hpe.body.data import BodyModelData
from hpe.skeletons import COCOPLUS19, H36M17, SMPL24

JOINTS = {
    "pelvis": (0, 0, 0),
    "left_hip": (0.09, -0.06, 0),
    "left_knee": (0.11, -0.47, 0),
    "left_ankle": (0.11, -0.88, -0.02),
    "left_foot": (0.12, -0.93, 0.1),
    "spine1": (0, 0.1, -0.02),
    "spine2": (0, 0.23, -0.02),
    "spine3": (0, 0.34, 0),
    "neck": (0, 0.52, -0.01),
    "left_collar": (0.07, 0.45, 0),
    "head": (0, 0.62, 0.02),
    "left_shoulder": (0.18, 0.46, 0),
    "left_elbow": (0.45, 0.46, -0.02),
    "left_wrist": (0.7, 0.46, -0.02),
    "left_hand": (0.8, 0.46, -0.02),
}
FACE = {"head_top": (0, 1, 0), "nose": (0, 0.2, 1), "left_eye": (0.4, 0.4, 0.8), "left_ear": (1, 0.2, 0)}


def ball_body(*, rings: int = 9, segments: int = 10) -> BodyModelData:
    """Builds the body: one ball per joint, stretched along the bone to the first child."""
    joints = np.array([_at(name) for name in SMPL24.joints])
    u, v = np.meshgrid(
        np.linspace(0, np.pi, rings), np.linspace(0, 2 * np.pi, segments, endpoint=False), indexing="ij"
    )
    unit = np.stack([np.sin(u) * np.cos(v), np.cos(u), np.sin(u) * np.sin(v)], axis=-1).reshape(-1, 3)
    ring, segment = np.meshgrid(np.arange(rings - 1), np.arange(segments), indexing="ij")
    a, b = (ring * segments + segment).ravel(), (ring * segments + (segment + 1) % segments).ravel()
    triangles = np.concatenate(
        [np.stack([a, b, a + segments], 1), np.stack([b, b + segments, a + segments], 1)]
    )
    balls, faces = [], []
    for joint in range(24):
        children = [child for child, parent in enumerate(SMPL24.parents) if parent == joint]
        end = (
            joints[children[0]]
            if children
            else joints[joint] + (joints[joint] - joints[SMPL24.parents[joint]])
        )
        radius = 0.14 if SMPL24.joints[joint] in ("pelvis", "spine1", "spine2", "spine3") else 0.07
        if SMPL24.joints[joint] == "head":
            end, radius = joints[joint] + (0, 0.16, 0.03), 0.09
        half = (end - joints[joint]) / 2
        along = half / np.linalg.norm(half)
        stretch = radius * np.eye(3) + np.outer(along, along) * (np.linalg.norm(half) + 0.03 - radius)
        faces.append(triangles + len(unit) * joint)
        balls.append(joints[joint] + half + unit @ stretch)
    vertices = np.concatenate(balls)
    count = len(vertices)
    weights = np.repeat(np.eye(24), len(unit), axis=0)
    regressor = np.stack(
        [_solve(vertices[weights[:, j] > 0], weights[:, j] > 0, joints[j]) for j in range(24)]
    )
    rng = np.random.default_rng(0)
    skull = weights[:, SMPL24.index("head")] > 0
    points = {
        name: _nearest(vertices, skull, np.array(direction) * (side, 1, 1), mirrored)
        for name, direction in FACE.items()
        for mirrored, side in ((name, 1), (name.replace("left_", "right_"), -1))
        if mirrored == name
    }
    for name, direction in FACE.items():
        points[name.replace("left_", "right_")] = _nearest(
            vertices, skull, np.array(direction) * (-1, 1, 1), name
        )
        points[name] = _nearest(vertices, skull, np.array(direction), name)
    rows = dict(zip(SMPL24.joints, regressor, strict=True)) | points
    rows |= {"spine": rows["spine2"], "thorax": rows["neck"]}
    # Shapes: taller, wider, deeper, and directions that only the rest of the coefficients know.
    shape_dirs = np.zeros((count, 3, 10))
    for k in range(3):
        shape_dirs[:, k, k] = 0.04 * vertices[:, k]
    shape_dirs[:, :, 3:] = 0.01 * rng.normal(size=(1, 3, 7)) * vertices[:, :, None]
    mean_pose = np.zeros(72, np.float32)
    mean_pose[0] = np.pi
    return BodyModelData(
        name="balls",
        v_template=vertices.astype(np.float32),
        shape_dirs=shape_dirs.astype(np.float32),
        pose_dirs=None,
        joint_regressor=regressor.astype(np.float32),
        weights=weights.astype(np.float32),
        parents=np.array(SMPL24.parents, np.int32),
        faces=np.concatenate(faces).astype(np.int32),
        keypoint_regressors={
            s.name: np.stack([rows[name] for name in s.joints]).astype(np.float32)
            for s in (COCOPLUS19, H36M17)
        },
        vertex_colors=None,
        mean_pose=mean_pose,
        mean_shape=np.zeros(10, np.float32),
    )


def _at(name):
    if name in JOINTS:
        return JOINTS[name]
    x, y, z = JOINTS[name.replace("right_", "left_")]
    return -x, y, z


def _solve(points, where, target):
    """The weights (V,) over some vertices, summing to 1, of least size that give a target point."""
    system = np.concatenate([points.T, np.ones((1, len(points)))])
    row = np.zeros(len(where))
    row[where] = np.linalg.lstsq(system, np.append(target, 1), rcond=None)[0]
    return row


def _nearest(vertices, where, direction, _):
    """A regressor row (V,) that picks the outermost vertex of a part in a direction."""
    reach = np.where(where, vertices @ direction, -np.inf)
    row = np.zeros(len(vertices))
    row[reach.argmax()] = 1
    return row
