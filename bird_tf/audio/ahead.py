"""An iterator that runs ahead in a thread of its own: one core decodes while another one resamples."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def run_ahead(items: Iterator[Item], count: int) -> Generator[Item, None, None]:
    """Yields the items, and raises what their iterator raises. Close it: then its thread has ended.

    Args:
        items: the iterator; nothing else may use it.
        count: of items that may wait.
    """
    waiting: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(count)
    stopped = threading.Event()

    def run() -> None:
        end: BaseException = StopIteration()
        try:
            for item in items:
                waiting.put((item, None))
                if stopped.is_set():
                    break
        except BaseException as error:  # noqa: BLE001, raised again in the thread that iterates
            end = error
        waiting.put((None, end))

    thread = threading.Thread(target=run, name="ahead", daemon=True)
    thread.start()
    end: BaseException | None = None
    try:
        while True:
            item, end = waiting.get()
            if isinstance(end, StopIteration):
                return
            if end:
                raise end
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        while end is None:  # the thread may wait for a place
            _, end = waiting.get()
        thread.join()
