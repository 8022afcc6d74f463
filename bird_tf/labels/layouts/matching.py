"""Finds the recording that a table, or the name of a metadata file, means.

Names are compared as they are written, then in Unicode's normal form, then without upper and lower case, then without
needless blanks.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import os
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Sequence

from absl import logging

from bird_tf import config, files
from bird_tf.audio import decode
from bird_tf.labels import metadata, recorders, sites, texts

# the recordings that a layout finds, and (file, reason) of recordings and metadata that do not match
Found = tuple[list[metadata.Recording], list[tuple[str, str]]]


def _key(path: str) -> str:
    """What all spellings of a path with `/` have in common."""
    return "/".join(map(texts.clean, texts.comparable(path).split("/")))


# names of recordings with a number of xeno-canto or the Macaulay Library: XC123 - Great Tit, ML123, Parus-major-123
_NUMBERED = re.compile(r"(?<![^\W_])((?i:XC|ML)) ?(\d+)(?![^\W_])|^[A-Z][a-z]+-[a-z]+-(\d+)$", re.ASCII)
_FORMS: Sequence[Callable[[str], str]] = (str, lambda name: unicodedata.normalize("NFC", name), texts.comparable, _key)


def path_of_address(name: str) -> str:
    """The path in an address that is written in codes, as /a b.wav of https://x.org/a%20b.wav?raw=1; else empty."""
    if not re.match(r"[a-z][a-z\d+.-]*://", name, re.IGNORECASE | re.ASCII):
        return ""
    path = urllib.parse.unquote(re.split("[?#]", name.partition("://")[2])[0])
    return path if not name.endswith(path) else ""


class AmbiguousError(config.InputError):
    """A name that several recordings have."""


@dataclasses.dataclass(frozen=True)
class Claim:
    """Where a row or a file says that its recording lies, compared with where the recording does lie.

    Attributes:
        num_shared: how many folders of the recording it names.
        others: the folders and sites it names in which the recording does not lie.
        known: the folders it names in which recordings lie.
        is_path: whether it is the path of the recording.
        is_elsewhere: whether the recording lies outside of one of the known folders.
    """

    num_shared: int
    others: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()
    is_path: bool = False
    is_elsewhere: bool = False


@dataclasses.dataclass(frozen=True)
class _Place:
    """A recording: its path, and its path below the folder of all, with `/`."""

    path: str
    below: str


