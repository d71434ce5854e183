import subprocess
import sys
import threading

from hpe.pipeline import python_calls

# An iterator at the level of a module, which lives until Python ends.
_PROGRAM = """
import cv2
import numpy as np
import tensorflow as tf
from hpe.pipeline.python_calls import ends_with_python

image = np.zeros((400, 400, 3), np.uint8)

@ends_with_python
def work(value):
    for _ in range(60):  # OpenCV hands Python's lock to the other threads, and asks for it again
        cv2.resize(image, (300, 300))
    return value

def slow(value):
    return tf.numpy_function(work, [value], tf.int64)

numbers = iter(tf.data.Dataset.counter().map(slow, num_parallel_calls=4).prefetch(16))
print([int(next(numbers)) for _ in range(3)])
"""


def test_python_ends_while_an_iterator_is_there():
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[0, 1, 2]"
    assert "terminate called" not in done.stderr


def test_running_dry_waits_for_what_runs():
    calls = python_calls._Calls()
    entered, may_leave, left = threading.Event(), threading.Event(), []

    def work():
        for _ in range(2):
            with calls.one():
                entered.set()
                may_leave.wait(10)
            left.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    entered.wait(10)
    threading.Timer(0.2, may_leave.set).start()
    calls.run_dry()
    assert left == [True, True]
    thread.join()
