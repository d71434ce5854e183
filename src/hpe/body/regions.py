"""What the vertices of the default body are painted as."""

import enum


class Region(enum.IntEnum):
    """Part of a dressed person; `BodyModelData.vertex_regions` holds these values."""

    SKIN = 0
    HAIR = 1
    SHIRT = 2
    TROUSERS = 3
    SHOES = 4
    EYES = 5
    LIPS = 6
