"""What the names of classes say besides a species: doubt, nothing to hear, several, a kind of sound, an author.

Cells are divided in `label_cells`, which knows the names that are no labels.
"""

from __future__ import annotations

import collections
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence

from bird_tf.labels import label_cells, texts

# First words of names that may say in more words that something has no name, or that nothing is to be heard; also in
# German, French, Spanish, Dutch, Italian, Portuguese, Swedish; without accents.
_LIKE_UNKNOWN = frozenset((
    "unknown", "unk", "unkn", "unid", "unident", "unidentified", "unidentifiable", "undetermined", "indet", "unsure",
    "uncertain", "unlabeled", "unlabelled", "unsorted", "unclassified", "misc", "miscellaneous", "todo", "various",
    "unbekannt", "unbestimmt", "inconnu", "indetermine", "indeterminado", "indeterminada", "desconocido", "desconocida",
    "onbekend", "sconosciuto", "desconhecido", "okand", "ukendt", "ukjent",
))  # fmt: skip
_LIKE_NOTHING = _LIKE_UNKNOWN | {
    "no", "non", "not", "nothing", "none", "nil", "noise", "noises", "empty", "blank", "silence", "silent", "negative",
    "neg", "absent", "absence", "background", "bg", "ambient", "ambience", "other", "others", "fp", "discard",
    "discarded", "trash", "temp", "tmp", "review",
    "kein", "keine", "keiner", "nichts", "leer", "ohne", "hintergrund", "larm", "gerausch", "gerausche", "rauschen",
    "stille", "bruit", "rien", "aucun", "aucune", "vide", "fond", "nada", "ninguno", "ninguna", "vacio", "fondo", "sin",
    "ruido", "silencio", "niets", "geen", "leeg", "ruis", "achtergrond", "stilte", "niente", "nessuno", "nessuna",
    "rumore", "silenzio", "vuoto", "nenhum", "nenhuma", "vazio", "ingen", "inget", "brus", "tystnad",
}  # fmt: skip
_NO_NAME = re.compile(
    r"(?:birds?|aves|passerines?) spp?|false (?:positives?|alarms?)|false|to (?:check|do|review|sort)|pas d .*|"
    r"(?:new|untitled) folder.*|neuer ordner.*|nouveau dossier.*|nueva carpeta.*"
)
_BIRD = frozenset(("bird", "birds", "aves", "vogel", "oiseau", "oiseaux", "pajaro", "ave", "uccello", "fagel"))
# Words of those who were not sure of a species, wherever they stand.
_DOUBTS = frozenset(("cf", "aff", "prob", "probable", "probably", "poss", "possible", "possibly", "maybe", "perhaps"))
_JOINING = re.compile(r"[/,;+&×]|\b(?:x|and|und|et|y|or|oder|ou|vs)\b")
_SHORTENED = re.compile(r"^([A-Z])[a-z]?\.? ([a-z-]{3,})$")  # P. major
_OR = frozenset(("or", "oder", "ou", "o", "vs", "vs.", "eller"))  # between two species
# Words of which the names of kinds of sounds consist.
_SOUNDS = frozenset((
    "song", "songs", "subsong", "call", "calls", "calling", "singing", "alarm", "alarms", "begging", "drum", "drums",
    "drumming", "duet", "buzz", "gesang", "ruf", "rufe", "chant", "cri", "canto",
))  # fmt: skip
_KINDS = _SOUNDS | {
    "flight", "contact", "distress", "social", "feeding", "nocturnal", "territorial", "display", "type", "male",
    "female", "chick", "nestling", "fledgling", "juvenile", "immature", "subadult", "adult", "and",
}  # fmt: skip
# what may divide species in a name, besides the signs that `parse` knows
_BETWEEN = re.compile(r"\s*[/&+]\s*|\s+(?:and|und|et|y)\s+")
# a score, a count, or a time of day
_SCORE = re.compile(
    r".*[\w)\]][\s:_(=,]+(?:\d+(?:[.,]\d+)?\s*%|[01]?[.,]\d+|[x×]\s?\d+|\d\d?:\d\d(?::\d\d)?)\)?", re.ASCII
)
_COUNT_BETWEEN = re.compile(r"(.+?)\s*,\s*\d{1,2}(?:\s*,.*)?", re.ASCII)  # Turdus iliacus, 2, call
_COUNT = re.compile(r"^(?:\d+\s*[x×]?\s+)?(.+?)(?:[\s:_(=]+\d+\s*[x×]?\)?)?$", re.ASCII)
_COUNT_BEFORE = re.compile(r"(\d{1,2})\s*[x×]?\s+(.+)", re.ASCII)
# dates, times of the clock, and truth values, as swapped or shifted columns hold
_VALUE = re.compile(
    r"(?:\d{4}[-./]\d\d?[-./]\d\d?|\d\d?[-./]\d\d?[-./](?:\d\d){1,2})(?:[ T]\d\d?:.*)?|"
    r"\d\d?:\d\d(?::\d\d)?(?:[.,]\d+)?|true|false|wahr|falsch|vrai|faux",
    re.ASCII | re.IGNORECASE,
)
_FEWEST_LETTERS = 4
_FREQUENT = 3  # times, so that a name that stands once may be a slip of it
_LOST = re.compile(r"[^\W\d_]\?+[^\W\d_]")
# who described a species: L., Linnaeus, (Linnaeus, 1758), Gmelin & Latham 1790
_AUTHOR = re.compile(r"\(?(?:[A-Z][^\d()]*,? (?:1[789]|20)\d\d|L\.|[A-Z][a-zà-ÿ]+\.?)\)?")


