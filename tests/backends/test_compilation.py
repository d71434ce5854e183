"""Compiling works with and without a folder for the machine code."""

import numba

from hpe.backends.compilation import compiled


def test_compiles_where_no_folder_can_hold_the_cache(monkeypatch):
    compile_function = numba.njit

    def without_cache_folder(*args, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return compile_function(*args, **options)

    monkeypatch.setattr(numba, "njit", without_cache_folder)
    assert compiled(lambda x: x + 1)(2) == 3


def test_divides_as_numpy_does():
    assert compiled(lambda x: 1.0 / x)(0.0) == float("inf")
