"""Finds the recording that each row of a table or label file is about."""

from __future__ import annotations

import collections
import dataclasses
import functools
import os
from collections.abc import Collection, Mapping, Sequence, Set

from absl import logging

from bird_tf.labels.formats import formats
from bird_tf.labels.layouts import matching
from bird_tf.labels.tables import background, common_names, rows


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A row, and what is known of the file that it is from.

    Attributes:
        row: the row.
        source, format: path and format of the file.
        is_namesake: whether the file is named after a recording.
        is_sure: whether the row tells its recording by a path or a number, and not only by a name.
    """

    row: rows.Row
    source: str
    format: str
    is_namesake: bool
    is_sure: bool


@dataclasses.dataclass
class Joined:
    """Rows by recording.

    Attributes:
        entries: {path of a recording: what tells of it}.
        unmatched: (line, reason) of rows whose recording is not here.
        left_out: (line, reason) of rows that cannot be used, and whose recording is not here either.
    """

    entries: dict[str, list[Entry]] = dataclasses.field(default_factory=dict)
    unmatched: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    left_out: list[tuple[str, str]] = dataclasses.field(default_factory=list)


def join(sources: Sequence[formats.Source], recordings: matching.Recordings, classes: Collection[str] = ()) -> Joined:
    """Finds the recording of each row of the files. `classes` are those that no row tells."""
    if pairs := common_names.pairs(row for source in sources for row in source.rows):
        sources = [
            dataclasses.replace(each, rows=tuple(common_names.joined(row, pairs) for row in each.rows))
            for each in sources
        ]
    kinds, as_classes = rows.kinds_beside(row for source in sources for row in source.rows)
    _warn_of_cells(
        "%d kinds of sounds stand beside other names in a cell and are classes, the first: %r (%s); where they are "
        "none, leave them out", as_classes,
    )  # fmt: skip
    _warn_of_cells(
        "%d scores stand beside names in a cell, the first: %r (%s): they are no classes; write them into a column "
        "of their own", rows.scores_beside(row for source in sources for row in source.rows),
    )  # fmt: skip
    _warn_of_cells(
        "%d numbers stand beside names in a cell and are classes, the first: %r (%s); where they are counts or "
        "scores, write them into a column of their own",
        rows.numbers_beside(row for source in sources for row in source.rows),
    )  # fmt: skip
    _warn_of_cells(
        "%d cells of two words in small letters are two classes each, the first: %r (%s); if they are one name, leave "
        "the comma out", rows.words_beside(row for source in sources for row in source.rows),
    )  # fmt: skip
    _warn_of_cells(
        "%d kinds of sounds stand beside species in a cell, the first: %r (%s); the species alone are classes", kinds
    )
    if kinds:
        sources = [
            dataclasses.replace(each, rows=tuple(rows.without(row, kinds) for row in each.rows)) for each in sources
        ]
    joined, num_elsewhere = Joined(), 0
    of_path: dict[str, list[Entry]] = collections.defaultdict(list)
    species = rows.species_of(row for source in sources for row in source.rows)
    latin_names = rows.latin_names(row for source in sources for row in source.rows)
    names = background.Names((row for source in sources for row in source.rows), classes)
    foreign: dict[str, str] = {}  # {background species that is not understood: the first row}
    matched = [(source, _matched(source, recordings, joined)) for source in sources]
    repeated = _repeated([match for _, matches in matched for match in matches], recordings)
    moved: list[str] = []
    marked: list[str] = []
    for source, matches in matched:
        is_namesake = recordings.has_namesake(source.path)
        for row, path, claim in _of_their_place(matches, source.path, repeated, joined):
            if path is None:
                num_elsewhere += 1
            else:
                named = rows.with_latin_name(rows.among(row, species), latin_names)
                marked += [row.where] * (rows.is_marked(row) and not rows.is_marked(named) and named.labels.stated)
                named, unlike = names.of_background(named)
                foreign |= {name: row.where for name in unlike if name not in foreign}
                of_path[path].append(Entry(named, source.path, source.format, is_namesake, claim.is_path))
                moved += [f"{row.where}: {path}"] * claim.is_elsewhere
    joined.entries = {path: _of_nearest(path, entries, recordings, joined) for path, entries in of_path.items()}
    far = [found for path, entries in joined.entries.items() if (found := _from_folders(path, entries, recordings))]
    if far:
        logging.warning(
            "%d recordings have labels from files in several folders, such as %s and %s: all count. If they are sites, "
            "name one with --metadata", len(far), *far[0][:2],
        )  # fmt: skip
    if marked:
        zero = "; 0 is a class: if it stands for that, say --negative_labels=0" if "0" in species else ""
        logging.warning(
            "%d labels such as -1 beside numbers of classes count as something without a name, the first: %s; if they "
            "say that none is to be heard, say --negative_labels=-1%s", len(marked), marked[0], zero,
        )  # fmt: skip
    if foreign:
        name, where = next(iter(foreign.items()))
        logging.warning(
            "%d background species are named as no species of the set is, or not for sure, the first: %r (%s); where "
            "they stand, the background counts as unknown; if one is several species, divide them by ;",
            len(foreign), name, where,
        )  # fmt: skip
    if moved:
        logging.info("%d rows name another folder than that of their recording: as if moved (%s)", len(moved), moved[0])
    if num_elsewhere:
        logging.info("%d rows of catalogues are about recordings that are not here", num_elsewhere)
    return joined


# a row, its recording (None for one of a catalogue that is not here), and where the row says that it lies
_Match = tuple[rows.Row, str | None, matching.Claim]


def _warn_of_cells(text: str, found: Mapping[str, str]) -> None:
    """Warns of parts of cells, {part: the first row}, if there are some: their number, the first one and its row."""
    if found:
        logging.warning(text, len(found), *next(iter(found.items())))


def _matched(source: formats.Source, recordings: matching.Recordings, joined: Joined) -> list[_Match]:
    """The rows of a file whose recording is found by name, or is one of a catalogue that is not here."""
    found: list[_Match] = []
    find = functools.cache(functools.partial(_find, recordings, source.path))
    for row in source.rows:
        try:
            path, claim = find(row.files, row.catalogue_numbers, row.or_namesake, row.about.site)
        except matching.AmbiguousError as error:
            joined.unmatched.append((row.where, str(error)))
            continue
        if path is None and not row.catalogue_numbers:
            reason = row.problem or f"its recording {_named(row, source.path)} is not below the folder of recordings"
            (joined.left_out if row.problem else joined.unmatched).append((row.where, reason))
        else:
            found.append((row, path, claim))
    return found


def _named(row: rows.Row, source: str) -> str:
    return repr((row.files[0] if row.files else os.path.basename(source))[:200])


def _not_here(row: rows.Row, source: str, path: str, why: str) -> str:
    return f"its recording {_named(row, source)} is not here: {path} has its name, but {why}"


def _find(
    recordings: matching.Recordings,
    table: str,
    names: Sequence[str],
    catalogue_numbers: Sequence[str],
    or_namesake: bool,
    site: str,
) -> tuple[str | None, matching.Claim]:
    """The recording of a row, and where the row says that it lies."""
    ambiguous: matching.AmbiguousError | None = None
    names = [*names, *filter(None, map(matching.path_of_address, names))]
    for name in names:
        try:
            if path := recordings.find(name, table, site):
                return path, recordings.claim(path, names, site, table)
        except matching.AmbiguousError as error:
            ambiguous = ambiguous or error
    if ambiguous:
        raise ambiguous
    for name in names:
        if path := recordings.find_numbered(name):
            return path, matching.Claim(num_shared=0, is_path=True)
    if catalogue_numbers and (path := recordings.find_catalogued(catalogue_numbers)):
        return path, matching.Claim(num_shared=0, is_path=True)
    if (or_namesake or not (names or catalogue_numbers)) and (path := recordings.find_namesake(table)):
        return path, recordings.claim(path, (), site, table)
    return None, matching.Claim(num_shared=0)


def _repeated(found: Sequence[_Match], recordings: matching.Recordings) -> Set[str]:
    """The recordings whose names other ones can have: by the name, or as rows name several folders that are here."""
    known: dict[tuple[str, bool], set[frozenset[str]]] = collections.defaultdict(set)
    paths = set()
    for row, path, claim in found:
        if path:
            paths.add(path)
            known[path, row.labels.stated].add(claim.known)
    several = {path for (path, _), folders in known.items() if len(folders - {frozenset()}) > 1}
    return several | {path for path in paths if recordings.may_repeat(path)}


def _of_their_place(found: list[_Match], source: str, repeated: Set[str], joined: Joined) -> list[_Match]:
    """The rows of a file without those about a recording of the same name that is not here.

    A table that names A/x.wav and B/x.wav, of which only A/x.wav is here, says nothing of it in the rows of B. A name
    that can repeat must not be that of a recording in another folder, nor in several folders or sites of which none is
    here. A name of its own is that of a recording that was moved.
    """
    claims: dict[str, set[matching.Claim]] = collections.defaultdict(set)
    for _, path, claim in found:
        if path:
            claims[path].add(claim)
    nearest = {path: max(claim.num_shared for claim in of_path) for path, of_path in claims.items()}
    several = [
        path
        for path, shared in nearest.items()
        if len({claim.others for claim in claims[path] if claim.others and claim.num_shared == shared}) > 1
    ]
    if unsure := [path for path in several if path not in repeated]:
        logging.warning(
            "%s: rows name %d recordings with several folders or sites, such as %s: all count",
            source, len(unsure), unsure[0],
        )  # fmt: skip
    refused = repeated & set(several)
    kept = []
    for row, path, claim in found:
        why = ""
        if path and claim.is_elsewhere and path in repeated:
            why = "it lies in another folder"
        elif path and claim.others and (claim.num_shared < nearest[path] or path in refused):
            why = "rows of another folder or site have it, too"
        if path and why:
            why += f"; this one names {', '.join(sorted(claim.others | claim.known))[:200]}"
            joined.unmatched.append((row.where, _not_here(row, source, path, why)))
        else:
            kept.append((row, path, claim))
    return kept


def _of_nearest(path: str, entries: list[Entry], recordings: matching.Recordings, joined: Joined) -> list[Entry]:
    """Of label files of one kind in several folders, those in the folders of the recording count.

    S2/x.txt says nothing of S1/x.wav beside S1/x.txt. Files in folders that are not the recording's all count.
    """
    claims = {source: recordings.claim_of_file(path, source) for source in {entry.source for entry in entries}}
    if len(claims) == 1:
        return entries
    nearest: dict[tuple[str, bool], tuple[int, str]] = {}
    for entry in entries:
        if entry.row.labels.stated:
            kind, shared = (entry.format, entry.row.has_span), claims[entry.source].num_shared
            nearest[kind] = max(nearest.get(kind, (0, "")), (shared, entry.source))
    kept = []
    for entry in entries:
        claim, (shared, other) = claims[entry.source], nearest.get((entry.format, entry.row.has_span), (0, ""))
        if entry.row.labels.stated and not entry.is_sure and claim.others and claim.num_shared < shared:
            why = f"{other} is of its own folder"
            joined.unmatched.append((entry.row.where, _not_here(entry.row, entry.source, path, why)))
        else:
            kept.append(entry)
    return kept


def _from_folders(path: str, entries: Sequence[Entry], recordings: matching.Recordings) -> list[str]:
    """Label files of one kind in several folders that are not the recording's; empty if there are less than two."""
    first: dict[tuple[str, bool], dict[frozenset[str], str]] = collections.defaultdict(dict)
    if len({entry.source for entry in entries}) > 1:
        for entry in entries:
            # tables of verdicts may lie in folders of their turns
            names_folder = entry.row.verdict and "/" in entry.row.verdict.file
            if entry.row.labels.stated and not entry.is_sure and not names_folder:
                others = recordings.claim_of_file(path, entry.source).others
                first[entry.format, entry.row.has_span].setdefault(others, entry.source)
    return next((list(of.values()) for of in first.values() if len(of) > 1 and frozenset() not in of), [])
