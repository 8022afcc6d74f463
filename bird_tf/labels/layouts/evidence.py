"""The files that tell something of a set of recordings: which of them are used, which are not, and why, in words."""

from __future__ import annotations

import collections
import dataclasses
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence

from absl import logging

from bird_tf import config, files, skips
from bird_tf.audio import decode
from bird_tf.labels import class_names, json_lines, label_cells, texts, verdicts
from bird_tf.labels.formats import birdclef, csv_table, formats, one_hot, sonic_visualiser, verdict_table
from bird_tf.labels.layouts import matching
from bird_tf.labels.tables import columns, rows

_ON_COLUMNS = re.compile(r" \(see --columns[^)]*\)|(?:;|,? or) say '?--columns.*")
_READ_COLUMNS = (
    "; columns file, date, time, site, latitude, longitude and elevation count here, and file must be there: rename "
    "yours to these"
)
_OF_CLOCK = frozenset(("datetime", "date time"))  # columns of tables of recordings that hold both
# in the names of files that tell what is there, and what is not
_IS_THERE = re.compile(r"(?<![a-z])(?:tps?|(?:true[\W_]*)?positives?)(?![a-z])")
_IS_NOT_THERE = re.compile(r"(?<![a-z])(?:fps?|false[\W_]*positives?|negatives?)(?![a-z])")
_MOST_TOLD = 5  # kinds of tables whose unused columns are told
NAMELESS = "names no recording, and is not called after one, as x.txt or x.labels.txt beside x.wav"


def read(path: str, layout: str, options: rows.Options, without_json_in: str = "") -> list[formats.Source]:
    """Reads the files of a folder that may be of any format, or one file.

    Args:
        path: the folder, or the file.
        layout: as of `reader.SourceConfig`; with "birdclef" only XML files are read.
        options: what the user says about tables.
        without_json_in: a folder whose JSON files are left to the layout.

    Raises:
        InputError: the one file cannot be read.
    """
    if os.path.isfile(path):
        found = formats.read(path, options)
        if found.problem:
            raise config.InputError(f"{path}: {found.problem}")
        return [found]
    suffixes = birdclef.FORMAT.suffixes if layout == "birdclef" else (*formats.SUFFIXES, *formats.SPREADSHEETS)
    sources = [
        formats.read(file, options)
        for file in files.find(path, suffixes)
        if not (without_json_in and file.lower().endswith(".json") and file.startswith(f"{without_json_in}{os.sep}"))
    ]
    _tell_of_heights(sources, options)
    return sources


def about_recordings(path: str) -> list[formats.Source]:
    """Reads the files of a folder, or one file, that tell of recordings that need no label. What is not used is logged.

    Raises:
        InputError: one of them cannot be read. The message has no advice on --columns, which is of labels.
    """
    try:
        sources = read(path, "auto", rows.Options())
        if problem := next((f"{s.path}: {s.problem}" for s in sources if s.format and s.problem), ""):
            raise config.InputError(problem)
    except config.InputError as error:
        problem, has_advice = _ON_COLUMNS.subn("", str(error))
        raise config.InputError(f"{problem}{_READ_COLUMNS if has_advice else ''}") from error
    used = [source for source in sources if source.format]
    if others := [source for source in sources if not source.format]:
        level = logging.INFO if used else logging.WARNING
        logging.log(level, "%d files are not used, the first: %s", len(others), others[0].path)
    _log_unused_columns(used)
    for source in used:
        if names := [name for name in source.unused_columns if columns.normal(name) in _OF_CLOCK]:
            logging.warning(
                "%s: %s not used: a date and a time are read from columns called date and time, as those of the place",
                source.path, " and ".join(names),
            )  # fmt: skip
    return sources


def _tell_of_heights(sources: Iterable[formats.Source], options: rows.Options) -> None:
    """Tells if all durations without a header may be heights of texts, which Sonic Visualiser writes from 0 to 1."""
    found = [source for source in sources if source.format == sonic_visualiser.FORMAT.name and source.rows]
    if (
        found
        and not options.columns
        and all(row.end_seconds - row.start_seconds <= 1 for source in found for row in source.rows if row.has_span)
    ):
        logging.info(
            "%d files without names of columns, the first: %s: the second column is read as durations, none of which "
            "is above 1 s; if it holds the heights of a text layer of Sonic Visualiser, export regions instead",
            len(found), found[0].path,
        )  # fmt: skip


