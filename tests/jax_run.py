"""How a process computes on the JAX backend of Keras."""

import os

from tests.xla import COMPILE_QUICKLY


def jax_environment() -> dict[str, str]:
    """Returns the environment of a process on the JAX backend."""
    return {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{COMPILE_QUICKLY} --xla_cpu_multi_thread_eigen=false",
    }
