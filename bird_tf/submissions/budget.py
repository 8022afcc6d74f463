"""A limit to the time of scoring: what fits into it, and the end when it is used up."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence

from absl import logging

from bird_tf import config
from bird_tf.inference import scoring

# so many recordings tell how fast scoring is; the first one also waits for the graph of the model
_FEWEST = 3


def within(
    scored: Generator[scoring.ScoredRecording, None, None], seconds: Sequence[float], max_minutes: float,
    started: float, heard: Callable[[], float] = lambda: 0.0,
) -> Iterator[scoring.ScoredRecording]:  # fmt: skip
    """Yields scored recordings as long as there is time for the next one.

    It warns as soon as it is clear that not all of them will fit, and says how many will.

    Args:
        scored: the recordings; closed at the end.
        seconds: length of each, in the same order.
        max_minutes: the limit.
        started: when the time began, by `time.monotonic`.
        heard: seconds of sound that have been worked on, also of recordings after the last one that was yielded.
    """
    limit, total, done, warned = max_minutes * 60, sum(seconds), 0.0, False
    first = time.monotonic()
    with contextlib.closing(scored):
        for count, recording in enumerate(scored, 1):
            yield recording
            done += seconds[count - 1]
            now = time.monotonic()
            elapsed, needed_a_second = now - started, (now - first) / max(done, heard(), 1e-9)
            expected = elapsed + needed_a_second * (total - done)
            known = count >= min(_FEWEST, len(seconds))
            if known and not warned and expected > limit:
                warned = True
                fitting = _num_fitting(seconds, count, (limit - elapsed) / max(needed_a_second, 1e-9))
                logging.warning(
                    "all %d recordings need about %.1f minutes, more than --max_minutes=%g; about %d of them fit, and "
                    "the others get the training prior: use fewer models, a smaller one, or less overlap",
                    len(seconds), expected / 60, max_minutes, fitting,
                )  # fmt: skip
            if count < len(seconds) and elapsed + needed_a_second * seconds[count] * known > limit:
                return


def _num_fitting(seconds: Sequence[float], count: int, left: float) -> int:
    """How many recordings fit: `count`, and those after them that last `left` seconds of sound in all."""
    for length in seconds[count:]:
        left -= length
        if left < 0:
            break
        count += 1
    return count


def check(max_minutes: float | None) -> None:
    """Refuses a limit that leaves no time.

    Raises:
        InputError: it is not above 0.
    """
    if max_minutes is not None and not max_minutes > 0:
        raise config.InputError(f"--max_minutes={max_minutes:g}: must be above 0")
