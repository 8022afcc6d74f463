"""Predictions → what a survey found: per site, day and hour the recordings, their length, detections and species."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from bird_tf.inference import ensembles
from bird_tf.inference.writers import predictions
from bird_tf.labels import metadata, taxonomy

UNKNOWN_HOUR = -1


class Cell(NamedTuple):
    """An hour of a day at a site; empty, and `UNKNOWN_HOUR`, where that is not known."""

    site: str
    date: str
    hour: int


@dataclasses.dataclass
class Effort:
    """The recordings that have sound in a cell, and its length in seconds."""

    recordings: int = 0
    seconds: float = 0.0


class Survey:
    """Counts over recordings.

    Attributes:
        classes: the classes.
        effort: {cell: effort}.
        detections: {(cell, class index): number of detections that begin in it}.
        present: {(cell, class index): number of recordings in which the class is present, and was heard in the cell}:
            a detection begins in it; without any in the recording, its most probable chunk.
        num_present: {class index: number of recordings in which the class is present}.
        num_universal: number of recordings whose time is in UTC.
        doubles: (recording, an earlier one) of those that begin in the same second of the same known site.
    """

    def __init__(self, classes: taxonomy.Taxonomy) -> None:
        self.classes = classes
        self.effort: dict[Cell, Effort] = collections.defaultdict(Effort)
        self.detections: collections.Counter[tuple[Cell, int]] = collections.Counter()
        self.present: collections.Counter[tuple[Cell, int]] = collections.Counter()
        self.num_present: collections.Counter[int] = collections.Counter()
        self.num_recordings = self.num_universal = 0
        self.doubles: list[tuple[str, str]] = []
        self._at: dict[tuple[str, datetime.datetime], str] = {}

    def add(self, prediction: predictions.Prediction) -> None:
        """Counts a recording."""
        recording, duration = prediction.recording, prediction.scores.duration_seconds
        self.num_recordings += 1
        self.num_universal += recording.start is not None and recording.utc_offset_hours == 0
        if recording.site and recording.start:
            first = self._at.setdefault((recording.site, recording.start), prediction.file)
            if first != prediction.file:
                self.doubles.append((prediction.file, first))
        for cell, seconds in _divided(recording, duration):
            self.effort[cell].recordings += 1
            self.effort[cell].seconds += seconds
        heard: dict[int, set[Cell]] = collections.defaultdict(set)
        for detection in prediction.detections:
            # rounding may let a last, padded chunk begin where the recording ends
            cell = _cell(recording, min(detection.start, max(0.0, duration - 1e-3)))
            self.detections[cell, detection.index] += 1
            heard[detection.index].add(cell)
        for index in prediction.present:
            self.num_present[index] += 1
            for cell in heard[index] or {_cell(recording, _most_probable(prediction.scores, index))}:
                self.present[cell, index] += 1

    @property
    def species(self) -> list[int]:
        """The classes with a detection or a recording in which they are present, those of most detections first."""
        found = {index for counts in (self.detections, self.present) for _, index in counts}
        totals: collections.Counter[int] = collections.Counter()
        for (_, index), count in self.detections.items():
            totals[index] += count
        return sorted(found, key=lambda index: (-totals[index], index))

    def by(
        self, part: Callable[[Cell], str], counts: collections.Counter[tuple[Cell, int]]
    ) -> dict[int, dict[str, int]]:
        """{class index: {part of the cell, as its date: sum of the counts}}."""
        sums: dict[int, dict[str, int]] = collections.defaultdict(lambda: collections.defaultdict(int))
        for (cell, index), count in counts.items():
            sums[index][part(cell)] += count
        return sums

    def hours(self, part: Callable[[Cell], str]) -> dict[str, float]:
        """{part of the cell: recorded hours}, in the order of the parts."""
        sums: dict[str, float] = collections.defaultdict(float)
        for cell in sorted(self.effort):
            sums[part(cell)] += self.effort[cell].seconds / 3600
        return dict(sorted(sums.items()))


def hour_name(cell: Cell) -> str:
    """The hour in two digits; empty if unknown."""
    return "" if cell.hour == UNKNOWN_HOUR else f"{cell.hour:02d}"


def _most_probable(scores: ensembles.RecordingScores, index: int) -> float:
    """When the chunk begins that has the highest score of a class, seconds."""
    of_class = scores.probabilities[:, index]
    return float(scores.start_seconds[of_class.argmax()]) if len(of_class) else 0.0


def _cell(recording: metadata.Recording, seconds: float) -> Cell:
    """The cell of a time in a recording."""
    if recording.start is None:
        hour = UNKNOWN_HOUR if math.isnan(recording.hour) else int(recording.hour) % 24
        return Cell(recording.site, recording.date, hour)
    moment = recording.start + datetime.timedelta(seconds=seconds)
    return Cell(recording.site, moment.date().isoformat(), moment.hour)


def _divided(recording: metadata.Recording, duration: float) -> Iterator[tuple[Cell, float]]:
    """Yields each hour that a recording touches, and how many of its seconds are in it."""
    start = recording.start
    seconds = 0.0
    if start is not None:
        first = 3600.0 - (60 * start.minute + start.second)
        while first < duration:
            yield _cell(recording, seconds), first - seconds
            seconds, first = first, first + 3600.0
    yield _cell(recording, seconds), duration - seconds
