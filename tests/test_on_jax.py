"""What a backend decides, on the JAX backend of Keras: values against references, gradients, drawing at random."""

import importlib.util
import subprocess
import sys

import keras
import pytest

from tests.conftest import PATIENCE, PROJECT_ROOT
from tests.jax_run import jax_environment

# Modules as a whole, or those of their tests that compare with a reference or follow a gradient. What they say of
# shapes, files and wrong arguments no backend decides, nor what only puts parts together that are here by
# themselves or, like the body, in `tests.systems.on_jax`; and compiling for one test costs JAX a second.
CHOSEN = {
    "backends/test_autodiff.py": (),
    "backends/test_nearest.py": (),
    "losses/test_adversarial.py": (
        "linear_critic_pays_for_the_length_of_its_weights",
        "norm_is_taken_per_sample_over_all_its_coordinates",
        "critic_that_ignores_its_input_pays_one_and_keeps_finite_gradients",
        "gradient_by_the_weights_equals_finite_differences",
        "critic_and_generator_losses_sum_over_the_sub_critics",
    ),
    "losses/test_body_parameters.py": (
        "rotations_and_shapes_average_over_the_samples_that_have_a_body",
        "joints_are_centred_between_the_hips",
        "garbage_of_absent_truth_reaches_neither_loss_nor_gradient",
    ),
    "losses/test_depth_maps.py": (
        "maps_are_read_in_the_cell_of_each_joint",
        "the_geometry_loss_is_the_published_sum",
        "the_gradient_reaches_depth_alone_and_is_exact",
        "joints_in_one_place_have_a_finite_gradient",
    ),
    "losses/test_heatmaps.py": (
        "loss_is_that_of_the_joints_one_by_one",
        "joints_without_weight_have_no_gradient",
        "location_entropy_is_that_of_the_cells_one_by_one",
        "garbage_of_a_joint_that_does_not_count_reaches_no_gradient",
        "mask_entropy_compares_cells_with_the_share_of_their_pixels",
    ),
    "losses/test_keypoints.py": (),
    "losses/test_part_segmentation.py": (
        "cross_entropy_of_the_cells_with_labels",
        "samples_without_labels_cost_nothing_even_where_they_are_not_finite",
    ),
    "losses/test_silhouette.py": (
        "equals_brute_force",
        "gradient_equals_finite_differences",
        "gradient_is_finite_with_a_vertex_exactly_on_a_pixel",
        "no_mask_at_all_is_zero_with_zero_gradient",
        "compiled_equals_eager",
    ),
    "losses/test_triplets.py": ("states_follow_the_depths",),
    "losses/test_volumes.py": (),
    "networks/test_critic.py": (
        "chain_space_is_the_products_of_bones",
        "branches_equal_numpy",
        "critic_puts_its_branches_side_by_side",
    ),
    "networks/test_evidence.py": (
        "peaks_are_found_to_a_fraction_of_a_cell",
        "maps_are_read_between_their_cells_and_at_the_border_beyond",
        "limbs_are_crossed_in_metres",
    ),
    "networks/test_heatmap_network.py": ("transposed_convolutions_are_those_of_pytorch",),
    "networks/test_heatmaps.py": (
        "maps_are_those_drawn_cell_by_cell",
        "unlabelled_joints_draw_nothing_whatever_they_hold",
        "a_peak_between_cells_is_found_within_a_quarter_of_a_cell",
        "a_map_that_is_no_number_has_no_confidence_that_is_one",
    ),
    "networks/test_lifter.py": (
        "equals_numpy[True]",
        "batch_norm_uses_the_batch_in_training_and_its_running_statistics_else",
        "dropout_is_a_function_of_its_seed_and_of_the_place_in_the_whole_batch",
    ),
    "networks/test_movenet.py": ("joints_are_decoded_to_a_fraction_of_a_cell",),
    "networks/test_pare.py": (
        "even_attention_is_the_mean_and_a_peak_is_its_cell",
        "attention_shares_one_or_lets_each_cell_have_its_own",
        "parts_share_no_weights",
    ),
    "networks/test_randomness.py": (),
    "networks/test_regressor.py": (
        "equals_the_recurrence_in_numpy",
        "dropout_is_a_function_of_its_seed",
        "gradient_reaches_the_features_through_all_stages",
        "compiled_training_equals_eager",
    ),
    "networks/test_soft_argmax.py": (
        "it_is_the_mean_place_under_the_softmax",
        "the_gradient_is_that_of_finite_differences",
    ),
    "networks/test_upsampling.py": (),
    "systems/test_hrnet.py": (
        "a_frozen_backbone_keeps_its_statistics",
        "joints_are_predicted_where_they_are_seen",
    ),
    "systems/test_lifter.py": (
        "losses_are_zero_for_the_truth_and_measured_in_their_units",
        "a_joint_that_is_hit_exactly_has_a_gradient",
    ),
    "systems/test_lifter_rays.py": ("rotations_bring_their_points_to_the_axis_by_the_shortest_way",),
}


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="this is the run on another backend")
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_passes_on_jax():
    chosen = [
        f"tests/{path}{name}"
        for path, names in CHOSEN.items()
        for name in ([f"::test_{name}" for name in names] or [""])
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen],
        env=jax_environment(),
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    # The one skip that it reports is proof that they ran, and on JAX.
    assert "test_regressor.py:" in done.stdout