def is_unsure(name: str) -> bool:
    """Whether a name says that it is in doubt, or that nobody could name the species."""
    plain = _plain(name)
    return not plain or plain.partition(" ")[0] in _LIKE_UNKNOWN or _is_in_doubt(name)


def _is_in_doubt(name: str) -> bool:
    """Whether a name has a question mark, words of doubt, or those of two species."""
    words = texts.comparable(name).replace("_", " ").split()
    return "?" in name or not (_DOUBTS.isdisjoint(_plain(name).split()) and _OR.isdisjoint(words[1:-1]))


def several(name: str) -> list[str]:
    """The parts of a name that may be several species; empty if it is one.

    They have equally many words, and none is a kind of sound. Such names are `AMRO/EATO` and `Great Tit and Blue Tit`,
    but not `Greater/Lesser Scaup` and `Parus major/minor`.
    """
    parts = _BETWEEN.split(name)
    are_alike = len({len(part.split()) for part in parts}) == 1
    is_one = len(parts) < 2 or not are_alike or not all(_words(part) and not is_kind(part) for part in parts)
    return [] if is_one else parts


def _plain(name: str) -> str:
    """The words of a name without signs and accents, in small letters."""
    letters = unicodedata.normalize("NFD", texts.comparable(name))
    return texts.without_signs("".join(sign for sign in letters if not unicodedata.combining(sign)))


def doubtful(names: Collection[str]) -> list[str]:
    """The names of classes that may say that nothing is to be heard, or something without a name.

    Such are `no birds detected`, `noise (wind)`, `Unknown bird`, `AMRO?`, `Parus cf. major` and `Amsel oder Star`, 0
    without other numbers than 1, and `bird` beside Latin names.
    """
    plain = {name: _plain(name) for name in names}
    has_numbers = any(text.isdecimal() and text not in ("0", "1") for text in plain.values())
    has_latin = any(label_cells.is_latin(name) for name in names)
    return sorted(
        name
        for name, text in plain.items()
        if text.partition(" ")[0] in _LIKE_NOTHING
        or _is_in_doubt(name)
        or _NO_NAME.fullmatch(text)
        or (text == "0" and not has_numbers)
        or (text in _BIRD and has_latin)
    )


