"""What a cell says of the label in its row: yes, no, doubt, or nothing. It may be a word, a count or a sign."""

from __future__ import annotations

import enum
import re
from collections.abc import Collection

from bird_tf.labels import label_cells

_YES = frozenset((
    "1", "1.0", "true", "t", "yes", "y", "present", "detected", "correct", "right", "valid", "confirmed",
    "accepted", "approved", "verified", "certain", "sure", "ok", "tp", "true positive", "positive", "pos", "+", "✓",
    "✔", "☑", "ja", "j", "richtig", "wahr", "oui", "vrai", "si", "sí", "verdadero", "sim", "verdadeiro", "sì",
    "vero", "waar",
))  # fmt: skip
_ZERO = {"0", "0.0"}
_FALSE = frozenset((*_ZERO, "false", "f", "no", "n", "nein", "falsch", "non", "faux", "falso", "não", "nee", "onwaar"))
_NO = _FALSE | frozenset((
    "absent", "not present", "not detected", "incorrect", "not correct", "wrong", "invalid", "not valid", "rejected",
    "fp", "false positive", "negative", "neg", "✗", "✘", "☒",
))  # fmt: skip
_UNSURE = frozenset((
    "maybe", "unsure", "not sure", "uncertain", "unclear", "unknown", "possible", "possibly", "probable", "probably",
    "doubtful", "perhaps", "?", "??", "-", "–", "−", "☐",
))  # fmt: skip
# nobody has answered yet
_PENDING = frozenset((
    "pending", "todo", "to do", "unreviewed", "not reviewed", "unchecked", "not checked", "unvalidated",
    "not validated", "unverified", "not verified", "unconfirmed", "not confirmed",
))  # fmt: skip
# in columns of such names a person reviews labels: what has no answer there was not reviewed; those of the second kind
# hold no counts, and may be false everywhere because nobody has begun
OF_STATES = {"validated", "verified", "verification", "confirmed"}
OF_REVIEWS = {"correct", "valid"} | OF_STATES
# in columns of such names any words say that the species is there, as `a few`, unless they begin with one of these
_OF_COUNTS, _NO_COUNTS = {"count", "individualcount", "abundance"}, {"", "0", "no", "not", "none", "nil", "zero"}
# in columns of such names P is present and A absent
_OF_LETTERS, _LETTERS = {"present", "presence", "p"}, ("p", "a")
# a cross; in columns of such names it is there, as eBird's X among counts: there, but not counted
OF_CROSSES, _CROSSES = _OF_COUNTS | _OF_LETTERS | {"detected"}, ("x", "×")
_COUNT = re.compile(r"(?:[<>~≈]|ca?\.?)?\s*[-+]?(\d+(?:[.,]\d+)?)(.*)", re.ASCII | re.DOTALL)


class Said(enum.Enum):
    """What a cell says. A cross and words that are no answer may be the yes of a column, or mean something else."""

    NOT_TOLD = "not told"
    NOT_YET = "not yet"
    HOLDS = "yes"
    DENIED = "no"
    UNSURE = "unsure"
    CROSS = "cross"
    NONE = "no answer"


def word_of(cell: str) -> str:
    """A cell without signs that change nothing."""
    word = cell.casefold().rstrip(".!")
    return (word[1:-1] if word[:1] == "(" and word[-1:] == ")" else word).strip()


def of(cell: str, kinds: Collection[str]) -> Said:
    """What a cell says in a column whose name has the words `kinds`."""
    word = word_of(cell)
    if label_cells.is_missing(word):
        return Said.NOT_TOLD
    if word in _PENDING:
        return Said.NOT_YET
    if word in _YES or word in _NO:
        return Said.HOLDS if word in _YES else Said.DENIED
    if word in _LETTERS and not _OF_LETTERS.isdisjoint(kinds):
        return Said.HOLDS if word == _LETTERS[0] else Said.DENIED
    if word in _CROSSES:
        return Said.CROSS
    count = _COUNT.fullmatch(word)
    if count and not OF_STATES.isdisjoint(kinds) and count[1].isdecimal() and int(count[1]) > 1:
        return Said.NONE
    if count and "?" not in word and (count[1].strip("0.,") or not count[2].strip()):
        return Said.HOLDS if count[1].strip("0.,") else Said.DENIED
    is_how_many = not _OF_COUNTS.isdisjoint(kinds) and "?" not in word
    if is_how_many and re.split(r"\W", word)[0] not in _NO_COUNTS | _UNSURE:
        return Said.HOLDS
    return Said.UNSURE if word in _UNSURE or is_how_many else Said.NONE


def are_counts(told: Collection[str]) -> bool:
    """Whether the words of a column are whole numbers, and 0 is one of several."""
    told = {word.removesuffix(".0") for word in told if not label_cells.is_missing(word)}
    return len(told) > 1 and "0" in told and all(map(str.isdecimal, told))


def may_deny(told: Collection[str]) -> bool:
    """Whether the words of a column have a no that is written out, or are yes, no and doubt alone.

    Letters may be else, as F in a column of sexes, and numbers too, as those that are all 0.
    """
    told = {word for word in told if not label_cells.is_missing(word)}
    denied = told & (_NO | _PENDING)
    if any(len(word) > 1 and not word[0].isdecimal() for word in denied):
        return True
    are_answers = told <= _YES | _NO | _UNSURE | _PENDING | set(_CROSSES)
    return bool(denied) and are_answers and (not denied <= _ZERO or not told.isdisjoint(_YES))


def are_false(told: Collection[str]) -> bool:
    """Whether the words of a column are false, as far as anybody has answered."""
    told = {word for word in told if not label_cells.is_missing(word)}
    return not told.isdisjoint(_FALSE) and told <= _FALSE | _PENDING


def are_yes_or_no(told: Collection[str]) -> bool:
    """Whether the words of a column are yes and no alone."""
    return {*told} <= _YES | _FALSE
