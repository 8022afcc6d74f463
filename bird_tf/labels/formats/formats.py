"""The foreign formats, and which of them a file has."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from absl import logging

from bird_tf import config
from bird_tf.labels import parquet, texts
from bird_tf.labels.formats import (
    audacity,
    birdclef,
    csv_table,
    inaturalist,
    kaggle_segments,
    kaleidoscope,
    macaulay,
    one_hot,
    raven,
    sonic_visualiser,
    text_grid,
    verdict_table,
    xeno_canto,
    xeno_canto_annotations,
)
from bird_tf.labels.tables import columns, file_format, presence, rows

# The first one that recognises a file reads it, so the tables whose columns have usual names come last.
FORMATS = (
    birdclef.FORMAT,
    verdict_table.FORMAT,
    xeno_canto.FORMAT,
    xeno_canto_annotations.FORMAT,
    text_grid.FORMAT,
    raven.FORMAT,
    kaleidoscope.FORMAT,
    kaggle_segments.FORMAT,
    inaturalist.FORMAT,
    macaulay.FORMAT,
    one_hot.FORMAT,
    sonic_visualiser.FORMAT,
    csv_table.FORMAT,
    audacity.FORMAT,
)
# words of which the names of columns consist that number the rows, or the files that they are about
_NUMBERING = frozenset(("id", "uuid", "guid", "md5", "sha1", "sha256", "hash", "checksum", "url", "link", "index"))
_BESIDE_THEM = frozenset(("row", "record", "file", "audio", "sound", "media", "annotation", "observation"))
SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
SUFFIXES = tuple(dict.fromkeys(suffix for each in FORMATS for suffix in each.suffixes))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A file of another program, and what was read from it.

    Attributes:
        path: of the file.
        format: name of its format; empty if none recognises it.
        rows: its rows.
        unused_columns: names of the columns of a table whose columns are known by their names that are not used.
        problem: why it cannot be read; empty if it can.
    """

    path: str
    format: str = ""
    rows: tuple[rows.Row, ...] = ()
    unused_columns: tuple[str, ...] = ()
    problem: str = ""

    @property
    def is_labelling(self) -> bool:
        """Whether a row says anything of species."""
        return any(row.labels.stated and not (row.labels.missing and not row.has_span) for row in self.rows)

    @property
    def names_recordings(self) -> bool:
        """Whether a row names its recording."""
        return any(row.files or row.catalogue_numbers for row in self.rows)

    @property
    def is_in_time(self) -> bool:
        """Whether a row is about a span."""
        return any(row.has_span for row in self.rows)


def read(path: str, options: rows.Options) -> Source:
    """Reads a file in the first format that recognises it. What cannot be read is told as its problem."""
    document, name = texts.Document(path), ""
    try:
        for each in FORMATS:
            if path.lower().endswith(each.suffixes) and each.recognise(document, options):
                name = each.name
                _refuse_ignored(document, options, each)
                found = each.read(document, options)
                unused: tuple[str, ...] = ()
                if each.has_header and len(document.lines) > 1:
                    found = _once(document, rows.fitting(document, found))
                    unused = each.unused_columns(document, options) if each.unused_columns else ()
                    if each.may_deny:
                        found, unused = presence.apply(document, options, found, unused)
                    if each.unused_columns:
                        _warn_of_twins(document, unused)
                        unused += columns.nameless(document)
                problem = "" if found else rows.EMPTY
                return Source(path=path, format=name, rows=tuple(found), unused_columns=unused, problem=problem)
    except config.InputError as error:
        return Source(path=path, format=name, problem=str(error).removeprefix(path).lstrip(",: "))
    return Source(path=path, problem=_what_it_is(document, options))


