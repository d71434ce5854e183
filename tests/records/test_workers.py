"""Results come in order from any number of processes, and a worker's failure is one line."""

import functools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from hpe.errors import UserError
from hpe.records import workers


def square(number: int) -> int:
    time.sleep(0.0005 * (number % 7))
    return number * number


def fail_at(bad: int, kind: type[Exception], number: int) -> int:
    if number == bad:
        raise kind(f"number {number} is bad")
    return number


def die_at(bad: int, number: int) -> int:
    if number == bad:
        os._exit(3)
    return number


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_results_come_in_order(num_workers):
    numbers = range(500)
    assert list(workers.ordered_map(square, numbers, num_workers=num_workers)) == [n * n for n in numbers]


def test_errors_meant_for_the_user_pass_through():
    with pytest.raises(UserError, match=r"^number 70 is bad$"):
        list(workers.ordered_map(functools.partial(fail_at, 70, UserError), range(100), num_workers=2))


def test_other_errors_become_one_line_that_names_the_item():
    with pytest.raises(UserError, match=r"^70: KeyError: 'number 70 is bad' \(run with `num_workers=1`"):
        list(workers.ordered_map(functools.partial(fail_at, 70, KeyError), range(100), num_workers=2))


def test_without_processes_the_traceback_stays():
    with pytest.raises(KeyError):
        list(workers.ordered_map(functools.partial(fail_at, 7, KeyError), range(100), num_workers=1))


def test_a_worker_that_dies_is_reported():
    with pytest.raises(UserError, match="a worker process died"):
        list(workers.ordered_map(functools.partial(die_at, 40), range(100), num_workers=2))


def hand_over(number: int) -> bytes:
    """What takes long to hand over; the process dies at some moment of it."""
    if number == 47:
        threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return bytes(3_000_000)


def test_a_worker_that_dies_while_it_hands_over_is_reported():
    begun = time.monotonic()
    with pytest.raises(UserError, match=r"num_workers=2: a worker process died"):
        list(workers.ordered_map(hand_over, range(100), num_workers=2))
    assert time.monotonic() - begun < 60


def test_what_cannot_be_pickled_is_an_error():
    with pytest.raises((TypeError, AttributeError), match="pickle"):
        list(workers.ordered_map(square, [lambda: 1], num_workers=2))


def test_a_consumer_may_stop_early():
    results = workers.ordered_map(square, range(10_000), num_workers=2)
    assert next(results) == 0
    results.close()


def test_starting_a_worker_needs_no_tensorflow():
    program = """
        import sys
        import hpe.records.workers, hpe.datasets.lsp, hpe.datasets.mpii, hpe.datasets.mocap
        print([name for name in ("tensorflow", "keras", "jax", "torch") if name in sys.modules])
        """
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
