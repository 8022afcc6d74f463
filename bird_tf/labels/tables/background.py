"""What the background species of a row are among the species of its set."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Collection, Iterable, Sequence

from bird_tf.labels import class_names, label_cells, odd_names, texts
from bird_tf.labels.tables import rows

# what may divide background species, besides what `label_cells.background` knows
_BETWEEN = (re.compile(r"[,&+/:•·]|\s(?:and|und|u\.|et|y|e|en|och|og)\s"), re.compile("-"))
_TWO_NAMES = re.compile(r"([^()]+?)\s*\(([^()]+)\)")
_LIKE_LATIN = re.compile(r"[A-Z][\w.-]* [a-zë-]")  # also Parus m. and Parus cf. major


class Names:
    """The names of species that the rows of a set tell, which its background species are compared with."""

    def __init__(self, found: Iterable[rows.Row], classes: Collection[str] = ()) -> None:
        """Reads the names of all rows, and those of classes that no row tells."""
        found = [row for row in found if row.labels.species]
        self._latin_of = rows.latin_names(found)
        self._labels = rows.species_of(found).union(map(class_names.key, classes))
        labels_of: dict[str, set[str]] = {}
        for common, label in {(r.common, r.labels.species[0]) for r in found if len(r.labels.species) == 1}:
            labels_of.setdefault(class_names.key(common), set()).add(label)
        self._label_of = {common: labels.pop() for common, labels in labels_of.items() if common and len(labels) == 1}
        commons = {row.common for row in found} - {""}
        self._known = self._labels.union(map(class_names.key, commons), (class_names.key(r.about.name) for r in found))
        self._kinds = {_kind(name) for row in found for name in (*row.labels.species, row.about.name) if name}
        self._kinds |= set(map(_kind, (*commons, *classes)))
        self._words = {" ".join(_words(name)) for name in self._known} - {""}
        self._parts = {part for name in self._words for part in _runs(name.split())}
        self._understood = functools.cache(self._understand)

    def of_background(self, row: rows.Row) -> tuple[rows.Row, list[str]]:
        """The row with its background species called as other rows call them by a common name, or by both names.

        Returns:
            The row; and its background species that are not understood: of a kind that no species of the set is named
            by, such as common names beside Latin ones; in doubt; or with a name of the set and more, or a part of one.
            They could be any of these, so the background is not known.
        """
        listed = row.about.background
        if not listed or not self._labels:
            return row, []
        found = [understood for name in listed for understood in self._understood(name)]
        called = tuple(dict.fromkeys(name for name, _ in found))
        foreign = [name for name, is_understood in found if not is_understood]
        if called == listed and not foreign:
            return row, []
        known = row.about.background_known and not foreign
        about = dataclasses.replace(row.about, background=called, background_known=known)
        return dataclasses.replace(row, about=about, background=called if row.background else ()), foreign

    def _understand(self, name: str) -> list[tuple[str, bool]]:
        """The species that a background species is, or is divided into, and whether each is understood."""
        if self._is_known(name):
            return [(self._called(name), True)]
        for between in _BETWEEN:
            parts = [texts.clean(part) for part in between.split(name)]
            if len(parts) > 1 and all(self._is_known(self._called(part)) for part in parts):
                return [found for part in parts for found in self._understand(part)]
        if odd_names.is_unsure(name) or "/" in name:
            return [(name, False)]
        called = self._called(name)
        return [(called, self._is_known(called) or (_kind(called) in self._kinds and not self._is_near(name)))]

    def _is_known(self, name: str) -> bool:
        return class_names.key(name) in self._known

    def _is_near(self, name: str) -> bool:
        """Whether a name holds one of the set, or is a part of one: `2x Turdus merula`, `Turdus sp.`, `Blackbird`."""
        words = _words(name)
        return " ".join(words) in self._parts or not self._words.isdisjoint(_runs(words))

    def _called(self, name: str) -> str:
        """The name of a background species: a label, or the Latin name or the label of its common name."""
        if class_names.key(name) in self._labels:
            return name
        both = _TWO_NAMES.fullmatch(name)
        parts = (name, *reversed(both.groups())) if both else (name,)
        if latin := next(filter(label_cells.is_latin, parts[1:]), ""):
            return latin
        keys = [class_names.key(part) for part in parts]
        return next((of[key] for key in keys for of in (self._latin_of, self._label_of) if key in of), name)


def _kind(name: str) -> str:
    """Whether a name is a Latin one, also with the common name behind it, a code, or neither."""
    if _LIKE_LATIN.match(name.replace("_", " ")):
        return "Latin"
    return "code" if label_cells.is_code(name) else ""


def _words(name: str) -> list[str]:
    """The words of a name; of `Turdus sp.` the genus."""
    return [word for word in texts.without_signs(name).split() if word not in ("sp", "spp")]


def _runs(words: Sequence[str]) -> Iterable[str]:
    """All that stands together in a name."""
    size = len(words)
    return (" ".join(words[first:last]) for first in range(size) for last in range(first + 1, size + 1))
