"""The names and shapes of a published HRNet checkpoint, written down apart from the network."""

from __future__ import annotations

import numpy as np

from tests.formats.torch_pth import tensor


def _unit(conv, bn, inputs, outputs, kernel):
    yield f"{conv}.weight", (outputs, inputs, kernel, kernel)
    for name in ("weight", "bias", "running_mean", "running_var"):
        yield f"{bn}.{name}", (outputs,)
    yield f"{bn}.num_batches_tracked", ()


def published_shapes(width, joints, *, multi_scale=False):
    """Returns {name: shape} of a network that ends in one branch, or in all four."""
    w = [width * 2**branch for branch in range(4)]
    parts = [("conv1", "bn1", 3, 64, 3), ("conv2", "bn2", 64, 64, 3)]
    for block in range(4):
        name, inputs = f"layer1.{block}", 256 if block else 64
        parts += [
            (f"{name}.conv1", f"{name}.bn1", inputs, 64, 1),
            (f"{name}.conv2", f"{name}.bn2", 64, 64, 3),
            (f"{name}.conv3", f"{name}.bn3", 64, 256, 1),
        ]
    parts += [
        ("layer1.0.downsample.0", "layer1.0.downsample.1", 64, 256, 1),
        ("transition1.0.0", "transition1.0.1", 256, w[0], 3),
        ("transition1.1.0.0", "transition1.1.0.1", 256, w[1], 3),
        ("transition2.2.0.0", "transition2.2.0.1", w[1], w[2], 3),
        ("transition3.3.0.0", "transition3.3.0.1", w[2], w[3], 3),
    ]
    for stage, modules in ((2, 1), (3, 4), (4, 3)):
        for module in range(modules):
            name = f"stage{stage}.{module}"
            for branch in range(stage):
                for block in range(4):
                    for number in (1, 2):
                        place = f"{name}.branches.{branch}.{block}"
                        parts.append(
                            (f"{place}.conv{number}", f"{place}.bn{number}", w[branch], w[branch], 3)
                        )
            targets = 1 if (stage, module) == (4, 2) and not multi_scale else stage
            for i in range(targets):
                for j in range(stage):
                    place = f"{name}.fuse_layers.{i}.{j}"
                    if j > i:
                        parts.append((f"{place}.0", f"{place}.1", w[j], w[i], 1))
                    for k in range(i - j):
                        outputs = w[i] if k == i - j - 1 else w[j]
                        parts.append((f"{place}.{k}.0", f"{place}.{k}.1", w[j], outputs, 3))
    shapes = {name: shape for part in parts for name, shape in _unit(*part)}
    shapes["final_layer.weight"] = (joints, width, 1, 1)
    shapes["final_layer.bias"] = (joints,)
    return shapes


def random_state(width, joints, seed=0, *, multi_scale=False):
    """Returns {name: array} with random weights and statistics, whose activations neither vanish nor explode."""
    rng = np.random.default_rng(seed)
    state = {}
    for name, shape in published_shapes(width, joints, multi_scale=multi_scale).items():
        if name.endswith("num_batches_tracked"):
            state[name] = np.array(5)
        elif name.endswith("running_var"):
            state[name] = rng.uniform(0.5, 2.0, shape).astype(np.float32)
        elif len(shape) == 4:
            deviation = (2 / np.prod(shape[1:])) ** 0.5
            state[name] = rng.normal(scale=deviation, size=shape).astype(np.float32)
        elif name.endswith("weight"):
            state[name] = rng.uniform(0.4, 0.8, shape).astype(np.float32)
        else:
            state[name] = rng.normal(scale=0.2, size=shape).astype(np.float32)
    return state


def tensors(state):
    """Returns the state as `tests.formats.torch_pth.write` takes it."""
    return {name: tensor(value) for name, value in state.items()}
