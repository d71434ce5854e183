"""How many threads are worth starting: the one place that knows."""

from __future__ import annotations

import math
import os
import pathlib

_CGROUP_2 = pathlib.Path("/sys/fs/cgroup/cpu.max")
_CGROUP_1 = pathlib.Path("/sys/fs/cgroup/cpu")


def usable_cores() -> int:
    """Returns the number of cores that this process may use, at least 1.

    That is what the operating system lets it run on (`taskset`, a batch system's allocation), and in a container no
    more than its quota of processor time.
    """
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        allowed = os.process_cpu_count()
    elif hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count()
    quota = _quota()
    return max(min(allowed or 1, math.ceil(quota) if quota else math.inf), 1)


def _quota() -> float | None:
    """Returns how many cores' time a container gets, None without a limit."""
    try:
        share, period = _CGROUP_2.read_text().split()
    except (OSError, ValueError):
        try:
            share = (_CGROUP_1 / "cpu.cfs_quota_us").read_text().strip()
            period = (_CGROUP_1 / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        share, period = float(share), float(period)
    except ValueError:  # "max"
        return None
    return share / period if share > 0 and period > 0 else None