class Recordings:
    """The recordings of a set, found by what people call them.

    No other file is ever found, whatever a table names.
    """

    def __init__(self, paths: Iterable[str], root: str, tables_root: str = "") -> None:
        """Indexes the recordings.

        Args:
            paths: the recordings.
            root: the folder that holds them.
            tables_root: the folder of tables and metadata files, whose folders may be those of the recordings.
        """
        self.root = root
        self._root, self._tables_root = os.path.abspath(root), os.path.abspath(tables_root or root)
        self.paths = list(paths)
        self._below: dict[str, str] = {}
        self._named: dict[str, list[_Place]] = collections.defaultdict(list)
        self._of_stem: dict[str, list[_Place]] = collections.defaultdict(list)
        self._of_head: dict[str, list[_Place]] = {}
        self._endings: frozenset[str] = frozenset()  # of names of files, behind those of recordings
        self._folders: set[str] = set()  # in which recordings lie, without those that programs make
        for path in self.paths:
            place = _Place(path, files.name_below(root, path))
            self._below[path] = place.below
            self._named[_key(_base(place.below))].append(place)
            self._of_stem[_key(_base(_stem(place.below)))].append(place)
        for folder in {place.rpartition("/")[0] for place in self._below.values()}:
            self._folders |= {_key(part) for part in folder.split("/") if sites.may_be_site(part)}

    def find(self, name: str, table: str = "", site: str = "") -> str | None:
        """Finds the recording that a cell of a table names.

        In this order: its exact path; its path below the folder of recordings; its path from the folder of the table,
        or from the folder of the same name as the table's (first of all for a name without a folder); each of them with
        another suffix or none; the only recording of that name; the only one with another suffix. Of several with that
        name, those in the folder of the site are meant, and of these the one that shares most folders with the cell.

        Args:
            name: path or name, with `/` or a backslash.
            table: the table, for names without a folder.
            site: what the row calls the place of the recording, perhaps a folder; names without one are sought there.

        Returns:
            The path; None without such a recording.

        Raises:
            AmbiguousError: several recordings have this name; the message names two.
        """
        written, cell = (each.replace("\\", "/") for each in (name, name.strip()))
        if not _base(cell):
            return None
        wanted = [path for each in dict.fromkeys((written, cell)) for path in self._candidates(each, table)]
        by_name = self._named.get(_key(_base(cell)), [])
        by_stem = self._of_stem.get(_key(_base(_stem(cell))), [])
        at_site = self._at(site, by_name), self._at(site, by_stem)
        if "/" not in cell:
            by_name, by_stem = at_site
        for places, key in ((by_name, str), (by_stem, _stem)):
            for below in wanted:
                if found := self._one(name, places, key(below), key):
                    return found
        by_name, by_stem = at_site
        # a name alone, or the path on another machine
        return self._nearest(name, by_name, cell, str) or self._nearest(name, by_stem, cell, _stem)

    def find_namesake(self, file: str) -> str | None:
        """Finds the recording that a file is named after: X.txt and X.Table.1.selections.txt belong to X.wav.

        Raises:
            AmbiguousError: as `find`; or it has the name of one as it is written, and of another one, which is longer,
                in upper or lower case.
        """
        longest, longer = "", list[_Place]()
        name = _base(file.replace(os.sep, "/"))
        while (name := name.rpartition(".")[0]) and name.strip("."):
            key = _key(name)
            places = [*self._named.get(key, ()), *self._of_stem.get(key, ())]
            exact = [p for p in places if _FORMS[1](name) in map(_FORMS[1], (_base(p.below), _base(_stem(p.below))))]
            if longer and set(exact) - set(longer):
                raise self._ambiguous(_base(file), [*longer, *exact])
            if exact and not longer:
                return self.find(name, file)
            if places and not longer:
                longest, longer = name, places
        if longer:
            return self.find(longest, file)
        heads = (head for head, ending in _divisions(file) if ending in self._endings)
        return next(filter(None, (self.find(head, file) for head in heads)), None)

    def learn_endings(self, files_of_labels: Iterable[str]) -> None:
        """Learns which word behind the names of recordings calls files after them: `_labels` in x_labels.txt.

        It does so if it has no digit, if several files end so, each behind the name of another recording, and if no
        other file is called after these. If this is not so of any ending, none counts: files of a recording would be
        lost.

        Args:
            files_of_labels: files that name no recording themselves.
        """
        named, paths_of = set[str](), collections.defaultdict[str, list[str]](list)
        for file in files_of_labels:
            with contextlib.suppress(AmbiguousError):
                if path := self.find_namesake(file):
                    named.add(path)
                    continue
                head, ending = next((each for each in _divisions(file) if _key(each[0]) in self._of_stem), ("", ""))
                if path := self.find(head, file):
                    paths_of[ending].append(path)
        if paths_of and all(
            len(paths) == len(set(paths)) > 1 and named.isdisjoint(paths) and not any(map(str.isdigit, ending))
            for ending, paths in paths_of.items()
        ):
            self._endings = frozenset(paths_of)
            logging.info("files are taken for those of recordings without %s", " or ".join(sorted(self._endings)))

    def has_namesake(self, file: str) -> bool:
        """Whether a file is named after a recording, or after several."""
        try:
            return self.find_namesake(file) is not None
        except AmbiguousError:
            return True

    def has_name(self, cell: str) -> bool:
        """Whether a cell is like the name of a recording, or like its path."""
        base = _key(_base(cell.strip().replace("\\", "/")))
        return base in self._named or _key(_stem(base)) in self._of_stem

    def find_catalogued(self, numbers: Sequence[str]) -> str | None:
        """Finds the recording that is named by a catalogue number: as a whole, or as the beginning before a sign.

        Args:
            numbers: ways to write the number, such as XC123 and 123; the first that is found counts.

        Raises:
            AmbiguousError: as `find`.
        """
        if not self._of_head:
            self._of_head = _by_head(self._of_stem)
            for number in filter(lambda number: number.startswith("XC"), self._of_number):  # as Parus-major-123
                self._of_head.setdefault(_key(number), self._of_number[number])
        for number in numbers:
            places = self._of_head.get(_key(number), [])
            if len(places) > 1:
                raise self._ambiguous(number, places)
            if places:
                return places[0].path
        return None

    def find_numbered(self, cell: str) -> str | None:
        """Finds the recording whose name tells the catalogue number that a cell holds, as 123, 123.0 or XC123.

        Raises:
            AmbiguousError: as `find`.
        """
        places = self._numbered(cell)
        if len(places) > 1:
            raise self._ambiguous(cell, places)
        return places[0].path if places else None

    def numbered(self, cell: str) -> list[str]:
        """The recordings of which `find_numbered` may find one."""
        return [place.path for place in self._numbered(cell)]

    def claim(self, path: str, names: Sequence[str], site: str = "", table: str = "") -> Claim:
        """What a row says of the place of its recording.

        Args:
            path: the recording that was found.
            names: as the row writes it.
            site: as the row names it; empty if it does not.
            table: the file of the row, empty for none. Its folders count where names and site name none of recordings.
        """
        cells = [name.strip().replace("\\", "/") for name in names]
        own, below = self._parts(self._below[path]), _key(_stem(self._below[path]))
        paths = [p for cell in cells if "/" in cell for p in (*self._from_root(cell), *self._from_table(cell, table))]
        if any(_key(_stem(_normal(each))) == below for each in paths):
            return Claim(num_shared=len(own), known=own & self._folders, is_path=True)
        named = self._parts(f"{site}/").union(*map(self._parts, cells))
        known = (named & self._folders) or (self._parts_of_file(table) & self._folders)
        return Claim(num_shared=len(named & own), others=named - own, known=known, is_elsewhere=not known <= own)

    def claim_of_file(self, path: str, file: str) -> Claim:
        """What the folders of a table or a metadata file say of the place of a recording."""
        own, named = self._parts(self._below[path]), self._parts_of_file(file)
        return Claim(num_shared=len(named & own), others=named - own)

    def may_repeat(self, path: str) -> bool:
        """Whether the name of a recording can be that of another one: it is by the clock, or several have it here."""
        stem = _base(_stem(self._below[path]))
        return recorders.from_name(stem).has_clock or len(self._of_stem[_key(stem)]) > 1

    def below(self, path: str) -> str:
        """The path of a recording below the folder of all, with `/`."""
        return self._below[path]

    def _numbered(self, cell: str) -> list[_Place]:
        return self._of_number.get(cell.strip().upper().removesuffix(".0"), [])

    @functools.cached_property
    def _of_number(self) -> dict[str, list[_Place]]:
        """{catalogue number with and without the letters of its catalogue: the recordings whose names have it}."""
        found: dict[str, list[_Place]] = collections.defaultdict(list)
        for path, below in self._below.items():
            if parts := _NUMBERED.search(_base(_stem(below))):
                number = parts[2] or parts[3]
                for each in (number, f"{(parts[1] or 'XC').upper()}{number}"):
                    found[each].append(_Place(path, below))
        return found

    def _candidates(self, cell: str, table: str) -> list[str]:
        """What the cell's path can be below the folder of recordings, the most certain first."""
        whole, beside = self._from_root(cell), self._from_table(cell, table)
        # a name without a folder is one in the folder of its table
        found = whole + beside + self._from_table(_base(cell), table) if "/" in cell else beside + whole
        return [_normal(path) for path in dict.fromkeys(found)]

    def _from_root(self, cell: str) -> list[str]:
        whole = [os.path.relpath(cell, self._root)] if os.path.isabs(cell) else []
        return [*whole, cell.lstrip("/")]

    def _from_table(self, cell: str, table: str) -> list[str]:
        if not table:
            return []
        folder = os.path.dirname(os.path.abspath(table))
        folders = (os.path.relpath(folder, self._root), os.path.relpath(folder, self._tables_root))
        return [os.path.join(each, cell.lstrip("/")) for each in folders]

    @staticmethod
    def _parts(path: str) -> frozenset[str]:
        """The folders of a path, comparable."""
        return frozenset(_key(part) for part in path.split("/")[:-1] if part.strip(" ."))

    def _parts_of_file(self, file: str) -> frozenset[str]:
        """The folders of a table below that of the recordings or of the tables; elsewhere the one that it is in."""
        if not file:
            return frozenset()
        for root in (self._root, self._tables_root):
            below = files.name_below(root, file)
            if not below.startswith("../"):
                return self._parts(below)
        return self._parts("/".join(below.split("/")[-2:]))

    def _one(self, name: str, places: Sequence[_Place], wanted: str, key: Callable[[str], str]) -> str | None:
        for form in _FORMS:
            found = [place for place in places if form(key(place.below)) == form(wanted)]
            if len(found) > 1:
                raise self._ambiguous(name, found)
            if found:
                return found[0].path
        return None

    def _at(self, site: str, places: list[_Place]) -> list[_Place]:
        """The recordings in the folder of a site, or all if none is there."""
        named = self._parts(f"{site}/")
        return [place for place in places if named and named <= self._parts(place.below)] or places

    def _nearest(self, name: str, places: Sequence[_Place], cell: str, key: Callable[[str], str]) -> str | None:
        if not places:
            return None
        shared = {place: _num_shared(key(place.below), key(cell)) for place in places}
        nearest = [place for place in places if shared[place] == max(shared.values())]
        for form in _FORMS[:2]:
            nearest = [p for p in nearest if form(_base(key(p.below))) == form(_base(key(cell)))] or nearest
        if len(nearest) > 1:
            raise self._ambiguous(name, nearest)
        return nearest[0].path

    def _ambiguous(self, name: str, places: Sequence[_Place]) -> AmbiguousError:
        first, second = sorted(place.path for place in places)[:2]
        return AmbiguousError(f"{name!r} can be {first} or {second}: name it by its path below {self._root}")


