"""How the kernels are compiled."""

from hpe.visualization import _kernels


def test_machine_code_is_kept_on_disk():
    assert _kernels.fill.stats.cache_path
