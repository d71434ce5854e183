"""Threads by what the process may use: affinity, and a container's quota."""

import os

import pytest

from hpe.backends import threads


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_what_the_process_may_run_on_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(threads, "_CGROUP_2", tmp_path / "none")
    monkeypatch.setattr(threads, "_CGROUP_1", tmp_path / "none")
    allowed = os.sched_getaffinity(0)
    assert threads.usable_cores() == len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert threads.usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(
    ("content", "quota"),
    [("max 100000", None), ("50000 100000", 0.5), ("250000 100000\n", 2.5), ("nonsense", None)],
)
def test_the_quota_of_a_container_counts(monkeypatch, tmp_path, content, quota):
    monkeypatch.setattr(threads, "_CGROUP_2", tmp_path / "cpu.max")
    monkeypatch.setattr(threads, "_CGROUP_1", tmp_path)
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(threads.os, "process_cpu_count", lambda: 8, raising=False)
    (tmp_path / "cpu.max").write_text(content)
    expected = 8 if quota is None else int(-(-quota // 1))
    assert threads.usable_cores() == expected


def test_the_older_files_of_a_quota_are_read(monkeypatch, tmp_path):
    monkeypatch.setattr(threads, "_CGROUP_2", tmp_path / "none")
    monkeypatch.setattr(threads, "_CGROUP_1", tmp_path)
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(threads.os, "process_cpu_count", lambda: 8, raising=False)
    for share, expected in (("-1", 8), ("150000", 2)):
        (tmp_path / "cpu.cfs_quota_us").write_text(share)
        (tmp_path / "cpu.cfs_period_us").write_text("100000")
        assert threads.usable_cores() == expected
