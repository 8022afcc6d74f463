"""What a label cell or the name of a folder says: one species, several, none of them, or that it is unknown."""

from __future__ import annotations

import dataclasses
import functools
import html
import math
import re
from collections.abc import Collection, Iterable, Sequence

from bird_tf import free_text
from bird_tf.labels import texts

# Names that say that none of the species is to be heard, without blanks and signs.
_NEGATIVE = frozenset((
    "noise", "background", "backgroundnoise", "none", "nocall", "nocalls", "other", "others", "nonevent", "silence",
    "nobird", "nobirds", "negative", "nothing",
))  # fmt: skip
# An annotator heard something and could not name it. Xeno-canto calls such recordings Mystery mystery (in English,
# Identity unknown), and those of a whole soundscape Sonus naturalis.
_UNKNOWN = frozenset((
    "unknown", "unk", "unid", "unidentified", "noid", "mysterymystery", "identityunknown", "sonusnaturalis",
))  # fmt: skip
_NO_SPECIES = _NEGATIVE | _UNKNOWN | {""}
_NOT_STATED = frozenset(("n.a.", "n. a.", "n.d.", "n. d.", "k.a.", "k. a.", "keine angabe"))  # unknown, too
# what Excel and LibreOffice write where a formula fails, in many languages: #N/A, #NV, #REF!, #DIV/0!, #¿NOMBRE?
_FAILED = re.compile(r"#(?:\w/\w{1,4}|NV|[¡¿]?[^\W\d_a-z]+(?:/0)?[!?])|Err:\d{3}")
_MISSING = frozenset(("", "nan", "n/a", "na", "null", "<na>"))  # as pandas, R and databases write empty cells
_LONGEST = 200  # characters of a name
_LATIN = re.compile(r"[A-Z][a-zë-]+ (?:spp?\.|[a-zë-]{2,}(?: [a-zë-]{2,})?)")
EBIRD_CODE = re.compile("([a-z]{4,6})[0-9]{1,2}")  # as gretit1
RINGERS_CODE = re.compile("[A-Z]{4}|[A-Z]{6}")  # as AMRO
# codes as amerob, AMRO (ringers) or PIPPIP (bats); AMRO, SONG is one class
_CODE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*|(?!SONG|CALL|DRUM|DUET|FLIGHT|SOCIAL)(?:[A-Z]{4}|[A-Z]{6})")
# a whole number as pandas writes it, if another cell of its column is empty
_WHOLE = re.compile(r"(-?\d+)\.0+", re.ASCII)
_DECIMAL = re.compile(r"\d*[.,]\d+|\d+(?:[.,]\d+)?\s*%", re.ASCII)  # or a percentage
_BELOW_ZERO = re.compile(r"-\d+", re.ASCII)
_COMMAS = re.compile("[,，、،]")  # also of other scripts
# lists of JSON and Python; sets of Python and arrays of Postgres; tuples of Python and vectors of R, which have quotes
_LIST = re.compile(r"""\[|\{|c?\((?= ?['"])""")
_CLOSING = {"[": "]", "{": "}", "(": ")"}
_ENTITY = re.compile(r"&(?:#\d+|#x[\da-f]+|[a-z]+\d*);", re.IGNORECASE | re.ASCII)  # of HTML: Gr&uuml;nfink
_RANK = re.compile("[A-Z][a-z]+")
# a kingdom, a phylum, a class or an order, with which the ranks of a species begin
_HIGH_RANK = re.compile(
    "Animalia|Chordata|Arthropoda|Vertebrata|Aves|Mammalia|Amphibia|Reptilia|Insecta|Anura|Caudata|Squamata|Rodentia|"
    "Primates|Carnivora|Cetacea|Soricomorpha|Eulipotyphla|Lagomorpha|[A-Z][a-z]+(?:formes|ptera|dactyla)"
)
_QUOTED = re.compile(r"""\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([^'"\[\](){},;|]*))\s*([,;|]|$)""")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """What a cell says.

    Attributes:
        species: the species, each once.
        negative: whether it says that none of the species is to be heard. Without species and not negative, something
            is to be heard that has no name.
        has_unnamed: whether something without a name is to be heard beside the species, as in `AMRO;?`.
        absent: names behind a `-`, which are not to be heard.
        missing: whether the cell is empty.
        stated: False if there is no such cell.
        scores: numbers in it that are the confidence of its names, and tell nothing of what is to be heard.
        is_pair: whether it is two species with a comma and a blank between them, which may be two parts of one name.
    """

    species: tuple[str, ...] = ()
    negative: bool = False
    has_unnamed: bool = False
    absent: tuple[str, ...] = ()
    missing: bool = False
    stated: bool = True
    scores: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    is_pair: bool = dataclasses.field(default=False, compare=False)