def composed(names: Collection[str]) -> list[str]:
    """The names of classes that may be several species.

    Such are `AMRO/EATO` and others as of `several`; `AMRO EATO`, if these are classes; `Crow,Bird,Animal`, if a part
    is a class or stands in another such name; and `Great Tit, Song Thrush`, if the second part is a class. Kinds of
    sounds are none: `song and call`; nor are `Tit,Great` and `Tit,Blue`, which share but the first of two parts.
    """
    known = {*map(label_cells.letters, names)} - {""}
    listed = {name: _listed(name) for name in names}
    num_with = collections.Counter(part for parts in listed.values() for part in parts)
    num_first = collections.Counter(parts[0] for parts in listed.values() if len(parts) == 2)
    in_two = _in_two(names, known)

    def are_classes(parts: Sequence[str]) -> bool:
        keys = {*map(label_cells.letters, parts)}
        return len(keys) > 1 and keys <= known  # Pica pica is one, beside a class Pica

    def are_several(parts: Sequence[str]) -> bool:  # some may be no class of their own
        others = [part for part in parts if label_cells.letters(part) not in known]
        return len(others) < len(parts) > 1 and all(map(_is_sure_name, others))

    return sorted(
        name
        for name in names
        if not _KINDS.issuperset(_words(name) or (name,))
        and (
            any(len(part) > 1 for part in several(name))  # not S/N
            or are_several(_BETWEEN.split(name))
            or any(are_classes(name.split(sign)) for sign in (" ", "_"))
            or any(part in known or num_with[part] > max(1, num_first[part]) for part in listed[name])
            or name in in_two
        )
    )


def counted(names: Collection[str]) -> list[str]:
    """The names of classes that are another class and a number, as `2 AMRO`, or have a score or a count: `EATO (87%)`.

    So are those with a time: `AMRO 21:05`. A code in capitals or a Latin name is no class of its own if several numbers
    stand before it. Kinds of sounds are none: `type 0.5`.
    """
    known = {*map(label_cells.letters, names)} - {""}
    counts: dict[str, set[str]] = collections.defaultdict(set)
    for number, bare in (found.groups() for found in map(_COUNT_BEFORE.fullmatch, names) if found):
        counts[bare].add(number)
    known |= {label_cells.letters(n) for n in counts if len(counts[n]) > 1 and _is_sure_name(n)}

    def is_counted(name: str) -> bool:
        bare = _COUNT.sub(r"\1", name)
        between = _COUNT_BETWEEN.fullmatch(name)
        return (bare != name and label_cells.letters(bare) in known) or bool(between and _is_sure_name(between[1]))

    return sorted(
        name
        for name in names
        if not _KINDS.issuperset(_words(name) or (name,)) and (is_counted(name) or _SCORE.fullmatch(name))
    )


def values(names: Collection[str]) -> list[str]:
    """The names that are dates, times, or truth values, if most names are others with letters."""
    found = [name for name in names if _VALUE.fullmatch(name)]
    words = [name for name in names if _words(name) and name not in found]
    return sorted(found) if 2 * len(words) > len(names) else []


