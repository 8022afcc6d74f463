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
_SHORTENED = re.compile(r"\.|-(?!\w)")  # R. ignicapilla, Garten-/Waldbaumläufer
_SIGNS = re.compile(r"(?<!\d)[-\s'’ʻ]|[-\s'’ʻ](?!\d)")  # that names are written with and without; not 1 2 for 12
_LIKE_LATIN = re.compile(r"[A-Z][\w.-]* [a-zë-]")  # also Parus m. and Parus cf. major


class Names:
    """The names of species that the rows of a set tell, which its background species are compared with."""

    def __init__(self, found: Iterable[rows.Row], classes: Collection[str] = ()) -> None:
        """Reads the names of all rows, and those of classes that no row tells."""
        found = [row for row in found if row.labels.species]
        self._latin_of = rows.latin_names(found)
        self._labels = rows.species_of(found).union(map(class_names.key, classes))
        labels = {name for row in found for name in row.labels.species}.union(classes)
        halves = {(part, label) for label in labels for part in _of_birdnet(label)}
        commons = {(r.common, r.labels.species[0]) for r in found if r.common and len(r.labels.species) == 1}
        self._label_of = _unique((class_names.key(name), label) for name, label in halves | commons)
        told = {name for row in found for name in (row.common, row.about.name) if name}
        names = labels | told | {part for part, _ in halves if class_names.key(part) in self._label_of}
        self._known = {*map(class_names.key, names)}
        self._kinds = {*map(_kind, labels | told)}
        of_key = {class_names.key(name): name for name in sorted(names)}
        self._spelling = _unique((_without_signs(name), name) for name in of_key.values())
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
            known = [part for part in parts if self._is_known(self._called(part))]
            if len(parts) > 1 and known and (known == parts or ("/" not in name and self._are_known(parts))):
                return [found for part in parts for found in self._understand(part)]
        if odd_names.is_unsure(name) or ("/" in name and not self._is_pair_of_others(name)):
            return [(name, False)]
        called = self._called(name)
        return [(called, self._is_known(called) or self._is_other(name))]

    def _are_known(self, parts: Iterable[str]) -> bool:
        """Whether all parts are species of the set, or Latin names of others."""
        return all(
            self._is_known(self._called(part))
            or (label_cells.is_latin(part) and not odd_names.is_unsure(part) and self._is_other(part))
            for part in parts
        )

    def _is_pair_of_others(self, name: str) -> bool:
        """Whether a name as `Greater/Lesser Scaup` leaves open which species it is, but that it is none of the set."""
        parts = [texts.clean(part) for part in name.split("/")]
        is_full = not _SHORTENED.search(name) and any(" " in part for part in parts)
        return is_full and not any(map(self._is_near, parts))

    def _is_known(self, name: str) -> bool:
        return class_names.key(name) in self._known

    def _is_other(self, name: str) -> bool:
        """Whether a name that is not known is that of another species than those of the set, by its kind and words."""
        return _kind(self._called(name)) in self._kinds and not self._is_near(name)

    def _is_near(self, name: str) -> bool:
        """Whether a name holds one of the set, or is a part of one: `2x Turdus merula`, `Turdus sp.`, `Blackbird`."""
        words = _words(name)
        return " ".join(words) in self._parts or not self._words.isdisjoint(_runs(words))

    def _called(self, name: str) -> str:
        """The name of a background species: a label, or the Latin name or the label of its common name."""
        name = self._spelled(name)
        if class_names.key(name) in self._labels:
            return name
        both = _of_birdnet(name) or (tuple(reversed(found.groups())) if (found := _TWO_NAMES.fullmatch(name)) else ())
        parts = [name, *map(self._spelled, both)]
        if _of_birdnet(name) and not any(map(self._is_known, parts[1:])):  # --synonyms or a model may know it so
            return name
        called = next(filter(label_cells.is_latin, parts[1:]), "")
        if not called:
            keys = [class_names.key(part) for part in parts]
            called = next((of[key] for key in keys for of in (self._latin_of, self._label_of) if key in of), name)
        if class_names.key(called) in self._labels:
            return called
        return self._label_of.get(class_names.key(called), called)

    def _spelled(self, name: str) -> str:
        """A name as the set writes it, if that differs in hyphens, blanks and apostrophes alone."""
        return name if self._is_known(name) else self._spelling.get(_without_signs(name), name)


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """{first: second} of pairs, where there is just one second."""
    found: dict[str, set[str]] = {}
    for first, second in pairs:
        found.setdefault(first, set()).add(second)
    return {first: seconds.pop() for first, seconds in found.items() if len(seconds) == 1}


def _of_birdnet(name: str) -> tuple[str, ...]:
    """The Latin and the common name in a name as `Parus major_Great Tit` or `Parus major, Great Tit`."""
    return class_names.latin_and_common(name, "_") or class_names.latin_and_common(name)


def _without_signs(name: str) -> str:
    return _SIGNS.sub("", class_names.key(name))


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