def is_missing(cell: str) -> bool:
    """Whether a cell, cleaned, is empty."""
    return cell.casefold() in _MISSING


def parse(cell: str, negative_labels: Collection[str] = ()) -> Labels:
    """Reads a label cell.

    Several species are divided by `;` or `|`, or are a list `["a", "b"]`, `{a,b}` or `c("a", "b")`, or are Latin names
    divided by commas, `&` or `+`, or codes divided by commas. A species behind a `-` is negative. 22961.0 is 22961, and
    `Aves;Passeriformes;Paridae;Parus major` is Parus major. A score beside a name, as in `AMRO;0.97`, is no species.

    Args:
        cell: its text.
        negative_labels: further names for negatives.

    Raises:
        ValueError: a list that cannot be read, the error of a spreadsheet, or a name of more than 200 characters.
    """
    return _parse(cell, tuple(negative_labels))


@functools.lru_cache(maxsize=4096)  # a table names few species many times
def _parse(cell: str, negative_labels: tuple[str, ...]) -> Labels:
    cell = texts.clean(_with_signs(cell))
    if is_missing(cell):
        return Labels(missing=True)
    names = divided(cell)
    scores = _scores(names)
    labels = _named([name for name in names if name not in scores], negative_labels)
    is_pair = len(labels.species) == 2 and cell == ", ".join(labels.species)
    return dataclasses.replace(labels, scores=tuple(scores), is_pair=is_pair)


def _scores(names: Sequence[str]) -> list[str]:
    """The names that are shares or percentages, if there are others: `song;0.97`, but not `0.5;0.7` and `AMRO;1.5`."""
    numbers = [name for name in names if _DECIMAL.fullmatch(name.strip())]
    has_others = any(name.strip() for name in names if name not in numbers)
    return numbers if has_others and not any(math.isnan(free_text.confidence(name)) for name in numbers) else []


def named(names: Iterable[str], negative_labels: Collection[str] = ()) -> Labels:
    """What names say that stand alone, as class ids and the heads of columns do. None may name several species.

    Args:
        names: the names; empty ones say nothing.
        negative_labels: further names for negatives.

    Raises:
        ValueError: a name that a label cell divides into several, or one of more than 200 characters.
    """
    names = [name for name in map(texts.clean, map(_with_signs, names)) if not is_missing(name)]
    if several := next((name for name in names if not is_one(name)), ""):
        raise ValueError(f"{several[:_LONGEST]!r}, which a table would not hold as one name; rename the class")
    return _named(names, tuple(negative_labels)) if names else Labels(missing=True)


def is_one(name: str) -> bool:
    """Whether a label cell with this name alone holds this one name, in every format of tables."""
    try:
        return divided(name) == [name] and not name.startswith('"')
    except ValueError:
        return False


def _named(names: Iterable[str], negative_labels: tuple[str, ...]) -> Labels:
    further = {_with_minus(clean(name)) for name in negative_labels}
    parts = [clean(name) for name in names]
    species, absent, negative = [], [], not any(parts)  # an empty list
    for part in filter(None, parts):
        if len(part) > _LONGEST:
            raise ValueError(f"a name of {len(part)} characters")
        if _FAILED.fullmatch(part):
            raise ValueError(f"{part!r}, which a spreadsheet writes where a formula fails; write the species, or ?")
        plain = letters(part)
        if plain in _NEGATIVE or _with_minus(part) in further:
            negative = True
        elif part.startswith("-") and plain:
            absent.append(part[1:].strip())
        elif not _has_no_name(part):
            species.append(part)
    return Labels(
        species=tuple(dict.fromkeys(species)),
        negative=(negative or bool(absent)) and not species,
        has_unnamed=bool(species) and _has_unnamed(parts),
        absent=tuple(dict.fromkeys(absent)),
    )


def _with_minus(name: str) -> str:
    """The letters of a name, or a number with its minus."""
    return name if _BELOW_ZERO.fullmatch(name) else letters(name)


def _has_no_name(part: str) -> bool:
    return (plain := letters(part)) in _UNKNOWN or not plain or part.casefold() in _NOT_STATED


