"""The same tests of systems on the JAX backend of Keras."""

from tests.jax_run import passes_on_jax, runs_on_jax

# Forward, all losses, both sides of the critic and their gradients, once. JAX compiles for long.
CHOSEN = "specification or its_own_term or jax"


@runs_on_jax
def test_passes_on_jax():
    passes_on_jax(("systems",), select=CHOSEN, proof="test_on_jax.py:")
