"""Signals: the first asks, the second insists, and work that changes nothing is left at once."""

import os
import signal
import threading

import pytest

from hpe.training.signals import Signals


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_noted(number):
    before = signal.getsignal(number)
    with Signals() as interrupts:
        assert interrupts.received is None
        send(number)
        assert interrupts.received is number
    assert signal.getsignal(number) is before


def test_a_second_sigint_acts_as_usual():
    with Signals() as interrupts:
        send(signal.SIGTERM)
        send(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
        assert interrupts.received is signal.SIGTERM


def test_work_that_changes_nothing_is_left_at_once():
    reached = []

    def work():
        reached.append("start")
        send(signal.SIGTERM)
        reached.append("end")

    with Signals() as interrupts:
        assert interrupts.attempt(lambda: 7) == 7
        assert interrupts.attempt(work) is None
        assert interrupts.attempt(lambda: 7) is None  # nor is more begun
        send(signal.SIGTERM)
    assert reached == ["start"]


def test_errors_of_the_work_are_passed_on_unless_a_signal_made_them():
    def fail():
        raise OSError("broken")

    def fail_after_signal():
        try:
            send(signal.SIGINT)
        except BaseException:
            raise OSError("wrapped by a library") from None

    with Signals() as interrupts:
        with pytest.raises(OSError, match="broken"):
            interrupts.attempt(fail)
        assert interrupts.attempt(fail_after_signal) is None


def test_in_another_thread_it_does_nothing():
    received = []

    def enter():
        with Signals() as interrupts:
            received.append(interrupts.received)

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert received == [None]
    assert signal.getsignal(signal.SIGTERM) is before
