"""PARE's fusion and head in NumPy, by the published names and layouts; written for the tests."""

from __future__ import annotations

import numpy as np

EPSILON = 1e-5


def conv(x, kernel, bias=None):
    """3x3 or 1x1 convolution of (B, C, H, W) by (O, C, k, k), padded by k // 2."""
    reach = kernel.shape[2] // 2
    padded = np.pad(x, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[2:], axis=(2, 3))
    y = np.einsum("bchwij,ocij->bohw", windows, kernel, optimize=True)
    return y if bias is None else y + bias[:, None, None]


def unit(x, state, name, index):
    """Convolution, normalisation and ReLU: layers `index` and the next of a sequence."""
    x = conv(x, state[f"{name}.{index}.weight"])
    norm = f"{name}.{index + 1}"
    mean, variance = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
    scale = state[f"{norm}.weight"] / np.sqrt(variance + EPSILON)
    x = (x - mean[:, None, None]) * scale[:, None, None] + state[f"{norm}.bias"][:, None, None]
    return np.maximum(x, 0)


def twice(x):
    """Enlarges (B, C, H, W) twice, corners aligned."""
    for axis in (2, 3):
        length = x.shape[axis]
        places = np.linspace(0, length - 1, 2 * length)
        line = np.arange(length)
        x = np.apply_along_axis(lambda values, p=places, n=line: np.interp(p, n, values), axis, x)
    return x


def fuse(branches, state):
    """Joins four branches (B, C, H, W)."""
    joined = [branches[0]]
    for branch in (1, 2, 3):
        x = branches[branch]
        for step in range(branch):
            x = unit(twice(x), state, f"backbone.upsample_stage_{branch + 1}", 4 * step + 1)
        joined.append(x)
    return np.concatenate(joined, axis=1)


def head(features, state, layers):
    """Returns 6D rotations (B, 24, 6), shape, camera and the maps of parts (B, 25, H, W)."""
    parts = body = features
    for layer in range(layers):
        parts = unit(parts, state, "head.keypoint_deconv_layers", 3 * layer)
        body = unit(body, state, "head.smpl_deconv_layers", 3 * layer)
    maps = conv(parts, state["head.keypoint_final_layer.weight"], state["head.keypoint_final_layer.bias"])
    coarse = conv(body, state["head.smpl_final_layer.weight"], state["head.smpl_final_layer.bias"])
    flat = maps[:, 1:].reshape(len(maps), 24, -1)
    weights = np.exp(flat - flat.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    of_pose = np.einsum("bjn,bcn->bcj", weights, body.reshape(*body.shape[:2], -1))
    of_shape = np.einsum("bjn,bcn->bcj", weights, coarse.reshape(*coarse.shape[:2], -1)).reshape(
        len(maps), -1
    )
    rot6d = (of_pose[:, None] * state["head.pose_mlp.weight"][0, :, :, :, 0, 0]).sum(axis=2)
    linear = {
        name: of_shape @ state[f"head.{name}.weight"].T + state[f"head.{name}.bias"]
        for name in ("shape_mlp", "cam_mlp")
    }
    return rot6d.transpose(0, 2, 1), linear["shape_mlp"], linear["cam_mlp"], maps


def random_state(width, filters, layers, shape_features, seed=0):
    """Random weights of fusion and head by their published names."""
    rng = np.random.default_rng(seed)
    state = {}

    def add(name, index, inputs, outputs):
        state[f"{name}.{index}.weight"] = rng.normal(
            scale=(2 / (9 * inputs)) ** 0.5, size=(outputs, inputs, 3, 3)
        )
        norm = f"{name}.{index + 1}"
        state[f"{norm}.weight"] = rng.uniform(0.5, 1.0, outputs)
        state[f"{norm}.running_var"] = rng.uniform(0.5, 2.0, outputs)
        for key in ("bias", "running_mean"):
            state[f"{norm}.{key}"] = rng.normal(scale=0.2, size=outputs)
        state[f"{norm}.num_batches_tracked"] = np.array(7)

    for branch in (1, 2, 3):
        for step in range(branch):
            channels = width * 2**branch
            add(f"backbone.upsample_stage_{branch + 1}", 4 * step + 1, channels, channels)
    for name in ("keypoint_deconv_layers", "smpl_deconv_layers"):
        for layer in range(layers):
            add(f"head.{name}", 3 * layer, 15 * width if layer == 0 else filters, filters)
    for name, outputs in (("keypoint_final_layer", 25), ("smpl_final_layer", shape_features)):
        state[f"head.{name}.weight"] = rng.normal(scale=0.5, size=(outputs, filters, 1, 1))
        state[f"head.{name}.bias"] = rng.normal(size=outputs)
    state["head.pose_mlp.weight"] = rng.normal(size=(1, 6, filters, 24, 1, 1))
    for name, outputs in (("shape_mlp", 10), ("cam_mlp", 3)):
        state[f"head.{name}.weight"] = rng.normal(scale=0.1, size=(outputs, 24 * shape_features))
        state[f"head.{name}.bias"] = rng.normal(size=outputs)
    state["head.init_pose"] = np.zeros((1, 144))
    state["head.temperature"] = np.array(1.0)
    state["backbone.transition1.0.0.weight"] = rng.normal(size=(width, 256, 3, 3))
    return {
        name: np.asarray(value, np.int64 if "num_b" in name else np.float32) for name, value in state.items()
    }
