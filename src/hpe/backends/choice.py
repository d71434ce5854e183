"""What differs between Keras backends: which implementation of a function to take, and how one is compiled."""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator, Mapping

import keras

# Of this thread's calls: whether what `xla_compiled` made runs as plain operations.
_without_xla = contextvars.ContextVar("without_xla", default=False)


def choose(what: str, implementations: Mapping[str, Callable]) -> Callable:
    """Returns the implementation for the backend that Keras runs on.

    Args:
        what: the function, as an error names it.
        implementations: functions by the name of their backend.

    Raises:
        NotImplementedError: there is none for this backend.
    """
    backend = keras.backend.backend()
    if backend not in implementations:
        raise NotImplementedError(
            f"{what} knows the backends {', '.join(implementations)}. Received: backend={backend}"
        )
    return implementations[backend]


def xla_compiled(function: Callable, *, wanted: bool = True) -> Callable:
    """Returns a function of tensors compiled by XLA, where the caller's own graph is not.

    TensorFlow runs a graph operation by operation unless it is told otherwise, and a body model is a hundred small
    operations; as one kernel it takes a third to a tenth of the time. Convolutions, on a CPU, lose by it, so that
    it is not done to whole networks. In JAX whoever calls compiles everything, and PyTorch is left as it is.

    Args:
        function: of tensors and nested structures of them, with static shapes; other arguments have to be bound.
        wanted: False returns it as it is, for a setting that takes compilation back.
    """
    if not wanted or keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    compiled = tf.function(function, jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(*arguments):
        return function(*arguments) if _without_xla.get() else compiled(*arguments)

    return call


@contextlib.contextmanager
def without_xla() -> Iterator[None]:
    """Traces what `xla_compiled` made as plain operations, for graphs that others than TensorFlow are to run."""
    token = _without_xla.set(True)
    try:
        yield
    finally:
        _without_xla.reset(token)


def graph_compiled(function: Callable) -> Callable:
    """Returns a function of tensors as one graph, compiled per shape; other backends run it as it is.

    Without XLA, which makes convolutions slower on a CPU; see `xla_compiled` for what it makes faster.
    """
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    # No Python control flow depends on tensors.
    return tf.function(function, autograph=False)
