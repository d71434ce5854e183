"""The names and shapes of a published HEMlets checkpoint, written down apart from the network."""

from __future__ import annotations

import numpy as np

from tests.formats.torch_pth import tensor

# Residual blocks of the four levels.
BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
MAPS, JOINTS, ENCODED = 60, 18, 256


def _norm(name, channels):
    for variable in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{variable}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def _backbone(depth):
    yield "backbone.conv1.weight", (64, 3, 7, 7)
    yield from _norm("backbone.bn1", 64)
    inputs, wide = 64, 4 if depth == 50 else 1
    for level, count in enumerate(BLOCKS[depth]):
        width = 64 * 2**level
        for index in range(count):
            name = f"backbone.layer{level + 1}.{index}"
            steps = ((width, inputs, 3), (width, width, 3))
            if depth == 50:
                steps = ((width, inputs, 1), (width, width, 3), (4 * width, width, 1))
            for number, (out, given, kernel) in enumerate(steps, 1):
                yield f"{name}.conv{number}.weight", (out, given, kernel, kernel)
                yield from _norm(f"{name}.bn{number}", out)
            if not index and inputs != wide * width:
                yield f"{name}.downsample.0.weight", (wide * width, inputs, 1, 1)
                yield from _norm(f"{name}.downsample.1", wide * width)
            inputs = wide * width


def _branch(name, inputs, width, outputs):
    for index, channels in enumerate((inputs, width, width)):
        yield f"{name}.conv_body.{3 * index}.weight", (channels, width, 4, 4)
        yield from _norm(f"{name}.conv_body.{3 * index + 1}", width)
    yield f"{name}.conv_tail.weight", (outputs, width, 3, 3)
    yield f"{name}.conv_tail.bias", (outputs,)


def published_shapes(depth, *, branch, features, cells):
    """Returns {name: shape}; the published network has 50, 256, 1024 and 64."""
    ends = 2048 if depth == 50 else 512
    return {
        **dict(_backbone(depth)),
        **dict(_branch("conv_feature", ends, branch, features)),
        **dict(_branch("conv_FBI", ends, branch, MAPS)),
        "FBI_encoder.0.weight": (ENCODED, MAPS, 3, 3),
        "FBI_encoder.0.bias": (ENCODED,),
        **dict(_norm("FBI_encoder.1", ENCODED)),
        "conv_tail.0.weight": (features, features + ENCODED, 1, 1),
        "conv_tail.0.bias": (features,),
        **dict(_norm("conv_tail.1", features)),
        "conv_tail.3.weight": (JOINTS * cells, features, 1, 1),
        "conv_tail.3.bias": (JOINTS * cells,),
        "volume_reg.dis_map": (1, JOINTS, cells),
    }


def random_state(depth, **sizes):
    """Returns {name: array} of a network whose numbers stay moderate from end to end."""
    rng = np.random.default_rng(0)
    values = {}
    for name, shape in published_shapes(depth, **sizes).items():
        if name.endswith("num_batches_tracked"):
            values[name] = np.int64(5)
        elif name.endswith("running_var"):
            values[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        elif name.endswith("weight") and len(shape) == 1:
            # The last normalisation of a residual block is damped: many blocks add up.
            last = name.endswith(("bn3.weight", "bn2.weight")) and "layer" in name
            values[name] = rng.uniform(0.1, 0.3, shape).astype(np.float32) * (1 if last else 5)
        else:
            fan = max(np.prod(shape[1:]), 1)
            values[name] = rng.normal(0, 1 / np.sqrt(fan), shape).astype(np.float32)
    return values


def tensors(state):
    """Returns the state for `torch_pth.write`."""
    return {name: tensor(value) for name, value in state.items()}
