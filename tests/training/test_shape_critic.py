"""Whether a critic of shapes can hold them: trained for a moment, it must call shapes back from every direction."""

import keras
import numpy as np
import tensorflow as tf

from hpe.backends.autodiff import input_gradient
from hpe.body.data import NUM_SHAPES
from hpe.losses.adversarial import critic_loss, gradient_penalty
from hpe.networks.critic import ShapeCritic

_DISTANCE = 4.0


def _directions(seed, count):
    directions = np.random.default_rng(seed).normal(size=(count, NUM_SHAPES)).astype(np.float32)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def _outward(critic, directions):
    """How the score changes outwards, at shapes 4 from the mean."""
    shapes = tf.constant(_DISTANCE * directions)
    return tf.reduce_sum(input_gradient(critic, shapes) * directions, axis=1).numpy()


def _original_critic():
    """The original's: ten and five rectified units."""
    layers = [keras.layers.Dense(10, activation="relu"), keras.layers.Dense(5, activation="relu")]
    return keras.Sequential([keras.Input((NUM_SHAPES,)), *layers, keras.layers.Dense(1)])


def _trained(build):
    keras.utils.set_random_seed(0)
    critic = build()
    optimizer = keras.optimizers.Adam(5e-4)
    optimizer.build(critic.trainable_variables)

    @tf.function(jit_compile=True)
    def step(real, fake, epsilon):
        with tf.GradientTape() as tape:
            loss = critic_loss(critic(real), critic(fake)).value
            loss += 10 * gradient_penalty(critic, real, fake, epsilon).value
        optimizer.apply(tape.gradient(loss, critic.trainable_variables), critic.trainable_variables)

    rng = np.random.default_rng(1)
    for seed in range(400):
        real = rng.normal(size=(128, NUM_SHAPES)).astype(np.float32)
        epsilon = rng.uniform(size=(128, 1)).astype(np.float32)
        step(real, real + _DISTANCE * _directions(seed, 128), epsilon)
    return critic


def test_the_score_falls_outwards_in_all_directions():
    outward = _outward(_trained(ShapeCritic), _directions(1000, 1000))
    assert (outward < 0).mean() > 0.99
    assert outward.mean() < -0.5  # the penalty wants a slope of 1


def test_with_the_originals_units_it_does_not():
    """Ten units in ten dimensions are all off in some directions, whatever their weights."""
    outward = _outward(_trained(_original_critic), _directions(1000, 1000))
    assert (outward < 0).mean() < 0.9
    assert outward.mean() > -0.2
