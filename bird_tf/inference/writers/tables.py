"""The table of formats, and writing predictions in several of them at once.

A new format is a new module with its `FORMATS`, and a word here.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping

from bird_tf import config
from bird_tf.inference.writers import (
    audacity,
    csv_tables,
    detections,
    kaleidoscope,
    parquet,
    predictions,
    raven,
)
from bird_tf.labels import parquet as parquet_tables

FORMATS: dict[str, predictions.Format] = {
    **csv_tables.FORMATS, **raven.FORMATS, **audacity.FORMATS, **kaleidoscope.FORMATS, **parquet.FORMATS,
}  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableConfig:
    """Which files to write."""

    format: str = config.option("csv", f"comma-separated list of {', '.join(FORMATS)}")
    detections: detections.DetectionConfig
    csv_bom: bool = config.option(
        False,
        "begin CSV tables, except that for Kaleidoscope, with a byte order mark, by which Excel shows letters beyond "
        "ASCII as they are",
    )
    embeddings: bool = config.option(False, "also write OUTPUT/embeddings/, which bird_tf.search looks through")

    def __post_init__(self) -> None:
        formats = self.format.split(",")
        if unknown := [name for name in formats if name not in FORMATS]:
            raise config.InputError(f"--format={self.format}: {unknown[0]!r} is none of {', '.join(FORMATS)}")
        if len(set(formats)) < len(formats):
            raise config.InputError(f"--format={self.format}: names a format twice")
        if "parquet" in formats:
            parquet_tables.check("--format=parquet")

    @property
    def formats(self) -> Mapping[str, predictions.Format]:
        """The formats that are asked for."""
        return {name: FORMATS[name] for name in self.format.split(",")}


def writing(
    settings: TableConfig, context: predictions.Context
) -> contextlib.AbstractContextManager[predictions.Append]:
    """Yields a function that adds a recording to all files. Tables of all recordings appear when the block ends."""
    return predictions.together(each.writing(context) for each in settings.formats.values())
