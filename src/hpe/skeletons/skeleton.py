"""A named, ordered set of joints: names that mirror, and points of the body that the names stand for.

Sets of different origin use one word for different points: Human3.6M's `thorax` is where the neck begins, MPII's
lies between the shoulders. So a joint has a name, unique in its set, and a *point*: the name alone where all sets
mean the same, else `name@definition` (`thorax@h36m`). Flips and drawing go by names, conversion by points.
"""

from __future__ import annotations

import dataclasses

_OTHER_SIDE = {"left": "right", "right": "left"}


@dataclasses.dataclass(frozen=True)
class Skeleton:
    """A named, ordered joint set.

    Attributes:
        name: short lower-case identifier, also written into records and predictions.
        joints: joint names in order; the words `left` and `right` in them say the side (`left_hip`, `op_left_hip`).
        parents: for every joint the index of its parent, -1 for a root. A drawing tree.
        points: for every joint which point of the body it is, such as `left_hip` or `neck@smpl`; by default the
            names. Joints that mirror each other have points that do. Two joints may be the same point.
        aliases: further names of joints: alias -> name.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    points: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()

    def __post_init__(self):
        if not self.points:
            object.__setattr__(self, "points", self.joints)
        if not len(self.joints) == len(self.parents) == len(self.points):
            raise ValueError(
                f"{self.name}: {len(self.joints)} joint names but {len(self.parents)} parents and "
                f"{len(self.points)} points."
            )
        if len(set(self.joints)) != len(self.joints):
            raise ValueError(f"{self.name}: joint names repeat. Received: joints={self.joints}")
        for alias, joint in self.aliases:
            if alias in self.joints or joint not in self.joints:
                raise ValueError(f"{self.name}: {alias!r} is no further name of {joint!r}.")
        for joint, point in zip(self.joints, self.points, strict=True):
            other = mirror_name(joint)
            if other not in self.joints or self.points[self.joints.index(other)] != mirror_name(point):
                raise ValueError(f"{self.name}: {joint} ({point}) has no mirror image {other}.")

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Returns the position of `joint`, or of the joint of that alias; ValueError names those that there are."""
        joint = dict(self.aliases).get(joint, joint)
        try:
            return self.joints.index(joint)
        except ValueError:
            raise ValueError(
                f"{self.name} has no joint {joint!r}; it has {', '.join(self.joints)}."
            ) from None

    def point(self, joint: str) -> str:
        """Returns which point of the body a joint is; ValueError as for `index`."""
        return self.points[self.index(joint)]

    @property
    def flip(self) -> tuple[int, ...]:
        """Permutation that exchanges left and right: `mirrored[j] = original[flip[j]]`."""
        return tuple(self.index(mirror_name(joint)) for joint in self.joints)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(child, parent) index pairs of every joint that has a parent."""
        return tuple((child, parent) for child, parent in enumerate(self.parents) if parent >= 0)


def mirror_name(joint: str) -> str:
    """Returns the name of the joint or point on the other side of the body; unsided names stay.

    Sides are whole words, wherever they stand: `left_hip`, `op_left_hip`, `left_hip@smpl`.
    """
    name, at, definition = joint.partition("@")
    return "_".join(_OTHER_SIDE.get(word, word) for word in name.split("_")) + at + definition
