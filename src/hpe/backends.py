"""The choice among implementations of one function, one per Keras backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras


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