def choose(
    sources: Iterable[formats.Source], known: matching.Recordings, layout: str, named: str
) -> tuple[list[formats.Source], list[skips.Skip], list[skips.Skip]]:
    """Chooses the files whose rows are used. Those that are not used are logged.

    Args:
        sources: all files.
        known: the recordings.
        layout: as of `reader.SourceConfig`; with "csv" a file has to name its recordings.
        named: the file that the user names, if there is one.

    Returns:
        The files; those that should be used and cannot be read; and those that are of no use.

    Raises:
        InputError: the named file names no recording, or a table of verdicts cannot be read.
    """
    used: list[formats.Source] = []
    problems: list[skips.Skip] = []
    unused: list[skips.Skip] = []
    for source in sources if layout == "csv" else _with_empty([*sources], known):
        if source.rows and (source.names_recordings or (layout != "csv" and known.has_namesake(source.path))):
            used.append(source)
        elif source.path == named:
            raise config.InputError(f"{source.path} {NAMELESS}; {_what_to_do(source, known)}")
        elif layout != "folders" and source.format == verdict_table.FORMAT.name and source.problem != rows.EMPTY:
            raise config.InputError(f"{source.path}: {source.problem or NAMELESS}")  # a person's work is not left out
        elif _is_expected(source, known):
            unnamed = "not used with --layout=csv" if layout == "csv" else NAMELESS
            problems.append((source.path, source.problem or unnamed))
        else:
            unused.append((source.path, source.problem or NAMELESS))
    if sheets := _spreadsheets([path for path, _ in unused]):
        logging.warning(
            "%d spreadsheets are not read, the first: %s; if it tells of recordings, save it as CSV",
            len(sheets),
            sheets[0],
        )
    if unused:
        logging.info("%d files are not used, the first: %s (%s)", len(unused), *unused[0])
    return used, problems, unused


def _what_to_do(source: formats.Source, known: matching.Recordings) -> str:
    """What to do with a file that names no recording."""
    if source.path.lower().endswith(".json"):
        return "of JSON, that of xeno-canto is read: save it as a table with the columns file and label"
    if any(row.has_span or row.labels.species for row in source.rows):
        column = _of_recordings(source, known) or "NAME"
        return f"rename it after its recording, or say --columns=file={column} for a column that names it"
    return "it holds no annotation"


def _of_recordings(source: formats.Source, known: matching.Recordings) -> str:
    """The column of a table in which most cells name recordings, or are their catalogue numbers; empty without one.

    Without a line with names of columns, it is its number.
    """
    if source.format not in ("", csv_table.FORMAT.name) or _suffix(source) not in csv_table.FORMAT.suffixes:
        return ""
    document = texts.Document(source.path)
    try:
        is_title, has_no_header = sum(map(bool, document.header)) < 2, any(map(known.has_name, document.header))
        for i, name in enumerate(() if is_title else document.header):
            cells = [*filter(None, columns.down(document, (i,)))]
            if name and 2 * sum(known.has_name(cell) or bool(known.numbered(cell)) for cell in cells) > len(cells):
                return str(i + 1) if has_no_header else f"'{name}'" if " " in name else name
    except config.InputError:  # it is no table
        pass
    return ""


def _with_empty(sources: Sequence[formats.Source], known: matching.Recordings) -> list[formats.Source]:
    """The files, where an empty one tells that nothing was found in its recording, if such files have annotations."""

    def is_beside(source: formats.Source) -> bool:
        return _suffix(source) in csv_table.FORMAT.suffixes and known.has_namesake(source.path)

    empty = [source.path for source in sources if source.problem == rows.NO_TEXT and is_beside(source)]
    filled = [s for s in sources if s.is_in_time and not s.names_recordings and is_beside(s)] if empty else []
    format_of = {_suffix(source): source.format for source in filled}
    found = [
        dataclasses.replace(s, format=format_of[_suffix(s)], rows=tuple(rows.nothing_found(s.path)), problem="")
        if s.path in empty and _suffix(s) in format_of
        else s
        for s in sources
    ]
    if read := [new.path for old, new in zip(sources, found, strict=True) if new is not old]:
        logging.warning(
            "%d annotation files are empty, the first: %s: nothing counts as heard in their recordings; if they were "
            "not saved or downloaded as a whole, get them again", len(read), read[0],
        )  # fmt: skip
    return found