def misspelt(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """Pairs of a Latin name that stands once, and a frequent one of a letter more or less, or of two swapped letters.

    Of the 6522 species that BirdNET knows, Spinus pinus and Spinus spinus alone differ so.

    Args:
        counts: {name of a class: how often it stands there}.
    """
    latin = [name for name in sorted(counts) if label_cells.is_latin(name) and _is_long(name)]
    frequent = {name for name in latin if counts[name] >= _FREQUENT}
    near = {form: name for name in sorted(frequent) for form in _slips(name)}
    found = []
    for name in (name for name in latin if counts[name] == 1):
        if other := near.get(name) or next((form for form in _slips(name) if form in frequent), ""):
            found.append((name, other))
    return found


def _is_long(name: str) -> bool:
    """Whether all words of a name have some letters: those of `Phrase ab` and `Phrase ba` are no slips."""
    return "." not in name and all(len(word) >= _FEWEST_LETTERS for word in name.split())


def _slips(name: str) -> list[str]:
    """The forms of a name without one of its letters, or with two letters in the wrong order."""
    without = [name[:i] + name[i + 1 :] for i in range(len(name))]
    swapped = [name[:i] + name[i + 1] + name[i] + name[i + 2 :] for i in range(len(name) - 1)]
    return without + swapped


def with_lost_letters(names: Collection[str]) -> list[str]:
    """The names with a ? inside a word, where an encoding lost a letter: `Gr?nfink`."""
    return sorted(filter(_LOST.search, names))


def _listed(name: str) -> list[str]:
    """The parts of a name that commas divide as in a list: without blanks, or three and more; not `Warbler, Yellow`."""
    parts = name.split(",")
    if len(parts) == 2 and ", " in name:
        return []
    found = list(dict.fromkeys(label_cells.letters(part) for part in parts if _words(part) and not is_kind(part)))
    return found if len(found) > 1 else []


def _in_two(names: Collection[str], known: Collection[str]) -> set[str]:
    """The names of two parts with a comma and a blank, of which the second is known.

    The first one alone may be a group, as in `Owl, Barn` beside `Owl`. Latin names with common ones, and those with a
    kind of sound, as `Great Tit, type A`, are no such names.
    """

    def is_other(part: str) -> bool:
        return label_cells.is_latin(part) or all(len(word) == 1 or word in _KINDS for word in _words(part))

    pairs = {name: parts for name in names if len(parts := name.split(", ")) == 2 and not any(map(is_other, parts))}
    return {name for name, (_, second) in pairs.items() if label_cells.letters(second) in known}


def _is_sure_name(name: str) -> bool:
    """Whether a name is a Latin one or a code in capitals."""
    return label_cells.is_latin(name) or (label_cells.is_code(name) and name.isupper())


def related(names: Collection[str]) -> list[tuple[str, str]]:
    """Pairs of classes that may be one species, the second one a Latin name or a genus.

    Such are `Motacilla alba yarrellii`, `M. alba` and `Motacilla alba (juv)` beside `Motacilla alba`, and `Motacilla
    sp.` beside `Motacilla spp.`
    """
    known = {_plain(name): name for name in sorted(names)}
    short = {f"{name[0]} {name.split(' ', 1)[1]}": name for name in sorted(names) if label_cells.is_latin(name)}
    found = []
    for name in sorted(names):
        genus, *rest = name.replace("_", " ").split() or [""]
        more = " ".join(rest[1:])
        if rest and label_cells.is_latin(f"{genus} {rest[0]}"):
            if rest[0].rstrip(".") in ("sp", "spp"):
                of_genus = [genus, f"{genus} sp"]
                other = next((known[form] for form in map(_plain, of_genus) if form in known), name)
            else:
                other = known.get(_plain(f"{genus} {rest[0]}"), name) if not _JOINING.search(more) else name
        else:
            other = short.get(_SHORTENED.sub(r"\1 \2", name), name)
        if other != name and without_author(name) == name:
            found.append((name, other))
    return found


def is_sound(name: str) -> bool:
    """Whether a name is that of a kind of sound, as song or alarm call, and of no species."""
    words = _words(name)
    return _KINDS.issuperset(words) and not _SOUNDS.isdisjoint(words)


def is_kind(name: str) -> bool:
    """Whether a name is that of a kind of sound, or of who makes it, as song or juvenile male, and of no species."""
    return bool(words := _words(name)) and _KINDS.issuperset(words)


def is_bird(name: str) -> bool:
    """Whether a name is the word for birds."""
    return _plain(name) in _BIRD


def _words(name: str) -> list[str]:
    """The words of a name without numbers, in small letters."""
    return [word for word in re.split(r"[\W_\d]+", texts.comparable(name)) if word]


def without_author(name: str) -> str:
    """A Latin name without who described the species, as in Parus major Linnaeus, 1758; any other name as it is."""
    for words in (2, 3):  # of a species, or a subspecies
        *latin, author = name.split(" ", words)
        if (
            len(latin) == words
            and label_cells.is_latin(found := " ".join(latin).rstrip(","))
            and _AUTHOR.fullmatch(author)
        ):
            return name if label_cells.letters(author) in _KINDS else found
    return name
