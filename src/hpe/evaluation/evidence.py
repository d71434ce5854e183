"""The truth of a batch as what bodies are fitted to: how near a body can come, and labels in three dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hpe.skeletons import convert, get
from hpe.systems.refinement import Evidence

# What is read of a batch, where it has it.
FIELDS = ("joints2d", "silhouette")


def true_evidence(batch: Mapping[str, np.ndarray], system: Any, skeleton2d: str) -> Evidence:
    """Returns the labelled joints and the masks of a batch.

    Args:
        batch: fields by key, NumPy; see docs/fields.md.
        system: whose joint set the bodies are fitted in; labels that it does not know are left out.
        skeleton2d: joint set of the batch's 2D joints.
    """
    batch = {
        key: np.asarray(batch[key]) for key in (*FIELDS, *(f"{key}_weight" for key in FIELDS)) if key in batch
    }
    conversion = convert(get(skeleton2d), get(system.skeleton), missing=True)
    weights = conversion.confidences(batch["joints2d_weight"])
    points = np.where(weights[..., None] > 0, conversion.coordinates(batch["joints2d"]), 0.0)
    joints = np.concatenate([points, weights[..., None]], axis=-1).astype(np.float32)
    if not np.any(batch.get("silhouette_weight", 0)):
        return Evidence(joints)
    return Evidence(joints, batch["silhouette"], batch["silhouette_weight"].astype(np.float32))