def _suffix(source: formats.Source) -> str:
    return os.path.splitext(source.path)[1].lower()


def _spreadsheets(paths: Iterable[str]) -> list[str]:
    """The spreadsheets of which no text of the same name is there."""
    return [
        path
        for path in paths
        if path.lower().endswith(formats.SPREADSHEETS)
        and not any(os.path.exists(os.path.splitext(path)[0] + suffix) for suffix in csv_table.FORMAT.suffixes)
    ]


def _is_expected(source: formats.Source, known: matching.Recordings) -> bool:
    """Whether a file should tell of a recording: it is of a known format and is refused, or has the name of one.

    Many programs write JSON beside recordings that is of no use here. Spreadsheets are told by themselves.
    """
    if source.format == birdclef.FORMAT.name or (source.format and source.problem not in ("", rows.EMPTY)):
        return True
    may_be_else = source.path.lower().endswith((".json", *json_lines.SUFFIXES, *formats.SPREADSHEETS))
    return not may_be_else and known.has_namesake(source.path)


def of_unknown_kinds(known: matching.Recordings) -> list[str]:
    """Files below the folder of recordings that are named after one, and have a suffix of no format."""
    return [
        path
        for path in files.find(known.root, ("",))
        if not path.lower().endswith((*decode.SUFFIXES, *formats.SUFFIXES, *formats.SPREADSHEETS))
        and known.has_namesake(path)
    ]


def log(layout: str, used: Sequence[formats.Source]) -> str:
    """Says what comes from where, and returns the first line of it. `layout` is as of `reader.SourceConfig`."""
    labelling = [source for source in used if source.is_labelling]
    if not labelling:
        return ""  # none can be read, which ends the command
    if layout == "auto":
        has_names = any(source.names_recordings for source in labelling)
        is_birdclef = {source.format for source in labelling} == {birdclef.FORMAT.name}
        layout = "birdclef" if is_birdclef else "csv" if has_names else "annotations"
    line = f"--layout={layout}: labels from {by_format(labelling)}"
    logging.info("%s", line)
    if about := [source for source in used if not source.is_labelling]:
        logging.info("author, place and time from %s", by_format(about))
    _log_unused_columns(used)
    return line


def _log_unused_columns(used: Sequence[formats.Source]) -> None:
    unused = {source.unused_columns: source.path for source in reversed(used) if source.unused_columns}
    for names, path in list(unused.items())[:_MOST_TOLD]:
        logging.info("columns that are not used: %s (%s)", ", ".join(names)[:500], path)


def warn_of_scores(used: Iterable[formats.Source]) -> None:
    """Warns if labels with scores, as a machine's detections, count beside labels without, as a person's."""
    with_scores: dict[bool, list[formats.Source]] = {True: [], False: []}
    without: dict[bool, list[formats.Source]] = {True: [], False: []}
    for source in used:
        scores = [row.score for row in source.rows if row.labels.species]
        if scores:
            (without if all(map(math.isnan, scores)) else with_scores)[source.is_in_time].append(source)
    for in_time, found in with_scores.items():
        if found and without[in_time]:
            logging.warning(
                "labels with scores from %s, and labels without from %s: all count, however low the score; if a "
                "machine made those with scores, move their files away, or say --min_confidence=0.8",
                by_format(found), by_format(without[in_time]),
            )  # fmt: skip


def warn_of_denials(used: Iterable[formats.Source]) -> None:
    """Warns if a file of labels differs from another one by its name alone, as `fp` from `tp`: it may deny them."""
    told = [source.path for source in used if any(row.labels.species for row in source.rows)]
    names = dict(zip(told, map(texts.comparable, files.below_common(told)), strict=True))
    there = {form: path for path, name in names.items() if (form := _IS_THERE.sub("?", name)) != name}
    for path, name in names.items():
        if (form := _IS_NOT_THERE.sub("?", name)) != name and form in there:
            logging.warning(
                "labels from %s count as those from %s do: if they tell what is not there, move the file away",
                path, there[form],
            )  # fmt: skip
            return


