"""Cells of a Latin and a common name that have the form of two Latin names, as `Turdus merula, Merle noir`."""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Collection, Iterable

from bird_tf.labels import class_names, label_cells
from bird_tf.labels.tables import rows

# as nine in ten Latin names end, and one in ten English ones; and as most Latin ones end, and hardly any other
_LIKE_LATIN = re.compile(r"\S+[saxnor] (?:\S+ )?\S+[saixrm]")
_LATIN = re.compile(r"\S+[saox] (?:\S+ )?\S+[sairxm]")
# fewer sure pairs may be a list of two species: some Latin names end as others do
_FEWEST = 4


def pairs(found: Iterable[rows.Row]) -> set[tuple[str, ...]]:
    """The cells whose two species are the Latin and the common name of one, since those of a set say so together.

    The common name stands nowhere else, and the Latin name beside no other one. There must be several such pairs, and
    most Latin labels of the set must be such, whose common names do not end as Latin names do: else they are lists of
    species. So they are if a cell lists three.
    """
    cells = {(row.labels.species, row.labels.is_pair) for row in found}
    if any(len(species) > 2 and all(map(label_cells.is_latin, species)) for species, _ in cells):
        return set()
    listed = [species for species, is_pair in cells if is_pair and all(map(label_cells.is_latin, species))]
    single = {species[0] for species, _ in cells if len(species) == 1}
    latin = {name for name in single if label_cells.is_latin(name)} | {species[0] for species in listed}
    genera = {name.split()[0] for name in latin}
    num_cells = collections.Counter(class_names.key(name) for species, _ in cells for name in species)
    num_first = collections.Counter(class_names.key(species[0]) for species in listed)

    def may_be_one(name: str, common: str) -> bool:
        is_alone = num_cells[class_names.key(common)] == num_first[class_names.key(name)] == 1
        is_doubled = len({*common.casefold().split()}) == 1  # Bufo bufo
        return is_alone and not is_doubled and "." not in common and common.split()[0] not in genera - {name.split()[0]}

    found_pairs = {species for species in listed if may_be_one(*species)}
    sure = [(name, common) for name, common in found_pairs if _is_common(name, common)]
    num_whole = sum(bool(class_names.latin_and_common(name)) for name in single)
    num_others = len(listed) - len(sure) + len(latin) - len({species[0] for species in listed})
    return found_pairs if len(sure) >= _FEWEST and len(sure) + num_whole > num_others else set()


def _is_common(name: str, common: str) -> bool:
    """Whether the first of two names ends as Latin ones do, and the second does not, and has another first word."""
    is_other = name.split()[0] != common.split()[0] and not _LIKE_LATIN.fullmatch(common)
    return is_other and bool(_LATIN.fullmatch(name))


def joined(row: rows.Row, common_names: Collection[tuple[str, ...]]) -> rows.Row:
    """The row with one label in place of a pair of `common_names`, as cells with `Turdus merula, Amsel` have."""
    species = row.labels.species
    if not row.labels.is_pair or species not in common_names:
        return row
    return dataclasses.replace(row, labels=dataclasses.replace(row.labels, species=(", ".join(species),)))
