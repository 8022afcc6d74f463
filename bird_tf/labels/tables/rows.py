"""What all foreign formats are read into: rows, each of which says something of a recording or of a span of one."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping

from bird_tf import config, free_text
from bird_tf.labels import class_names, label_cells, metadata, odd_names, texts, verdicts

NOT_STATED = label_cells.Labels(stated=False)
NO_SPAN = (math.nan, math.nan)
# A recording of which nothing is known yet.
NOTHING = metadata.Recording(recording_id="", path="")
# One of which all species are listed that a person has heard.
COMPLETE = dataclasses.replace(NOTHING, background_known=True)
# the problem of a table that tells nothing
EMPTY = "a table without rows"
# that of a file without any text
NO_TEXT = "an empty file"
_WIDEST_SECONDS = 5.0  # before the recording: half of a window around a call
_DIVIDING = re.compile("[,&+]")
_MARK = re.compile("1|9+")  # behind a minus
_HIGHEST_COUNT = 100  # beside a name; higher numbers are ids
_WORD = re.compile("[a-z]+(?:-[a-z]+)*")
_LETTERS_OF_CODES = (4, 6)  # as amro and amerob
_SIDES = {"left": 1, "l": 1, "right": 2, "r": 2}  # the two channels of stereo
_FIELDS = tuple(field.name for field in dataclasses.fields(NOTHING))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of a table, or one file of metadata.

    Attributes:
        where: the file, and the line if there are several.
        files: names or paths of the recording as they are written, the best first; without one, the recording that the
            file is named after is meant.
        or_namesake: whether that one is also meant if no name is found.
        catalogue_numbers: ways to write the number by which recordings are named; empty without one.
        labels: what it says of the species.
        start_seconds, end_seconds: the span; NaN if the row is about the whole recording. They are equal if it is about
            a point in time.
        goes_on: whether the span goes on in the next recording, past the end of this one.
        score: confidence of the label, in [0, 1]; NaN without one.
        unread_score: the cell of the score if it cannot be read; then `score` is 0.
        channel: number of the channel that it is about, from 1; 0 if it does not say.
        background: the other species in the span.
        annotator: who wrote it; empty if it does not say.
        common: common name that it tells beside its label; empty if it tells none.
        second_name: what a table of ours calls the species besides; empty in other tables.
        about: what is known of the recording; the fields that are not known are as in `NOTHING`.
        verdict: what a person said there of a prediction, if it is of a table of verdicts.
        problem: why the row cannot be used; empty if it can.
    """

    where: str
    files: tuple[str, ...] = ()
    or_namesake: bool = False
    catalogue_numbers: tuple[str, ...] = ()
    labels: label_cells.Labels = NOT_STATED
    start_seconds: float = math.nan
    end_seconds: float = math.nan
    goes_on: bool = False
    score: float = math.nan
    unread_score: str = ""
    channel: int = 0
    background: tuple[str, ...] = ()
    annotator: str = ""
    common: str = ""
    second_name: str = ""
    about: metadata.Recording = NOTHING
    verdict: verdicts.Verdict | None = None
    problem: str = ""

    @property
    def has_span(self) -> bool:
        """Whether it is about a span."""
        return not math.isnan(self.start_seconds)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What the user says about tables.

    Attributes:
        columns: --columns, as `columns.parse` reads them.
        negative_labels: names that mean none of the species, besides the usual ones.
    """

    columns: tuple[tuple[str, str, str], ...] = ()
    negative_labels: tuple[str, ...] = ()


def where(document: texts.Document, line: int) -> str:
    """Names a line of a file, for messages."""
    return f"{document.path}, line {line}"


def nothing_found(path: str) -> list[Row]:
    """The row of an annotation file without annotations: a person looked, and nothing was there."""
    return [Row(where=path, labels=label_cells.Labels(negative=True), about=COMPLETE)]


def spanned(
    row: Row, start: str, end: str, *, is_duration: bool = False, units: tuple[float, float] = (1.0, 1.0)
) -> Row:
    """Adds the span of a row, from text. Times that cannot be read make a problem of it.

    Args:
        row: the row.
        start, end: times, as `free_text.seconds` reads them.
        is_duration: whether `end` is the length of the span.
        units: of both, in seconds.
    """
    (first, last), problem = read_span(start, end, is_duration=is_duration, units=units)
    return dataclasses.replace(row, start_seconds=first, end_seconds=last, problem=problem or row.problem)


@functools.lru_cache(maxsize=4096)  # many spans of a table begin and end at the same seconds
def read_span(
    start: str, end: str, *, is_duration: bool, units: tuple[float, float]
) -> tuple[tuple[float, float], str]:
    """A span in seconds, and why it cannot be read; then the span is `NO_SPAN`. The arguments are as of `spanned`."""
    first, last = free_text.seconds(start, units[0]), free_text.seconds(end, units[1])
    if is_duration:
        last += first
    if math.isnan(first) or math.isnan(last):
        return NO_SPAN, f"{start[:40]!r} and {end[:40]!r} are not times in seconds"
    # programs that widen spans begin before the recording
    if last < first or (first < 0 and last <= -first) or first < -_WIDEST_SECONDS:
        return NO_SPAN, f"a span from {first:g} to {last:g} s: it must begin at 0 or later, and end after its start"
    return (max(first, 0.0), last), ""


def read_channel(cell: str, first: int = 1) -> int:
    """The number of the channel in a cell, where `first` is that of the first one; 0 for any other text."""
    if side := _SIDES.get(cell.casefold(), 0):
        return side
    number = free_text.number(cell, limit=1000) - first + 1
    return int(number) if number >= 1 else 0


def scored(row: Row, cell: str, *, in_percent: bool = False) -> Row:
    """Adds the confidence in a cell. One that cannot be read is 0: such a label is not a sure one."""
    if label_cells.is_missing(cell.strip()):
        return row
    score = free_text.confidence(cell, in_percent=in_percent)
    is_unread = math.isnan(score)
    return dataclasses.replace(row, score=0.0 if is_unread else score, unread_score=cell * is_unread)


@functools.lru_cache(maxsize=1024)  # the rows of one recording have one name
def names(cell: str) -> tuple[str, ...]:
    """The names that a cell can mean; none if it is empty. pandas writes a number as 101.0, if a cell is empty."""
    whole = cell.removesuffix(".0")
    return (cell, whole) if whole != cell and whole.isdecimal() else (cell,) * bool(cell)


def labelled(row: Row, cell: str, options: Options) -> Row:
    """Adds what a label cell says."""
    labels, problem = read_label(cell, options)
    return dataclasses.replace(row, labels=labels, problem=problem or row.problem)


def named(row: Row, names: Iterable[str], options: Options) -> Row:
    """Adds what names say that stand alone, as `label_cells.named`."""
    labels, problem = _read(lambda: label_cells.named(names, options.negative_labels))
    return dataclasses.replace(row, labels=labels, problem=problem or row.problem)


def read_label(cell: str, options: Options) -> tuple[label_cells.Labels, str]:
    """What a label cell says, and why it cannot be read."""
    return _read(lambda: label_cells.parse(cell, options.negative_labels))


def _read(reader: Callable[[], label_cells.Labels]) -> tuple[label_cells.Labels, str]:
    """What a reader of labels finds, and why it can find nothing."""
    try:
        return reader(), ""
    except ValueError as error:
        return NOT_STATED, f"its label is {error}"


def species_of(found: Iterable[Row]) -> frozenset[str]:
    """Keys of the species that rows name, as `among` needs them."""
    return frozenset(map(class_names.key, {name for row in found for name in row.labels.species}))


def kinds_beside(found: Iterable[Row]) -> tuple[dict[str, str], dict[str, str]]:
    """Kinds of sounds that stand beside other names in a cell, and the first row of each.

    Returns:
        Those that stand beside species only, as in `AMRO; song`; and those that may be classes, since they stand alone
        in other rows, or beside names that may be kinds of sounds themselves, as in `click; buzz`.
    """
    beside: dict[str, str] = {}
    classes: set[str] = set()
    for species, first in _first_of_cells(found).items():
        kinds = [name for name in species if odd_names.is_kind(name)]
        others = [name for name in species if name not in kinds]
        for kind in kinds:
            if others:
                beside.setdefault(kind, first)
            if not any(_is_species_beside(name, kind) for name in others):
                classes.add(class_names.key(kind))
    as_classes = {name: first for name, first in beside.items() if class_names.key(name) in classes}
    return {name: first for name, first in beside.items() if name not in as_classes}, as_classes


def numbers_beside(found: Iterable[Row]) -> dict[str, str]:
    """{whole number from 0 to 100 that stands beside species in a cell, as a count does: the first such row}.

    Those that stand alone in another row, or beside numbers or kinds of sounds only, are ids of classes.
    """
    beside: dict[str, str] = {}
    ids: set[str] = set()
    for species, first in _first_of_cells(found).items():
        numbers = [name for name in species if name.isdecimal() and int(name) <= _HIGHEST_COUNT]
        if all(name in numbers or odd_names.is_kind(name) for name in species):
            ids.update(numbers)
        for name in numbers:
            beside.setdefault(name, first)
    return {name: first for name, first in beside.items() if name not in ids}


def _first_of_cells(found: Iterable[Row]) -> dict[tuple[str, ...], str]:
    """{species that stand in one cell: the first such row}."""
    first_of: dict[tuple[str, ...], str] = {}
    for row in found:
        first_of.setdefault(row.labels.species, row.where)
    return first_of


def scores_beside(found: Iterable[Row]) -> dict[str, str]:
    """{score that stands beside names in a cell: the first such row}."""
    beside: dict[str, str] = {}
    for row in found:
        for score in row.labels.scores:
            beside.setdefault(score, row.where)
    return beside


def words_beside(found: Iterable[Row]) -> dict[str, str]:
    """{two words of a cell that may be one name, as `thrush, hermit`: the first such row}.

    They are lists if a word of them stands elsewhere too, alone or at the other place, and if all may be codes.
    """
    beside: dict[str, str] = {}
    firsts, seconds, others = set[str](), set[str](), set[str]()
    for row in found:
        species = row.labels.species
        if row.labels.is_pair and all(map(_WORD.fullmatch, species)) and not any(map(odd_names.is_kind, species)):
            beside.setdefault(", ".join(species), row.where)
            firsts.add(species[0])
            seconds.add(species[1])
        else:
            others.update(species)
    are_codes = all(len(word) in _LETTERS_OF_CODES for word in firsts | seconds)
    return {} if are_codes or firsts & seconds or (firsts | seconds) & others else beside


def _is_species_beside(name: str, kind: str) -> bool:
    """Whether a name has the form of a species: Latin, a code in capitals, or not in small letters, as the kind is."""
    if label_cells.is_latin(name) or (label_cells.is_code(name) and name.isupper()):
        return True
    return kind[:1].islower() and not name[:1].islower()


def without(row: Row, names: Collection[str]) -> Row:
    """The row without some of the names that it gives to its species."""
    species = tuple(name for name in row.labels.species if name not in names)
    if species == row.labels.species:
        return row
    return dataclasses.replace(row, labels=dataclasses.replace(row.labels, species=species))


def among(row: Row, species: Collection[str]) -> Row:
    """What a row says among others, whose labels tell what is a species.

    `A, B` and `A & B` are two species if both are labels of others. A `-NAME` that is no species becomes a problem: it
    could be the name of a class as well. Beside numbers, -1 and -99 have no name, as programs write them; but -1
    denies 1 if there are no others than 0 and 1.

    Args:
        row: the row.
        species: those of all rows, as of `species_of`; a Latin name needs not be among them.
    """
    if any(map(_DIVIDING.search, row.labels.species)):
        several = tuple(dict.fromkeys(part for name in row.labels.species for part in _known_parts(name, species)))
        row = dataclasses.replace(row, labels=dataclasses.replace(row.labels, species=several))
    if is_marked(row) and any(map(str.isdecimal, species)) and not {*row.labels.absent} <= {*species} <= {"0", "1"}:
        return dataclasses.replace(row, labels=dataclasses.replace(row.labels, negative=False, absent=()))
    for name in row.labels.absent:
        if not label_cells.is_latin(name) and class_names.key(name) not in species:
            problem = (
                f"its label '-{name}' says that {name} is not to be heard, but no other label is {name}; rename the "
                f"class, or say --negative_labels=-{name}"
            )
            return dataclasses.replace(row, labels=NOT_STATED, problem=row.problem or problem)
    return row


def is_marked(row: Row) -> bool:
    """Whether a label of a row is a number below 0 that marks what has no label."""
    return any(map(_MARK.fullmatch, row.labels.absent))


def latin_names(found: Iterable[Row]) -> dict[str, str]:
    """{key of a common name: the Latin name that alone stands beside it}, as `with_latin_name` needs them."""
    beside: dict[str, set[str]] = {}
    for common, name in {(r.common, n) for r in found if r.common for n in (*r.labels.species, r.about.name)}:
        if label_cells.is_latin(name):
            beside.setdefault(class_names.key(common), set()).add(name)
    return {common: names.pop() for common, names in beside.items() if len(names) == 1}


def with_latin_name(row: Row, latin_names: Mapping[str, str]) -> Row:
    """The row with the Latin name of its code: BirdNET tells the common name beside codes, and beside Latin names."""
    if not row.common or row.about.name or len(row.labels.species) != 1:
        return row
    [label], common = row.labels.species, class_names.key(row.common)
    if common not in latin_names or label_cells.is_latin(label) or class_names.key(label) == common:
        return row
    return dataclasses.replace(row, about=dataclasses.replace(row.about, name=latin_names[common]))


def _known_parts(name: str, species: Collection[str]) -> list[str]:
    """The parts of a name that commas, `&` or `+` divide, if all of them are species; else the name."""
    parts = [texts.clean(part) for part in _DIVIDING.split(name)]
    return parts if all(class_names.key(part) in species for part in parts) else [name]


def described(
    *, date: str = "", time: str = "", latitude: str = "", longitude: str = "", elevation: str = "", order: str = ""
) -> metadata.Recording:
    """What texts say of place and time of a recording; `order` as of `free_text.date`."""
    day, place = free_text.date(date, order), free_text.place(latitude, longitude)
    return dataclasses.replace(
        NOTHING,
        latitude=place[0],
        longitude=place[1],
        elevation=free_text.elevation(elevation),
        day_of_year=free_text.day_of_year(day),
        date=day.isoformat() if day else "",
        hour=free_text.hour_of_day(time or (date if ":" in date else "")),
    )


def merged(first: metadata.Recording, second: metadata.Recording) -> metadata.Recording:
    """What is known of a recording from two sources; where both know something, the first one counts."""
    known = {
        name: getattr(second, name)
        for name in _FIELDS
        if is_unknown(getattr(first, name)) and not is_unknown(getattr(second, name))
    }
    return dataclasses.replace(first, **known)


def is_unknown(value: object) -> bool:
    """Whether a field of a recording is as in `NOTHING`."""
    return value != value or value is False or value in ("", ())  # 0.0 is known, and equals False


def fitting(document: texts.Document, found: Iterable[Row]) -> list[Row]:
    """The rows, of which those of lines with too many cells cannot be used, as of `Document.misfits`.

    Raises:
        InputError: all lines have too many cells, and they tell labels.
    """
    found = list(found)
    problems = {where(document, number): problem for number, problem in document.misfits.items()}
    if problems and all(row.where in problems for row in found) and any(row.labels.stated for row in found):
        raise config.InputError(f"{found[0].where}: {problems[found[0].where]}")
    return [
        Row(
            where=row.where,
            files=row.files,
            or_namesake=row.or_namesake,
            catalogue_numbers=row.catalogue_numbers,
            problem=problems[row.where],
        )
        if row.where in problems
        else row
        for row in found
    ]


def without_label(row: Row) -> Row:
    """The row without what it says of species."""
    return dataclasses.replace(row, labels=NOT_STATED)


def unsure(row: Row) -> Row:
    """The row with something that has no name in place of what it says of species."""
    return dataclasses.replace(row, labels=label_cells.Labels()) if row.labels.stated else row
