"""Segments of equal length that a table divides recordings into: an empty label says that nothing is in one."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from absl import logging

from bird_tf.labels import label_cells, texts
from bird_tf.labels.tables import columns, rows

_OF_LABELS = frozenset(("label", "labels", "multilabel", "species"))  # in the names of columns that may hold labels


def with_empty(
    document: texts.Document, found: Mapping[str, Sequence[int]], read_rows: list[rows.Row]
) -> list[rows.Row]:
    """In a table that divides recordings into segments, an empty label says that nothing is in the segment.

    So does a row without times and label, as OpenSoundscape writes it for a recording without annotations. An empty
    label of any other span is something that has no name, and so is one beside which another column of labels is
    filled. A last line that may be cut has no label that is known.
    """
    if _is_cut(document, found) and (last := read_rows[-1]).labels.missing:
        problem = "the file ends in this line, which has fewer cells than the header: is it cut?"
        read_rows = [*read_rows[:-1], dataclasses.replace(last, problem=last.problem or problem)]
    are_segments, nothing, num_nothing = _are_segments(read_rows), label_cells.Labels(negative=True), 0
    unused = columns.unused(document, found)
    others = [name for name in unused if not _OF_LABELS.isdisjoint(columns.normal(name).split())]
    beside = [document.header.index(name) for name in others]
    elsewhere: list[str] = []
    told = []
    for row, (_, line) in zip(read_rows, document.lines[1:], strict=True):
        if row.labels.missing and not row.problem and (are_segments or not row.has_span):
            other = columns.filled(line, beside)
            if label_cells.is_missing(other) or other == "[]":
                row, num_nothing = dataclasses.replace(row, labels=nothing), num_nothing + row.has_span
            else:
                elsewhere.append(row.where)
        told.append(row)
    spans = {(row.files, row.start_seconds) for row in read_rows if row.has_span}
    if num_nothing and len(spans) == len({files for files, _ in spans}):
        logging.warning(
            "%s: each recording has one span, and %d of them have an empty label: nothing is there, nor behind it if "
            "the recording is longer; leave these rows out if nobody listened", document.path, num_nothing,
        )  # fmt: skip
    elif num_nothing:
        logging.info("%s: in %d segments the label is empty: nothing is there", document.path, num_nothing)
    if elsewhere:
        logging.warning(
            "%d empty labels are not taken for nothing, the first: %s: %s is filled there; if it holds the labels, say "
            "--columns=label=NAME", len(elsewhere), elsewhere[0], " or ".join(others),
        )  # fmt: skip
    return told


def _is_cut(document: texts.Document, found: Mapping[str, Sequence[int]]) -> bool:
    """Whether the last line lacks the cell of the label and a line end, and no other line lacks cells."""
    *others, last = (len(cells) for _, cells in document.lines)
    is_short = last <= max(found.get("label", (-1,))) and len(document.header) <= min(others)
    return is_short and not document.text.endswith(("\n", "\r"))


def _are_segments(read_rows: Sequence[rows.Row]) -> bool:
    """Whether spans of equal length cover each recording from its beginning, one behind the other or overlapping."""
    starts: dict[tuple[str, ...], set[float]] = {}
    lengths = []
    for row in read_rows:
        if row.has_span:
            starts.setdefault(row.files, set()).add(row.start_seconds)
            lengths.append(row.end_seconds - row.start_seconds)
    if len(lengths) < 2 or max(lengths) - min(lengths) >= 0.01:
        return False
    longest_step = max(lengths) + 0.01
    return all(
        after - before <= longest_step
        for of_recording in starts.values()
        for before, after in itertools.pairwise((-max(lengths), *sorted(of_recording)))
    )
