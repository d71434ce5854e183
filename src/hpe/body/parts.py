"""The 24 parts of a body: of every vertex, which joint moves it most."""

from __future__ import annotations

import numpy as np

from hpe.body.data import BodyModelData


def part_of_vertices(data: BodyModelData) -> np.ndarray:
    """Returns the part (V,) int32 of every vertex, as the field `part_labels` counts them.

    A part is 1 and the number of the joint of `smpl24` with the greatest skinning weight, as in PARE's labels of
    SMPL; 0 is the background. So every body in the SMPL layout has its parts in itself.
    """
    return 1 + np.argmax(data.weights, axis=1).astype(np.int32)
