"""The same tests of networks, losses, input gradients and the nearest search on the JAX backend of Keras."""

from tests.jax_run import passes_on_jax, runs_on_jax

# What says nothing about the backend, or takes JAX long to compile: files of weights, whole backbones.
LEFT_OUT = (
    "saved_and_loaded or wrong_arguments or (test_backbones and not small_encoder_loads) "
    "or published_checkpoints or published_w32 or half_precision "
    "or w32_has or bear_the_published_names or starts_as_the_paper "
    "or (test_heatmap_network and not transposed_convolutions) "
    # Shapes and memory, which no backend decides.
    "or branches_halve or maps_and_body_have or a_full_mask_needs "
    # Of the network of the presets one size computes what is published.
    "or thunder or versions_have or maps_are_a_quarter or features_are_the_average or weights_of_a_file"
)


@runs_on_jax
def test_passes_on_jax():
    paths = ("losses", "networks", "backends/test_autodiff.py", "backends/test_nearest.py")
    passes_on_jax(paths, select=f"not ({LEFT_OUT})", proof="test_regressor.py:")
