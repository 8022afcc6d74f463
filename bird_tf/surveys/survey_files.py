"""The summary of a prediction as files: tables that other programs read, and a page."""

from __future__ import annotations

import collections
import contextlib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from absl import logging

from bird_tf import csv_files, files
from bird_tf.inference.writers import predictions
from bird_tf.labels import taxonomy, verdicts
from bird_tf.scores import density
from bird_tf.surveys import densities, page, tally

FOLDER = "summary"
PAGE = f"{FOLDER}/summary.html"
_DENSITY_COLUMNS = ("class_id", "name", "density", "lowest", "highest", "verdicts", "positives")


@contextlib.contextmanager
def writing(
    context: predictions.Context, given_verdicts: Sequence[verdicts.Verdict] = ()
) -> Iterator[predictions.Append]:
    """Writes OUTPUT/summary/: effort.csv, presence.csv, species_by_day.csv, species_by_hour.csv and summary.html.

    With verdicts, also density.csv.
    """
    survey, heard = tally.Survey(context.classes), densities.Densities(given_verdicts, context.classes)

    def append(prediction: predictions.Prediction) -> None:
        survey.add(prediction)
        heard.add(prediction)

    yield append
    if survey.doubles:
        logging.warning(
            "summary: %d of %d recordings begin in the second in which another one of their site does, as %s and %s: "
            "if they are copies, or the clock or the site is wrong, their hours and detections count too often; if "
            "they are clips of one recording, they do not",
            len(survey.doubles), survey.num_recordings, *survey.doubles[0],
        )  # fmt: skip

    def table(name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        path = context.output(f"{FOLDER}/{name}.csv")
        csv_files.write(path, columns, rows, byte_order_mark=context.byte_order_mark)

    table("effort", ("site", "date", "hour", "recordings", "hours", "detections", "species"), _effort_rows(survey))
    table(
        "presence",
        ("site", "date", "hour", "class_id", "name", "recordings", "recordings_present", "detections"),
        _presence_rows(survey),
    )
    days = list(survey.hours(lambda cell: cell.date))
    hours = [f"{hour:02d}" for hour in range(24)] + [""] * any(
        cell.hour == tally.UNKNOWN_HOUR for cell in survey.effort
    )
    for name, part, columns in (
        ("species_by_day", lambda cell: cell.date, days), ("species_by_hour", tally.hour_name, hours),
    ):  # fmt: skip
        table(name, ("class_id", "name", *(column or "unknown" for column in columns)), _rows_by(survey, part, columns))
    estimates = heard.estimates()
    if given_verdicts:
        num_bins = max((len(found.verdicts) for found in estimates.values()), default=0)
        bins = (f"verdicts_bin_{i}" for i in range(1, num_bins + 1))
        table("density", (*_DENSITY_COLUMNS, *bins), _density_rows(context.classes, estimates))
    title = os.path.basename(os.path.abspath(context.root))
    files.write_text(context.output(PAGE), page.render(title, survey, estimates))


def _effort_rows(survey: tally.Survey) -> Iterator[list[object]]:
    totals: collections.Counter[tally.Cell] = collections.Counter()
    species: dict[tally.Cell, set[int]] = collections.defaultdict(set)
    for counts in (survey.detections, survey.present):
        for cell, index in counts:
            species[cell].add(index)
    for (cell, _), count in survey.detections.items():
        totals[cell] += count
    for cell, effort in sorted(survey.effort.items()):
        yield [cell.site, cell.date, tally.hour_name(cell), effort.recordings, f"{effort.seconds / 3600:.4f}",
               totals[cell], len(species[cell])]  # fmt: skip


def _presence_rows(survey: tally.Survey) -> Iterator[list[object]]:
    for cell, index in sorted({*survey.detections, *survey.present}):
        class_id, name = survey.classes.class_ids[index], survey.classes.names[index]
        yield [cell.site, cell.date, tally.hour_name(cell), class_id, name, survey.effort[cell].recordings,
               survey.present[cell, index], survey.detections[cell, index]]  # fmt: skip


def _rows_by(survey: tally.Survey, part: Callable[[tally.Cell], str], columns: Sequence[str]) -> Iterator[list[object]]:
    sums = survey.by(part, survey.detections)
    for index in survey.species:
        counts = sums.get(index, {})
        yield [survey.classes.class_ids[index], survey.classes.names[index], *(counts.get(c, 0) for c in columns)]


def _density_rows(classes: taxonomy.Taxonomy, estimates: Mapping[int, density.Density]) -> Iterator[list[object]]:
    for index, found in estimates.items():
        mean = "" if math.isnan(found.estimate) else f"{found.estimate:.6f}"
        yield [classes.class_ids[index], classes.names[index], mean, f"{found.lowest:.6f}", f"{found.highest:.6f}",
               found.verdicts.sum(), found.positives.sum(), *found.verdicts]  # fmt: skip