def warn_of_refused(sources: Iterable[formats.Source], problems: Sequence[skips.Skip]) -> None:
    """Warns if no label of a table counts, as it cannot be read: with --skip_unmatched, one bad row costs them all.

    Args:
        sources: all files.
        problems: (file, reason) of those that are not used.
    """
    told = dict(problems)
    refused = [s.path for s in sources if s.path in told and s.format and s.problem not in ("", rows.EMPTY)]
    if refused:
        logging.warning(
            "%d files of labels cannot be read, so that nothing in them counts, the first: %s: %s", len(refused),
            refused[0], told[refused[0]],
        )  # fmt: skip


def warn_of_other_names(used: Sequence[formats.Source], synonyms: Mapping[str, str]) -> None:
    """Warns of classes that verdicts confirm and no other label names, if they are codes beside Latin names or so.

    Verdicts call a class as the model did, and the labels may have got other names since.

    Args:
        used: the files that count.
        synonyms: as of `class_names.read_synonyms`.
    """
    judged = (row for source in used if source.format == verdict_table.FORMAT.name for row in source.rows)
    said_yes = (row for row in judged if row.verdict and row.verdict.answer == verdicts.YES)
    confirmed = dict.fromkeys(name for row in said_yes for name in row.labels.species)
    if not confirmed:  # there may be very many labels
        return
    others, known = set[str](), {*synonyms, *map(class_names.key, synonyms.values())}
    for row in (row for source in used for row in source.rows if not row.verdict):
        others.update(row.labels.species)
        told = (*row.labels.species, *row.background, row.about.name, *row.about.background, row.common)
        known.update(map(class_names.key, told))
    are_latin = set(map(label_cells.is_latin, others))
    strange = [n for n in confirmed if class_names.key(n) not in known and label_cells.is_latin(n) not in are_latin]
    if others and strange:
        logging.warning(
            "%d classes of verdicts are labels of no other file, the first: %r, while other labels are %s names; where "
            "they are the same species, give them one name with --synonyms", len(strange), strange[0],
            "Latin" if True in are_latin else "no Latin",
        )  # fmt: skip


def by_format(sources: Iterable[formats.Source]) -> str:
    """The files in words: how many of each format, and the first of them."""
    of_format: dict[str, list[str]] = collections.defaultdict(list)
    for source in sources:
        of_format[source.format].append(source.path)
    return "; ".join(
        f"{len(paths)} x {name} ({paths[0]}{', …' * (len(paths) > 1)})" for name, paths in of_format.items()
    )


def not_recognised(folder: str, sources: Iterable[formats.Source], known: matching.Recordings) -> str:
    """The message if nothing tells the species."""
    sources = [*sources]
    nameless = [source for source in sources if source.is_labelling and not source.names_recordings]
    telling = sorted((s for s in sources if not s.is_labelling), key=lambda s: s.format == birdclef.FORMAT.name)
    hints = [f"{source.path} {NAMELESS}; {_what_to_do(source, known)}" for source in nameless]
    hints += filter(None, (_hint_on_columns(source, known) for source in telling))
    hints += [f"{s.path}: {s.problem}" if s.problem else without_species(s) for s in telling]
    hints += [f"{path}: none of the known formats" for path in of_unknown_kinds(known)[:1]]
    hint = f"; for example {hints[0].rstrip('.')}" if hints else ""
    return (
        f"{folder}: layout not recognised: it holds no tables that name recordings, or are named after them, and "
        f"tell species{hint}. Give "
        "--metadata=FILE or DIR with tables, annotation files or BirdCLEF XML files, or put the recordings of each "
        "species into a folder of its own"
    )


def _hint_on_columns(source: formats.Source, known: matching.Recordings) -> str:
    """Says in which column of a table the recordings stand; empty if that is known already, or none names them."""
    column = _of_recordings(source, known)
    is_known = columns.normal(column) in columns.COLUMNS["file"]
    if not column or (is_known and source.format):
        return ""
    of_file = "" if is_known else f"--columns=file={column} "
    _, *of_answers = source.problem.partition(one_hot.IF_SPECIES)
    hint = f"{source.path} names recordings in its column {column}: say {of_file}--columns=label=NAME"
    return hint + "".join(of_answers)


def without_species(source: formats.Source) -> str:
    """Says that a file tells no species, and what to do if it does."""
    return f"{source.path} tells no species; if it does, say --columns=label=NAME."
