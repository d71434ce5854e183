"""The views of a person, by name; a module of its own, so that a program's help need not import what draws them."""

from __future__ import annotations

import enum


class View(enum.Enum):
    """The views and their names on the command line; preview's keys are the first letters, `l` for the side."""

    SKELETON = "skeleton"
    MESH = "mesh"
    BOTH = "both"
    ROTATED = "rotated"
    ATTENTION = "attention"
    SIDE = "side"
    TOP = "top"