def _has_unnamed(parts: Iterable[str]) -> bool:
    """Whether a part of a list says that something has no name. A `-` there says nothing."""
    return any(_has_no_name(part) for part in parts if part not in ("", "-"))


def clean(name: str) -> str:
    """A name as labels have it: without needless blanks, and 22961 for 22961.0."""
    name = texts.clean(_with_signs(name))
    return whole[1] if (whole := _WHOLE.fullmatch(name)) else name


def _with_signs(text: str) -> str:
    """A text with signs for the entities of HTML."""
    return _ENTITY.sub(lambda found: html.unescape(found[0]), text)


def background(cell: str) -> tuple[tuple[str, ...], bool]:
    """The species of a background cell, and whether they are known.

    Names are divided by commas, `;` or `|`, or are a list as in Kaggle's tables. `none`, `-` and `[]` mean that there
    are no background species. An empty cell, `?` and `unknown`, also beside species, and a list that cannot be read
    mean that it is unknown.
    """
    cell = texts.clean(_with_signs(cell))
    if cell == "-":
        return (), True
    cell = cell if _start_of_list(cell) else _COMMAS.sub(";", cell)
    try:
        found, parts = parse(cell), divided(cell)
    except ValueError:
        return (), False
    return found.species, not _has_unnamed(map(clean, parts)) and (bool(found.species) or found.negative)


def is_unnamed(name: str) -> bool:
    """Whether a name says that something has no name, as `unknown`."""
    return _has_no_name(clean(name))


def is_latin(name: str) -> bool:
    """Whether a name looks like a Latin one, as Parus major, Motacilla alba yarrellii or Turdus sp."""
    return bool(_LATIN.fullmatch(name))


def is_code(name: str) -> bool:
    """Whether a name looks like the code of a species, as amerob, AMRO or PIPPIP."""
    return bool(_CODE.fullmatch(name))


def divided(cell: str) -> list[str]:
    """The names in a cell, as they stand there.

    Raises:
        ValueError: a list that cannot be read.
    """
    if start := _start_of_list(cell):
        return _listed(cell, start)
    parts = re.split(r"[;|]", cell)
    if len(parts) > 1:
        return parts[-1:] if _are_ranks([part.strip() for part in parts]) else parts
    parts = [part.strip() for part in re.split(r"[,&+]", cell)]
    named = [part.removeprefix("-") for part in parts if letters(part) not in _NO_SPECIES]
    if named and (all(map(is_latin, named)) or (not re.search("[&+]", cell) and all(map(_CODE.fullmatch, named)))):
        return parts
    return [cell]


def _are_ranks(parts: Sequence[str]) -> bool:
    """Whether parts are a species behind its ranks, from its order or above to its one family or genus."""
    *ranks, species = parts
    return (
        len(ranks) > 1
        and is_latin(species)
        and bool(_HIGH_RANK.fullmatch(ranks[0]))
        and all(map(_RANK.fullmatch, ranks))
        and sum(rank.endswith("idae") for rank in ranks) < 2
        and (ranks[-1] == species.split()[0] or ranks[-1].endswith(("idae", "inae")))
    )


def _start_of_list(cell: str) -> int:
    """Where the elements of a list begin; 0 if a cell is none. Only of [ it is certain that no name begins so."""
    opening = _LIST.match(cell)
    if not opening or (opening[0] != "[" and not (cell.endswith(_CLOSING[opening[0][-1]]) and letters(cell))):
        return 0
    return opening.end()


def _listed(cell: str, start: int) -> list[str]:
    """The elements of a list that begin at `start`. Nothing is evaluated."""
    if not cell.endswith(_CLOSING[cell[start - 1]]):
        raise ValueError("a list without its end")
    inside, place, found, signs = cell[start:-1].strip(), 0, [], {""}
    while place < len(inside):
        part = _QUOTED.match(inside, place)
        if part is None or len(signs | {part[4]}) > 2:  # [Warbler, Yellow; Robin]
            raise ValueError("a list that cannot be read")
        signs.add(part[4])
        found.append(next(text for text in part.groups()[:3] if text is not None))
        place = part.end()
    return [re.sub(r"\\(.)", r"\1", text) for text in found]


def letters(name: str) -> str:
    """A name without blanks and signs, in small letters."""
    return re.sub(r"[\W_]", "", texts.comparable(name))
