"""Threads that read ahead and finish later: in order, with their errors where they belong, and ended in time."""

import threading

import pytest

from hpe.inference.overlap import InOrder, ReadAhead


def numbers(count, closed, error=None):
    try:
        yield from range(count)
        if error is not None:
            raise error
    finally:
        closed.append(True)


def test_all_items_come_in_order_and_the_source_is_closed():
    closed = []
    with ReadAhead(numbers(50, closed)) as ahead:
        assert list(ahead) == [*range(50)]
        assert list(ahead) == []
    assert closed == [True]


def test_an_error_comes_in_its_place():
    closed = []
    ahead = ReadAhead(numbers(3, closed, KeyError("here")))
    assert [next(ahead) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="here"):
        next(ahead)
    ahead.close()


def test_it_ends_before_the_source_does():
    closed = []
    with ReadAhead(numbers(10**9, closed), ahead=2) as ahead:
        assert next(ahead) == 0
    assert closed == [True]
    waiting = threading.Event()

    def slow():
        waiting.wait(5)
        yield 1

    with ReadAhead(slow()) as ahead:
        assert ahead.poll(0.01) is None
        waiting.set()
        assert ahead.poll(5) == 1


def test_calls_are_made_in_order_and_what_they_raise_is_raised():
    done = []
    with InOrder(pending=3) as later:
        for number in range(20):
            later.submit(done.append, number)
    assert done == [*range(20)]

    def fail():
        raise OSError("full")

    with pytest.raises(OSError, match="full"), InOrder() as later:
        later.submit(fail)
    with pytest.raises(RuntimeError, match="mine"), InOrder() as later:
        later.submit(fail)
        raise RuntimeError("mine")
