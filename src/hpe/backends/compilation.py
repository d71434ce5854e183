"""How this project compiles loops to machine code."""

from __future__ import annotations

import numba


def compiled(function):
    """Compiles on first call and keeps the machine code on disk, where a folder for it can be written.

    The code runs without the interpreter lock; divisions by zero yield infinity or NaN, as in NumPy.
    """
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # Numba found neither a writable package folder nor a user cache folder.
        return numba.njit(nogil=True, error_model="numpy")(function)