def _normal(path: str) -> str:
    return os.path.normpath(path).replace(os.sep, "/")


def _divisions(file: str) -> Iterator[tuple[str, str]]:
    """(beginning, rest) of the name of a file without its suffix, divided at each sign, the longest beginning first."""
    name = os.path.splitext(_base(file.replace(os.sep, "/")))[0]
    for i in range(len(name) - 1, 0, -1):
        if name[i] in "_- ":
            yield name[:i], _key(name[i] + name[i + 1 :])


def _base(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _stem(path: str) -> str:
    """The path without the suffix of a recording; a name such as SITE_1.2 has none."""
    head, suffix = os.path.splitext(path)
    return head if suffix.lower() in decode.SUFFIXES else path


def _num_shared(path: str, other: str) -> int:
    """The number of last parts that two paths share."""
    parts = zip(reversed(_key(path).split("/")), reversed(_key(other).split("/")), strict=False)
    return next((count for count, (a, b) in enumerate(parts) if a != b), min(path.count("/"), other.count("/")) + 1)


def _by_head(of_stem: dict[str, list[_Place]]) -> dict[str, list[_Place]]:
    """{the beginning of a stem that ends before a sign, or the whole stem: recordings}."""
    found: dict[str, list[_Place]] = collections.defaultdict(list)
    for stem, places in of_stem.items():
        ends = [i for i, sign in enumerate(stem) if not sign.isalnum() and i] + [len(stem)]
        for end in ends:
            found[stem[:end]] += places
    return found
