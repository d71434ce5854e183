"""How the kernels are compiled."""

import numba

from hpe.visualization import _kernels


def test_compiles_where_no_folder_can_hold_the_cache(monkeypatch):
    compile_function = numba.njit

    def without_cache_folder(*args, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return compile_function(*args, **options)

    monkeypatch.setattr(numba, "njit", without_cache_folder)
    assert _kernels._compiled(lambda x: x + 1)(2) == 3


def test_machine_code_is_kept_on_disk():
    assert _kernels.fill.stats.cache_path
