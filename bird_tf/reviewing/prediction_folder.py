"""The folder of a prediction, as a review reads it: its detections, and what it says of itself."""

from __future__ import annotations

import dataclasses
import math
import os

from bird_tf import config, csv_files, files, next_steps, stored
from bird_tf.audio import channels
from bird_tf.inference.writers import csv_tables
from bird_tf.labels import given_table
from bird_tf.reviewing import clips

_NEEDED = ("file", "start_seconds", "end_seconds", "class_id", "probability")


def detections(path: str) -> list[clips.Clip]:
    """The detections of a prediction.

    Args:
        path: folder of the prediction, or the table itself.

    Raises:
        InputError: there is no such table, or a row cannot be read.
    """
    if os.path.isdir(path):
        path = os.path.join(path, csv_tables.DETECTIONS)
    if not files.exists(path):
        raise config.InputError(f"{path}: no such table; {next_steps.command('predict', format='csv')} writes it")
    return [_parse(row) for row in given_table.read_own(path, _NEEDED)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """What the summary of a prediction says.

    Attributes:
        audio: the folder of the recordings.
        models: exported models.
        channel: what was heard of recordings with several channels.
        scale: what the probabilities are of: `Ensemble.scale`, and in words what else they are combined with; empty if
            it is not known.
        fingerprints, decisions_digest: which models they were, as from `provenance`; empty if that is not known.
    """

    audio: str = ""
    models: tuple[str, ...] = ()
    channel: str = channels.MIX
    scale: str = ""
    fingerprints: tuple[str, ...] = ()
    decisions_digest: str = ""

    def __post_init__(self) -> None:
        channels.check(self.channel)


def summary(path: str) -> Summary:
    """What a prediction says of itself, in its folder or, as for `detections`, beside its table."""
    file = os.path.join(path if os.path.isdir(path) else os.path.dirname(path), files.SUMMARY)
    return stored.read_json(file, Summary, partial=True) if os.path.exists(file) else Summary()


def _parse(row: csv_files.Row) -> clips.Clip:
    start, end = row.number("start_seconds", 0), row.number("end_seconds", 0)
    probability = row.number("probability", 0, 1)
    if not start < end or math.isnan(probability):
        raise row.error("not a span in seconds with a probability")
    class_id = row.text("class_id")
    return clips.Clip(
        file=row.text("file"), start_seconds=start, end_seconds=end, class_id=class_id,
        name=row.cells.get("name") or class_id, score=probability, clock_time=row.cells.get("clock_time", ""),
        site=row.cells.get("site", ""),
    )  # fmt: skip
