"""Everything that a system computes, as one function for two backends; run as a program, it does so on JAX.

python -m tests.systems.on_jax INPUTS.npz OUTPUTS.npz
"""

from __future__ import annotations

import sys

import keras
import numpy as np

from hpe.backends.autodiff import input_gradient
from tests.systems.conftest import build

OPTIONS = {"use_mesh_repro_loss": True, "use_gradient_penalty": True, "mocap_shapes": "files"}
SEED = np.array([1, 2], np.int32)


def build_system():
    """Builds the system that both backends fill with the same weights."""
    from hpe.systems.hybrid_hmr import MocapShapes

    return build(**{**OPTIONS, "mocap_shapes": MocapShapes.FILES})


def networks(system):
    """Returns all networks in a fixed order."""
    return [*system.networks.values(), *system.training_networks.values()]


def compute(system, given) -> dict:
    """Returns predictions, all losses, and the gradient of the generator's total by the last theta."""
    outputs = system.forward(given["images"], training=False)
    batch = {name: given[name] for name in BATCH}

    def total(theta):
        stages = [*outputs["stages"][:-1], theta]
        return system.losses({"stages": stages, **system.pose_body(theta)}, batch).total

    stages = len(outputs["stages"])
    real = {f"mocap/{key}": _by_sample(given[f"real_{key}"], stages) for key in ("pose", "shape")}
    critic = system.critic_losses(outputs, real, seed=SEED)
    return {
        **{name: outputs[name] for name in ("joints2d", "joints3d", "vertices", "camera", "rotmats")},
        **system.losses(outputs, batch).values(),
        **critic.values(),
        **{name: mean.value for name, mean in critic.measured.items()},
        "gradient": input_gradient(total, outputs["stages"][-1]),
    }


def _by_sample(rows, stages: int):
    """Shapes mocap frames (B * stages, D) to (B, stages, D)."""
    return keras.ops.reshape(rows, (-1, stages, rows.shape[-1]))


BATCH = (
    *("joints2d", "joints2d_weight", "silhouette", "silhouette_weight"),
    *("pose", "pose_weight", "shape", "shape_weight"),
    *("joints3d", "joints3d_weight"),
)


def main() -> None:
    """Reads weights and inputs, computes in one compiled function, writes what came out."""
    import jax

    assert keras.backend.backend() == "jax"
    given = dict(np.load(sys.argv[1]))
    system = build_system()
    for index, network in enumerate(networks(system)):
        network.set_weights([given[f"weights_{index}_{n:04d}"] for n in range(len(network.weights))])
    inputs = {name: value for name, value in given.items() if not name.startswith("weights_")}
    computed = jax.jit(lambda values: compute(system, values))(inputs)
    np.savez(sys.argv[2], **{name: np.asarray(value) for name, value in computed.items()})


if __name__ == "__main__":
    main()
