"""Bodies in postures of any source, seen by a camera, as the 2D joints that a detector would give of them.

No picture is drawn: what a network from joints to bodies learns from is made on the fly, in any number. A batch is
a function of (seed, step).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from hpe.body.data import NUM_JOINTS, NUM_SHAPES
from hpe.skeletons import SMPL24, Skeleton

# Turns y up, z forward into the axes of a camera that the body looks into.
UPRIGHT = np.diag([1.0, -1.0, -1.0])

_LIMBS = ("left_arm", "right_arm", "left_leg", "right_leg", "trunk")
_MIRROR_AXIS_ANGLE = np.array([1.0, -1.0, -1.0])
# Fewer joints than these say nothing of a body; such a person keeps all.
_FEWEST_JOINTS = 5
_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "head_top")


@dataclasses.dataclass(frozen=True)
class ProjectionSettings:
    """What happens to a posture on its way to 2D joints; angles in radians, lengths in metres.

    Attributes:
        exchanged: share of the bodies that take limbs or the trunk of another.
        noisy, joint_noise: share of the bodies whose joints all turn by chance, and by how much.
        upright, lean: shares of bodies about upright, and leaning (the others are turned at random), each with the
            standard deviation of the lean to the front and to the side.
        rolled: standard deviation of the camera's roll.
        shape: standard deviation of the shape coefficients.
        distance: range of the camera's distance, drawn evenly in its logarithm.
        detector_noise: range of the noise of a person's 2D joints, as a share of the body's extent.
        far_off: share of joints that are far off.
        swapped: share of limb pairs whose sides are exchanged.
        incomplete, missing: share of the people who lack joints, and share of joints these lack.
        no_lower_legs, no_face, no_group: share of people who lack knees and ankles; face; an arm, a leg or both
            wrists, each.
    """

    exchanged: float = 0.4
    noisy: float = 0.5
    joint_noise: float = 0.06
    upright: tuple[float, float] = (0.5, 0.08)
    lean: tuple[float, float] = (0.35, 0.3)
    rolled: float = 0.12
    shape: float = 1.0
    distance: tuple[float, float] = (2.5, 12.0)
    detector_noise: tuple[float, float] = (0.005, 0.04)
    far_off: float = 0.03
    swapped: float = 0.02
    incomplete: float = 0.6
    missing: float = 0.08
    no_lower_legs: float = 0.08
    no_face: float = 0.2
    no_group: float = 0.03


class ProjectedPoses:
    """Draws batches of people and their 2D joints.

    Args:
        pools: (poses (N, 72) axis-angle with the body upright in a frame with y up, share of the batch) each.
        skeleton: of the 2D joints.
        keypoints: joint set of the body's keypoints, which holds all of the skeleton's.
        settings: what happens on the way.
    """

    def __init__(
        self,
        pools: Sequence[tuple[np.ndarray, float]],
        *,
        skeleton: Skeleton,
        keypoints: Skeleton,
        settings: ProjectionSettings | None = None,
    ):
        lacking = set(skeleton.joints) - set(keypoints.joints)
        if lacking:
            raise ValueError(
                f"{keypoints.name} lacks joints of {skeleton.name}: {', '.join(sorted(lacking))}."
            )
        if not pools or any(len(poses) == 0 for poses, _ in pools):
            raise ValueError("Every pool of postures must hold at least one.")
        self._pools = [
            (np.asarray(poses, np.float32).reshape(len(poses), NUM_JOINTS, 3), share)
            for poses, share in pools
        ]
        self._settings = settings or ProjectionSettings()
        self._joints = skeleton
        self._seen = np.array([keypoints.index(joint) for joint in skeleton.joints])
        self._limbs = _limb_members()

    def people(self, *, seed: int, step: int, count: int) -> dict[str, np.ndarray]:
        """Draws bodies in the frame of a camera that looks at them.

        Returns:
            rotmats (B, 24, 3, 3) and shape (B, 10), float32.
        """
        generator = np.random.default_rng((seed, step, 0))
        settings = self._settings
        pose = self._postures(generator, count)
        others = generator.permutation(count)
        exchanged = generator.random(count) < settings.exchanged
        for members in self._limbs:
            taken = exchanged & (generator.random(count) < 0.5)
            pose[np.ix_(taken, members)] = pose[others][np.ix_(taken, members)]
        mirrored = generator.random(count) < 0.5
        pose[mirrored] = pose[mirrored][:, list(SMPL24.flip)] * _MIRROR_AXIS_ANGLE
        rotmats = _rotmats(pose)
        noisy = generator.random(count) < settings.noisy
        noise = generator.normal(size=(count, NUM_JOINTS, 3)) * settings.joint_noise * noisy[:, None, None]
        rotmats = rotmats @ _rotmats(noise)
        rotmats[:, 0] = self._headings(generator, count) @ rotmats[:, 0]
        shape = settings.shape * generator.normal(size=(count, NUM_SHAPES))
        return {"rotmats": rotmats.astype(np.float32), "shape": shape.astype(np.float32)}

    def detections(self, keypoints: np.ndarray, *, seed: int, step: int) -> dict[str, np.ndarray]:
        """Projects people and says what a detector gives of them.

        Args:
            keypoints: (B, K, 3) of the bodies of `people`, metres, around the pelvis.
            seed, step: those of `people`.

        Returns:
            detections (B, J, 3), x, y and score, 0 where a joint is missing; and joints2d (B, K, 2), where all
            keypoints are in truth. The unit is that of a plane one metre before the camera.
        """
        generator = np.random.default_rng((seed, step, 1))
        settings, count = self._settings, len(keypoints)
        low, high = np.log(settings.distance)
        distance = np.exp(generator.uniform(low, high, size=count))
        # A crop looks at the middle of what it shows, so the middle is on the axis.
        middle = 0.5 * (keypoints.min(axis=1) + keypoints.max(axis=1))
        placed = keypoints - middle[:, None] * [1.0, 1.0, 0.0]
        depth = placed[..., 2] + distance[:, None]
        truth = placed[..., :2] / np.maximum(depth, 0.3)[..., None]
        points = truth[:, self._seen]
        extent = np.ptp(points, axis=1).max(axis=-1)

        size = generator.uniform(*settings.detector_noise, size=count)
        # Most joints of a person are better than its worst.
        size = size[:, None] * generator.uniform(0.3, 1.4, size=points.shape[:2])
        far = generator.random(points.shape[:2]) < settings.far_off
        size = np.where(far, 0.25, size)
        points = self._swapped(generator, points)
        points = points + generator.normal(size=points.shape) * (size * extent[:, None])[..., None]
        scores = 0.9 - 6.0 * np.minimum(size, 0.06) + generator.normal(size=size.shape) * 0.1
        scores = np.where(far, generator.uniform(0.05, 0.45, size=size.shape), scores)
        scores = np.clip(scores, 0.05, 1.0) * self._there(generator, count)
        detections = np.concatenate([points, scores[..., None]], axis=-1)
        return {"detections": detections.astype(np.float32), "joints2d": truth.astype(np.float32)}

    def batch(
        self, pose_body: Callable[[np.ndarray, np.ndarray], Mapping], *, seed: int, step: int, count: int
    ) -> dict[str, np.ndarray]:
        """Returns what `people` and `detections` return, and the bodies' joints3d (B, 24, 3) and keypoints3d.

        Args:
            pose_body: takes rotmats and shape, returns joints (B, 24, 3) and keypoints (B, K, 3).
            seed, step: what the batch is a function of.
            count: B.
        """
        people = self.people(seed=seed, step=step, count=count)
        posed = pose_body(people["rotmats"], people["shape"])
        keypoints = np.asarray(posed["keypoints"], np.float64)
        seen = self.detections(keypoints, seed=seed, step=step)
        posed = {"joints3d": np.asarray(posed["joints"]), "keypoints3d": keypoints.astype(np.float32)}
        return people | seen | posed

    def _postures(self, generator, count):
        shares = np.array([share for _, share in self._pools], np.float64)
        ends = np.round(np.cumsum(shares / shares.sum()) * count).astype(int)
        parts = [
            poses[generator.integers(len(poses), size=end - start)]
            for (poses, _), start, end in zip(self._pools, [0, *ends[:-1]], ends, strict=True)
        ]
        return np.concatenate(parts)[generator.permutation(count)].astype(np.float64)

    def _headings(self, generator, count):
        """Returns (B, 3, 3): from the posture's frame into the camera's."""
        settings = self._settings
        chosen, tilt = generator.random(count), generator.normal(size=(count, 2))
        share, deviation = settings.upright
        leaning = np.where(chosen < share, deviation, settings.lean[1])
        heading = Rotation.from_rotvec(generator.uniform(-np.pi, np.pi, size=(count, 1)) * [0.0, 1.0, 0.0])
        lean = Rotation.from_rotvec(tilt * leaning[:, None] @ [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
        roll = Rotation.from_rotvec(generator.normal(size=(count, 1)) * settings.rolled * [0.0, 0.0, 1.0])
        turned = UPRIGHT @ (roll * lean * heading).as_matrix()
        anyhow = _random_rotations(generator, count)
        return np.where((chosen < share + settings.lean[0])[:, None, None], turned, anyhow)

    def _swapped(self, generator, points):
        points = points.copy()
        for parts in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")):
            swapped = generator.random(len(points)) < self._settings.swapped
            members = self._members(*parts)
            partners = [self._joints.flip[joint] for joint in members]
            points[np.ix_(swapped, members)] = points[np.ix_(swapped, partners)]
        return points

    def _members(self, *parts):
        return [index for index, joint in enumerate(self._joints.joints) if joint.split("_")[-1] in parts]

    def _there(self, generator, count):
        """Returns (B, J) bool: joints that the detector gives."""
        settings, joints = self._settings, self._joints.joints
        incomplete = generator.random(count) < settings.incomplete
        missing = incomplete[:, None] & (generator.random((count, len(joints))) < settings.missing)
        groups = [
            (settings.no_lower_legs, ("left_knee", "right_knee", "left_ankle", "right_ankle")),
            (settings.no_face, _FACE),
            (settings.no_group, ("left_wrist", "right_wrist")),
        ]
        groups += [
            (settings.no_group / 2, tuple(f"{side}_{part}" for part in parts))
            for side in ("left", "right")
            for parts in (("elbow", "wrist"), ("hip", "knee", "ankle"))
        ]
        for share, names in groups:
            left_out = generator.random(count) < share
            for name in set(names) & set(joints):
                missing[left_out, joints.index(name)] = True
        missing[(~missing).sum(axis=1) < _FEWEST_JOINTS] = False
        return ~missing


def _limb_members():
    """Returns the joints of SMPL of arms, legs and trunk, by index."""
    members = {limb: [] for limb in _LIMBS}
    parts = {"arm": ("collar", "shoulder", "elbow", "wrist", "hand"), "leg": ("hip", "knee", "ankle", "foot")}
    for index, joint in enumerate(SMPL24.joints):
        side, _, part = joint.partition("_")
        limb = next((f"{side}_{limb}" for limb, joints in parts.items() if part in joints), "trunk")
        if joint != "pelvis":
            members[limb].append(index)
    return list(members.values())


def _rotmats(axis_angle):
    """Returns rotation matrices (..., 3, 3) of (..., 3)."""
    matrices = Rotation.from_rotvec(np.reshape(axis_angle, (-1, 3))).as_matrix()
    return matrices.reshape(*axis_angle.shape[:-1], 3, 3)


def _random_rotations(generator, count):
    quaternions = generator.normal(size=(count, 4))
    return Rotation.from_quat(quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)).as_matrix()
