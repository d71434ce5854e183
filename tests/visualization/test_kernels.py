"""How the kernels are compiled."""

from hpe.visualization import kernels


def test_machine_code_is_kept_on_disk():
    assert kernels.fill.stats.cache_path
