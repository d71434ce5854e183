"""Least-squares alignment of point sets (Procrustes), in NumPy: for metrics, not for gradients."""

import numpy as np


def procrustes_align(predicted, target, *, scale=True):
    """Aligns point sets to targets by the similarity transform with the least squared distance.

    Reflections are excluded. Umeyama (1991).

    Args:
        predicted: (..., J, 3) points to be moved.
        target: (..., J, 3) points to move them onto, same unit.
        scale: whether the size may change too (PA-MPJPE); otherwise rotation and translation alone.

    Returns:
        (..., J, 3) float64 aligned points. Points that all coincide are moved to the centre of the target.
    """
    predicted = np.asarray(predicted, dtype=np.float64)
    target = np.asarray(target, dtype=np.float64)
    if predicted.shape != target.shape or predicted.shape[-1] != 3:
        raise ValueError(
            "predicted and target must have the same shape (..., J, 3). "
            f"Received: predicted={predicted.shape}, target={target.shape}"
        )
    target_mean = target.mean(axis=-2, keepdims=True)
    centred = predicted - predicted.mean(axis=-2, keepdims=True)
    covariance = np.swapaxes(centred, -1, -2) @ (target - target_mean)
    u, singular, vt = np.linalg.svd(covariance)
    sign = np.where(np.linalg.det(u @ vt) < 0.0, -1.0, 1.0)
    u = np.concatenate([u[..., :2], u[..., 2:] * sign[..., None, None]], axis=-1)
    aligned = centred @ (u @ vt)
    if scale:
        gain = singular[..., 0] + singular[..., 1] + sign * singular[..., 2]
        spread = (centred**2).sum(axis=(-1, -2))
        aligned = aligned * (gain / np.where(spread > 0.0, spread, 1.0))[..., None, None]
    return aligned + target_mean
