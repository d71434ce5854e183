"""Gradients by an input, which Keras does not offer itself: one implementation per backend."""

from __future__ import annotations

from keras import ops

from hpe.backends.choice import choose


def input_gradient(function, inputs):
    """Computes d sum(function(inputs)) / d inputs; the result can be differentiated again.

    Where sample n of the output depends on sample n of the input alone, this is the gradient of every
    sample's output by its own input.

    Args:
        function: maps a tensor like `inputs` to a tensor of any shape.
        inputs: float tensor.

    Returns:
        Tensor of the shape of `inputs`; zero where the output does not depend on it.

    Raises:
        NotImplementedError: the Keras backend is neither TensorFlow, JAX nor PyTorch.
    """
    return choose("input_gradient", _IMPLEMENTATIONS)(function, ops.convert_to_tensor(inputs))


def _with_tensorflow(function, inputs):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = ops.sum(function(inputs))
    return tape.gradient(total, inputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _with_jax(function, inputs):
    import jax

    return jax.grad(lambda x: ops.sum(function(x)))(inputs)


def _with_torch(function, inputs):
    import torch

    with torch.enable_grad():
        if not inputs.requires_grad:
            inputs = inputs.detach().requires_grad_()
        total = ops.sum(function(inputs))
        if not total.requires_grad:
            return torch.zeros_like(inputs)
        (gradient,) = torch.autograd.grad(total, inputs, create_graph=True, allow_unused=True)
    return torch.zeros_like(inputs) if gradient is None else gradient


_IMPLEMENTATIONS = {"tensorflow": _with_tensorflow, "jax": _with_jax, "torch": _with_torch}
