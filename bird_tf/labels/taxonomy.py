"""The class list and its order; names ⇄ class ids ⇄ indices.

The id identifies a class: in BirdCLEF, Latin names and ids are not one-to-one in either direction.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Iterable, Sequence

from absl import logging

from bird_tf import config, csv_files, files
from bird_tf.labels import class_names, label_cells

_COLUMNS = ("index", "class_id", "name")


@dataclasses.dataclass(frozen=True)
class Taxonomy:
    """The classes that a model knows, in the order of its outputs.

    Attributes:
        class_ids: the id of each class (BirdCLEF: six letters; folders: the folder's name).
        names: the Latin name of each class, or the id if no name is known.
    """

    class_ids: tuple[str, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.class_ids)) != len(self.class_ids) or len(self.names) != len(self.class_ids):
            raise ValueError(f"class ids must be unique, one name each: {self.class_ids}, {self.names}")

    def __len__(self) -> int:
        return len(self.class_ids)

    @property
    def digest(self) -> str:
        """A digest of the ids and their order."""
        return files.digest(list(self.class_ids))

    def subset(self, indices: Iterable[int]) -> Taxonomy:
        """The classes of these indices, in their order."""
        chosen = list(indices)
        return Taxonomy(tuple(self.class_ids[i] for i in chosen), tuple(self.names[i] for i in chosen))

    def index(self, class_id: str) -> int:
        """Output index of a class id. Raises KeyError if there is no such class."""
        return self._indices[class_id]

    def resolve(self, names: Iterable[str]) -> list[int]:
        """Sorted indices of the names that are classes. Other names are left out.

        Args:
            names: class ids, Latin names in upper or lower case, or BirdNET's `Genus species_Common Name`. 22961 and
                22961.0 are the same, unless both are classes. Another spelling of an id or a Latin name, as of
                `class_names.key`, is its class if it is that of one alone.
        """
        found = map(self._find, names)
        return sorted({index for index in found if index is not None})

    def _find(self, name: str) -> int | None:
        for candidate in (name, name.partition("_")[0]):
            index = self._indices.get(candidate, self._by_name.get(candidate.casefold()))
            # what stands before an underscore is a species only if it is a Latin name of two words or more
            if index is not None and (candidate == name or " " in candidate):
                return index
        cleaned = label_cells.clean(name)
        return self._by_label.get(cleaned, self._by_key.get(class_names.key(cleaned)))

    @functools.cached_property
    def _indices(self) -> dict[str, int]:
        return {class_id: index for index, class_id in enumerate(self.class_ids)}

    @functools.cached_property
    def _by_label(self) -> dict[str, int]:
        return {label_cells.clean(class_id): index for class_id, index in reversed(self._indices.items())}

    @functools.cached_property
    def _by_key(self) -> dict[str, int]:
        owners: dict[str, set[int]] = collections.defaultdict(set)
        for index, names in enumerate(zip(self.class_ids, self.names, strict=True)):
            for name in names:
                owners[class_names.key(name)].add(index)
        return {key: indices.pop() for key, indices in owners.items() if len(indices) == 1}

    @functools.cached_property
    def _by_name(self) -> dict[str, int]:
        # if two classes have the same Latin name, it means the first one, in every process
        return {name.casefold(): index for index, name in reversed(list(enumerate(self.names)))}


def from_labels(labels: Sequence[tuple[str, str]]) -> Taxonomy:
    """Makes the taxonomy of labelled recordings. Ids are sorted; each has the name that most of its recordings give.

    A recording that tells no name has the id in its place, which does not count beside a name.

    Args:
        labels: (class id, Latin name) of every recording.
    """
    votes: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for class_id, name in labels:
        votes[class_id][name] += 1
    class_ids = tuple(sorted(votes))
    names = tuple(min(votes[c].items(), key=lambda vote: (vote[0] == c, -vote[1], vote[0]))[0] for c in class_ids)
    return Taxonomy(class_ids, names)


def union(taxonomies: Sequence[Taxonomy]) -> Taxonomy:
    """The classes of the first, then those of each other one that are new; a name is that of the first with the id.

    A warning tells of species that the lists give different ids: they become two classes each.
    """
    names: dict[str, str] = {}
    id_of: dict[str, str] = {}  # by name
    twins = []
    for taxonomy in taxonomies:
        for class_id, name in zip(taxonomy.class_ids, taxonomy.names, strict=True):
            if class_id not in names:
                names[class_id] = name
                other = id_of.setdefault(class_names.key(label_cells.clean(name)), class_id)
                if other not in taxonomy.class_ids:  # else it tells the two apart itself
                    twins.append(f"{other!r} and {class_id!r} ({name})")
    if twins:
        logging.warning(
            "%d species count as two classes each, since their class ids differ: %s; convert both sets of recordings "
            "with the same class ids (--synonyms) to join them", len(twins), ", ".join(twins[:3]),
        )  # fmt: skip
    return Taxonomy(tuple(names), tuple(names.values()))


def save(path: str, taxonomy: Taxonomy) -> None:
    """Writes `classes.csv`: index, class_id, name."""
    rows = [(i, c, n) for i, (c, n) in enumerate(zip(taxonomy.class_ids, taxonomy.names, strict=True))]
    csv_files.write(path, _COLUMNS, rows)


def load(path: str) -> Taxonomy:
    """Reads what `save` wrote.

    Raises:
        InputError: the file is not a class list, or its rows are out of order.
    """
    rows = list(csv_files.read(path, _COLUMNS))
    if not rows:
        raise config.InputError(f"{path}: a list of no class; copy it again, or make it anew")
    if wrong := next((row for i, row in enumerate(rows) if row.cells["index"] != str(i)), None):
        raise wrong.error("the column index must count 0, 1, 2 …: rows are missing or out of order")
    class_ids = tuple(row.text("class_id") for row in rows)
    if len(set(class_ids)) < len(rows):
        raise config.InputError(f"{path}: a class_id stands there twice")
    return Taxonomy(class_ids, tuple(row.text("name") for row in rows))