def _once(document: texts.Document, found: Sequence[rows.Row]) -> list[rows.Row]:
    """Without rows about a whole recording that they name, of which the same line stands further up.

    The same may be said in lines whose numbers, as in a column `id`, or addresses differ.
    """
    whole = [row for row in found if not row.has_span and not row.problem and (row.files or row.catalogue_numbers)]
    if len({(row.files, row.catalogue_numbers) for row in whole}) == len(whole):
        return list(found)
    kept = [i for i, name in enumerate(document.header) if not _is_numbering(document, i, name)]
    lines = {
        rows.where(document, number): tuple(line[i] for i in kept if i < len(line))
        for number, line in document.lines[1:]
    }
    first: dict[object, str] = {}
    again = set()
    for row in whole:
        said = row.files, row.catalogue_numbers, row.labels, row.annotator, lines.get(row.where, row.where)
        if first.setdefault(said, row.where) != row.where:
            again.add(row.where)
    if again:
        told = next(row.where for row in whole if row.where in again)
        logging.info("%d rows stand there twice and count once, the first: %s", len(again), told)
    return [row for row in found if row.where not in again]


def _is_numbering(document: texts.Document, position: int, name: str) -> bool:
    """Whether a column tells rows apart that say the same: one without a name, and pandas's `Unnamed: 0`, counts."""
    words = {*columns.normal(name).split()}
    if not name or words == {"unnamed", "0"}:
        return columns.is_counting(document, position)
    return not _NUMBERING.isdisjoint(words) and words <= _NUMBERING | _BESIDE_THEM


def _warn_of_twins(document: texts.Document, unused: Sequence[str]) -> None:
    """Warns of columns that have the name of one that is used, and tell something else."""
    for name, (number, cell) in sorted(columns.twins(document).items()):
        if name not in unused:
            logging.warning(
                "%s, line %d: of %d columns called %s only the first one is used, and another one tells %r; give each "
                "a name of its own", document.path, number, document.header.count(name), name, cell[:40],
            )  # fmt: skip


def in_channel(sources: Sequence[Source], channel: str) -> list[Source]:
    """The files as far as they are about the channel that is heard.

    The labels of other channels are not used: perhaps they can be heard in this one, too. Where no row is about the
    channel, a person did not tell channels apart.

    Args:
        sources: the files.
        channel: as --channel; its number, or else all channels are heard.
    """
    number = int(channel) if channel.isdecimal() else 0
    told = {row.channel for source in sources for row in source.rows} - {0}
    others = [row for source in sources for row in source.rows if row.channel not in (0, number)]
    if not number or not others:
        return list(sources)
    if number not in told:
        logging.warning(
            "all %d selections are of other channels than --channel=%d, the first: %s; they count all the same",
            len(others), number, others[0].where,
        )  # fmt: skip
        return list(sources)
    logging.warning(
        "%d selections are of other channels than --channel=%d, the first: %s; they count neither as there nor as not "
        "there", len(others), number, others[0].where,
    )  # fmt: skip
    return [
        dataclasses.replace(
            source, rows=tuple(row if row.channel in (0, number) else rows.unsure(row) for row in source.rows)
        )
        for source in sources
    ]


def _refuse_ignored(document: texts.Document, options: rows.Options, recognised: file_format.Format) -> None:
    """Raises InputError if --columns gives a column of the file that its format does not use."""
    taken = recognised.taken
    if taken is None:
        return
    header = columns.positions(document).keys() if recognised.has_header else set()
    whats = {what for what, names in taken.items() if not names}
    for table, what, column in options.columns:
        if not columns.given_for(document, [(table, what, column or "none")]) or (column and what in whats):
            continue
        is_used = columns.normal(column) in taken.get(what, ())
        if not is_used and (table or not header.isdisjoint(map(columns.normal, (column, *column.split(","))))):
            flag, known = f"--columns={table}{':' * bool(table)}{what}={column}", ", ".join(sorted(whats)) or "nothing"
            raise config.InputError(
                f"{document.path}: {flag} cannot be used: of this format ({recognised.name}) it may tell {known}; "
                f"leave it out, or name the table that it is for: --columns=TABLE:{what}={column}"
            )


def _what_it_is(document: texts.Document, options: rows.Options) -> str:
    known = "none of the known formats (see --columns for tables with other names of columns)"
    if document.path.lower().endswith(SPREADSHEETS):
        return "a spreadsheet; save it as CSV"
    try:
        if not document.path.lower().endswith(parquet.SUFFIX) and not document.text.strip():
            return rows.NO_TEXT
        header = document.header
        hint = one_hot.what_is_no_answer(document, options)
    except config.InputError:  # such as JSON
        return known
    return f"{known}; its first line has {', '.join(header)[:300]}{hint}" if len(header) > 1 else known
