import itertools
import threading
import time

import pytest

from bird_tf.audio import ahead


def _alive():
    return [thread for thread in threading.enumerate() if thread.name == "ahead"]


def test_items_come_in_order_and_the_thread_ends():
    assert list(ahead.run_ahead(iter(range(50)), 2)) == list(range(50))
    assert not _alive()


def test_it_runs_ahead_by_a_limited_number():
    taken = []
    stream = ahead.run_ahead((taken.append(i) or i for i in itertools.count()), 3)
    assert next(stream) == 0
    deadline = time.monotonic() + 10
    while len(taken) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(taken) == 5  # one that was taken, three that wait, one for which there is no place
    stream.close()
    assert not _alive()


def test_an_error_comes_after_the_items_before_it():
    def failing():
        yield 1
        raise ZeroDivisionError("of this test")

    stream = ahead.run_ahead(failing(), 2)
    assert next(stream) == 1
    with pytest.raises(ZeroDivisionError, match="of this test"):
        next(stream)
    assert not _alive()
