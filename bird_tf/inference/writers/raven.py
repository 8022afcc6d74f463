"""Raven: a selection table for each recording, or one for all.

Raven Pro places a selection by Begin Time when it opens a selection table, and by Begin Path and File Offset when it
opens a sound selection table. So the table of all recordings opens in both ways. Selections are of the channel that was
heard; of the first one, if that was their mean or the loudest.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from bird_tf import files
from bird_tf.inference.writers import predictions, tab_separated

COLUMNS = (
    "Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)",
    "Begin File", "Begin Path", "File Offset (s)", "Species", "Class", "Confidence",
)  # fmt: skip
COMBINED = "raven_combined.txt"


def _lines(
    context: predictions.Context, prediction: predictions.Prediction, *, first: int = 1, begin: float = 0.0
) -> list[str]:
    """The lines of a recording's selections.

    Args:
        context: what is the same for all recordings.
        prediction: of the recording.
        first: number of its first selection.
        begin: where the recording begins in a sequence of recordings, seconds.
    """
    path = files.below(os.path.abspath(context.root), prediction.file)
    channel = int(context.channel) if context.channel.isdecimal() else 1
    low_hz, high_hz = _band_hz(context, prediction)
    return [
        tab_separated.line([
            number, f"Spectrogram {channel}", channel, f"{begin + d.start:.3f}", f"{begin + d.end:.3f}",
            low_hz, high_hz, os.path.basename(path), path, f"{d.start:.3f}",
            context.species[d.index], context.classes.class_ids[d.index], f"{d.probability:.4f}",
        ])
        for number, d in enumerate(prediction.detections, first)
    ]  # fmt: skip


def _band_hz(context: predictions.Context, prediction: predictions.Prediction) -> tuple[float, float]:
    """The band that the model hears, up to half the sample rate of the recording: Raven refuses a higher selection."""
    low, high = context.front_end.fmin_hz, context.front_end.fmax_hz
    if rate := prediction.scores.sample_rate_hz:
        high = min(high, rate / 2)
    return (low if low < high else 0.0), high


@contextlib.contextmanager
def writing(context: predictions.Context) -> Iterator[predictions.Append]:
    """Writes STEM.Table.1.selections.txt for each recording."""

    def append(prediction: predictions.Prediction) -> None:
        path = context.output(f"{context.stems[prediction.file]}.Table.1.selections.txt")
        files.write_text(path, "".join([tab_separated.line(COLUMNS), *_lines(context, prediction)]))

    yield append


@contextlib.contextmanager
def writing_combined(context: predictions.Context) -> Iterator[predictions.Append]:
    """Writes raven_combined.txt: the selections in all recordings. Begin Time counts through them in their order."""
    number, begin = 1, 0.0
    with files.writing_text(context.output(COMBINED)) as write:
        write(tab_separated.line(COLUMNS))

        def append(prediction: predictions.Prediction) -> None:
            nonlocal number, begin
            lines = _lines(context, prediction, first=number, begin=begin)
            write("".join(lines))
            number, begin = number + len(lines), begin + prediction.scores.duration_seconds

        yield append


FORMATS = {
    "raven": predictions.Format(
        writing=writing, files=(f"{predictions.STEM}.Table.1.selections.txt",),
        meaning="a selection table of each recording, for Raven",
    ),
    "raven_combined": predictions.Format(
        writing=writing_combined, files=(COMBINED,), meaning="one selection table of all recordings, for Raven"
    ),
}  # fmt: skip
