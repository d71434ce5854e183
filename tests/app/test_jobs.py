"""Jobs: one after the other, told how far they are, called off, and never too many."""

import threading
import time

import pytest

from hpe.app.jobs import Full, Job, Jobs, State
from hpe.errors import UserError
from tests.conftest import PATIENCE


def wait_for(job, *states):
    deadline = time.monotonic() + PATIENCE
    while job.state not in states:
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def jobs():
    made = Jobs(most=2)
    yield made
    made.close()


def test_results_and_errors_are_told(jobs):
    good = jobs.add("a", lambda job: "the page")
    wait_for(good, State.DONE)
    assert good.result == "the page"

    def fail(job):
        raise UserError("b: is no picture.")

    bad = jobs.add("b", fail)
    wait_for(bad, State.FAILED)
    assert bad.describe()["message"] == "b: is no picture."
    broken = jobs.add("c", lambda job: 1 / 0)
    wait_for(broken, State.FAILED)
    assert "ZeroDivisionError" in broken.message
    after = jobs.add("d", lambda job: "goes on")
    wait_for(after, State.DONE)


def test_one_runs_one_waits_and_more_are_refused(jobs):
    go = threading.Event()
    first = jobs.add("a", lambda job: str(go.wait(PATIENCE)))
    wait_for(first, State.RUNNING)
    ended = threading.Event()
    second = jobs.add("b", lambda job: "never", ended=ended.set)
    with pytest.raises(Full, match="2 files are waiting already"):
        jobs.add("c", lambda job: "")
    jobs.cancel(second)
    assert second.state is State.CANCELLED
    go.set()
    wait_for(first, State.DONE)
    # What was kept for it, such as a file, is let go though nobody worked on it.
    assert ended.wait(PATIENCE)
    assert second.result is None


def test_what_cannot_be_interrupted_has_no_result_once_it_is_called_off(jobs):
    go = threading.Event()
    job = jobs.add("a", lambda job: str(go.wait(PATIENCE)))
    wait_for(job, State.RUNNING)
    jobs.cancel(job)
    assert job.describe()["state"] == "cancelled"
    go.set()
    wait_for(job, State.CANCELLED)
    assert job.result is None


def test_a_job_that_runs_ends_at_its_next_report(jobs):
    def endless(job: Job):
        number = 0
        while True:
            number += 1
            job.report(number, 1_000_000)
            time.sleep(0.001)

    job = jobs.add("a", endless)
    wait_for(job, State.RUNNING)
    deadline = time.monotonic() + PATIENCE
    while not job.left:
        assert time.monotonic() < deadline
    assert 0 < job.describe()["progress"] < 0.5
    jobs.cancel(job)
    wait_for(job, State.CANCELLED)
    jobs.cancel(job)
    assert jobs.get(job.number) is None


def test_old_results_are_forgotten(jobs):
    for number in range(30):
        wait_for(jobs.add(str(number), lambda job: ""), State.DONE)
    assert len(jobs.all()) <= 22
    assert jobs.all()[-1].name == "29"
