"""One name for each class: synonyms of changed taxonomies, and spellings that look alike."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence

from absl import logging

from bird_tf import config, free_text
from bird_tf.labels import label_cells, metadata, odd_names, texts

_APART = "classes that look alike stay apart: %s; --synonyms makes them one"
_MOST_NAMED = 20  # names in a warning
# Cyrillic and Greek letters, and the Latin ones that they look like, also as capitals
_LOOK_ALIKE = str.maketrans("асеіјокрѕтухвнмαεικνορτυβημ", "aceijokpstyxbhmaeikvoptubhm")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NameConfig:
    """What label names mean."""

    synonyms: str = config.option(
        "", "CSV of two columns, old name and new name: labels of the old name get the new one, as after a change of "
        "taxonomy"
    )  # fmt: skip
    negative_labels: tuple[str, ...] = config.option(
        (),
        "a further label that means none of the species, besides noise, background, none, no call, other, non-event, "
        "silence and -SPECIES; may be repeated",
    )


def read_synonyms(path: str) -> dict[str, str]:
    """Reads a table of old and new names; a first line `old,new` (or the like) is a header.

    Returns:
        {comparable old name: new name}; a new name is never an old one.

    Raises:
        InputError: no such file, a row without two names, two new names for one, or names that lead back to themselves.
    """
    found: dict[str, str] = {}
    for position, (number, cells) in enumerate(texts.Document(path).lines):
        old, new = ([label_cells.clean(cell) for cell in cells] + ["", ""])[:2]
        if position == 0 and texts.comparable(old).split(" ")[0] in ("old", "from", "synonym", "name", "alias"):
            continue
        if not old or not new:
            raise config.InputError(f"--synonyms={path}, line {number}: need two columns, the old name and the new one")
        try:
            is_species = bool(label_cells.named([new]).species)
        except ValueError as error:
            raise config.InputError(f"--synonyms={path}, line {number}: the new name is {error}") from error
        if not is_species:
            raise config.InputError(f"--synonyms={path}, line {number}: the new name {new!r} is no name of a species")
        if found.setdefault(key(old), new) != new:
            raise config.InputError(f"--synonyms={path}, line {number}: {old} has another new name above")
    return {old: _last(path, old, found) for old in found if found[old] and key(found[old]) != old}


def _last(path: str, old: str, new_names: Mapping[str, str]) -> str:
    seen, name = {old}, new_names[old]
    while key(name) in new_names and new_names[key(name)] != name:
        if key(name) in seen:
            raise config.InputError(f"--synonyms={path}: the new names of {name} lead back to it")
        seen.add(key(name))
        name = new_names[key(name)]
    return name


def unify(recordings: Iterable[metadata.Recording], synonyms: Mapping[str, str]) -> list[metadata.Recording]:
    """Gives each class one name: the new one of synonyms, and of spellings that look alike the most frequent one.

    Alike are names that differ in case, blanks, underscores or the form of accented letters, and BirdNET's
    `Latin name_Common Name` beside the Latin name; its `Latin name, Common Name` is the Latin name.
    A Latin name becomes the class id that it is told of. What is renamed is logged, and so are doubtful pairs.

    Args:
        recordings: of all classes.
        synonyms: as of `read_synonyms`.
    """
    recordings = list(recordings)
    if changed := sum(synonyms.get(key(n), n) != n for r in recordings for n in r.labels):
        logging.info("--synonyms: %d labels got their new name", changed)
    latin = {full: synonyms.get(key(name), name) for full, name in _latin_parts(recordings).items()}
    classes = _Classes(recordings, latin | dict(synonyms))
    renamed = [classes.renamed(recording) for recording in recordings]
    labels = {label for recording in renamed for label in recording.labels}
    if labels and all(map(odd_names.is_kind, labels)):
        logging.warning(
            "the classes are kinds of sounds, not species: %s; if a column or the folders tell the species, say "
            "--columns=label=NAME or --layout=folders", ", ".join(sorted(labels)),
        )  # fmt: skip
    lost = odd_names.with_lost_letters(labels)
    _tell(
        lost,
        "%d classes have a ? inside a word%s: if it stands for a lost letter, write the names anew, as UTF-8 text",
    )
    values = odd_names.values(labels)
    _tell(
        values,
        "%d classes are called as a date, a time, or true or false%s; if cells of a table are shifted or swapped, "
        "correct them",
        _MOST_NAMED,
    )
    if doubtful := odd_names.doubtful(labels.difference(lost, values)):
        logging.warning(
            "%d classes may be no species: %s; if a name says that none is to be heard, say --negative_labels=NAME; if "
            "it stands for what nobody could name for sure, write ? in its place",
            len(doubtful), ", ".join(map(repr, doubtful)),
        )  # fmt: skip
    composed = odd_names.composed(labels)
    _tell(
        composed,
        "%d classes may be several species%s; divide them by ;, write ? in place of one that is not sure, or rename "
        "with --synonyms",
        _MOST_NAMED,
    )
    counted = [name for name in odd_names.counted(labels) if name not in composed]
    _tell(
        counted,
        "%d classes are another class and a number, or have a score, count or time%s; write these into columns "
        "of their own, or rename with --synonyms",
        _MOST_NAMED,
    )
    surely_none = [name for name in doubtful if "?" not in name]
    related = odd_names.related(labels.difference(surely_none, composed, counted))
    _tell(
        [f"{name} and {other}" for name, other in related],
        "%d classes may be one species with another%s; if they are, give them one name with --synonyms",
    )
    misspelt = odd_names.misspelt(collections.Counter(name for each in renamed for name in _all_labels(each)))
    _tell(
        [f"{name} for {other}" for name, other in misspelt],
        "%d names stand once, and may be misspelt%s; if they are, correct them or rename with --synonyms",
    )
    return renamed


def _tell(names: Sequence[str], warning: str, most: int = 3) -> None:
    """Warns of names, if there are any: how many there are, and which ones."""
    if names:
        logging.warning(warning, len(names), free_text.examples(names, most))


def _all_labels(recording: metadata.Recording) -> Sequence[str]:
    """The labels of a recording, as often as its annotations tell them."""
    return [a.label for a in recording.annotations if a.label] or recording.labels


def _latin_parts(recordings: Iterable[metadata.Recording]) -> dict[str, str]:
    """{key of a label `Latin name, Common Name`: its Latin name}, where no other such label has that name.

    What could be a second species, since it is a label too or begins with a genus, is no common name.
    """
    labels = {label for recording in recordings for label in recording.labels}
    pairs = {label: pair for label in sorted(labels) if (pair := latin_and_common(label))}
    names = [*labels, *(latin for latin, _ in pairs.values())]
    genera = {name.split()[0] for name in names if label_cells.is_latin(name)}
    known = {*map(key, labels)}
    doubtful = [
        label
        for label, (latin, rest) in pairs.items()
        if key(rest) in known or rest.split()[0] in genera - {latin.split()[0]}  # its own: Vireo Ojirrojo
    ]
    if doubtful:
        logging.warning(
            "%d labels stay as they are, the first: %r; if it names two species, divide them by ; and if one, give it "
            "one name with --synonyms", len(doubtful), doubtful[0],
        )  # fmt: skip
    found: dict[str, dict[str, str]] = collections.defaultdict(dict)
    for label in pairs.keys() - {*doubtful}:
        found[key(pairs[label][0])][key(label)] = pairs[label][0]
    for several in [of_latin for of_latin in found.values() if len(of_latin) > 1]:
        logging.warning(_APART, "; ".join(sorted(several)))
    latin = {full: latin for of_latin in found.values() if len(of_latin) == 1 for full, latin in of_latin.items()}
    if latin:
        logging.warning(
            "%d labels of a Latin and a common name are called by the Latin name, the first: %r; if it names two "
            "species, divide them by ;", len(latin), min(label for label in pairs if key(label) in latin),
        )  # fmt: skip
    return latin


def latin_and_common(label: str, between: str = ", ") -> tuple[str, ...]:
    """The two parts of a label `Latin name, Common Name`, or with another sign between; of any other label none."""
    latin, _, common = label.partition(between)
    return (latin, common) if common[:1].isupper() and label_cells.is_latin(latin) else ()


class _Classes:
    """The one name of each class among the names of some recordings. Making it warns of names that become one."""

    def __init__(self, recordings: Sequence[metadata.Recording], synonyms: Mapping[str, str]) -> None:
        self._synonyms = synonyms
        counts: collections.Counter[str] = collections.Counter()
        told: collections.Counter[tuple[str, str]] = collections.Counter()  # (class id, its Latin name)
        for recording in recordings:
            counts.update(map(self.new_name, recording.labels))
            told.update((self.new_name(i), self.new_name(name)) for i, name in recording.names if i)
        self._latin_names = _latin_names(told)
        self._short_forms = _short_forms([*counts, *self._latin_names])
        groups: dict[str, list[str]] = collections.defaultdict(list)
        for name in counts:
            groups[self._group(name)].append(name)
        # of each group of names that look alike
        self._chosen = {
            group: max(names, key=lambda n: (*_quality(n), counts[n], n[:1].isupper(), n))
            for group, names in groups.items()
        }
        self._ids = self._ids_of_latin_names()
        for group, names in sorted(groups.items()):
            one = self._ids.get(group, self._chosen[group])
            if others := ", ".join(repr(name) for name in sorted(names) if name != one):
                logging.warning(
                    "one class for names that look alike, or are told of it: %r stands for %s too", one, others
                )
        alike: dict[str, list[str]] = collections.defaultdict(list)
        for group in groups:
            bare = odd_names.without_author(self._chosen[group])
            alike[label_cells.letters(bare).translate(_LOOK_ALIKE)].append(self._chosen[group])
        for several in [names for names in alike.values() if len(names) > 1]:
            logging.warning(_APART, "; ".join(sorted(several)))

    def _ids_of_latin_names(self) -> dict[str, str]:
        """{group of a Latin name: the class id that alone has it}, unless the name is a class id as well."""
        class_ids = {self._group(i) for owners in self._latin_names.values() for i in owners}
        return {
            self._group(name): self._chosen[self._group(owners[0])]
            for name, owners in self._latin_names.items()
            if len(owners) == 1 and self._group(name) not in class_ids
        }

    def new_name(self, name: str) -> str:
        """The new name of a synonym; any other name as it is."""
        return self._synonyms.get(key(name), name)

    def _group(self, name: str) -> str:
        return self._short_forms.get(key(name), key(name))

    def _spelling(self, name: str) -> str:
        """The one spelling of a name; it may be a Latin name, and no class id."""
        new = self.new_name(name)
        return new if new in self._latin_names else self._chosen.get(self._group(new), new)

    def _class_id(self, name: str) -> str:
        group = self._group(self.new_name(name))
        return self._ids.get(group) or self._chosen.get(group, self.new_name(name))

    def _latin_name(self, name: str, label: str) -> str:
        """The Latin name that an annotation tells; empty if it is that of another class than the label's."""
        owners = self._latin_names.get(self.new_name(name), [])
        return self._spelling(name) if owners and self._class_id(owners[0]) == self._class_id(label) else ""

    def renamed(self, recording: metadata.Recording) -> metadata.Recording:
        """The recording with class ids as labels, and names in one spelling."""
        label = self._class_id(recording.label) if recording.label else ""
        annotations = tuple(dict.fromkeys(map(self._renamed, recording.annotations)))
        name = label if recording.name == recording.label else self._spelling(recording.name)
        if annotations:
            name = next((a.name for a in annotations if a.label == label and a.name), label)
        further = dict.fromkeys(map(self._class_id, recording.further_labels))
        return dataclasses.replace(
            recording,
            label=label,
            name=name,
            further_labels=tuple(n for n in further if n != label),
            background=tuple(n for n in self._spellings(recording.background) if label not in (n, self._class_id(n))),
            annotations=annotations,
        )

    def _renamed(self, annotation: metadata.Annotation) -> metadata.Annotation:
        new = annotation.label and self._class_id(annotation.label)
        name = annotation.name and self._latin_name(annotation.name, annotation.label)
        background = self._spellings(annotation.background)
        if (new, background, name) == (annotation.label, annotation.background, annotation.name):
            return annotation
        return dataclasses.replace(annotation, label=new, background=background, name=name)

    def _spellings(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(map(self._spelling, names)))


def _latin_names(told: Mapping[tuple[str, str], int]) -> dict[str, list[str]]:
    """{Latin name: class ids that have it more often than any other name; the one that has it most often first}.

    Names of several ids are warned of, and ids of several species: a person who corrects the class id of a row may
    leave the name beside it, and a column of calls or epithets is no column of species. An id that is the Latin name of
    a code is corrected, too: what stands beside it is not its name.

    Args:
        told: {(class id, Latin name): how often}.
    """
    of_id: dict[str, dict[str, int]] = collections.defaultdict(dict)
    of_name: dict[str, dict[str, int]] = collections.defaultdict(dict)
    of_codes = {
        key(name) for class_id, name in told if not label_cells.is_latin(class_id) and key(class_id) != key(name)
    }
    for (class_id, name), count in sorted(told.items(), key=lambda entry: (-entry[1], entry[0])):
        if key(class_id) != key(name) and key(class_id) not in of_codes:
            of_id[class_id][name] = of_name[name][class_id] = count
    if shared := [name for name, counts in of_name.items() if len({*map(key, counts)}) > 1]:
        logging.warning(
            "%d Latin names are told of several classes, the first: %r of %s; the class ids count", len(shared),
            shared[0], _with_counts(of_name[shared[0]]),
        )  # fmt: skip
    if several := [class_id for class_id, counts in of_id.items() if len({*map(_species, counts)}) > 1]:
        logging.warning(
            "%d classes are told of several Latin names, the first: %r of %s; each stays one class. If another column "
            "holds the species, say --columns=label=NAME", len(several), several[0], _with_counts(of_id[several[0]]),
        )  # fmt: skip
    return {name: [i for i in counts if next(iter(of_id[i])) == name] for name, counts in of_name.items()}


def _with_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count} x)" for name, count in counts.items())


def _species(name: str) -> str:
    """What the Latin names of a species and its subspecies have in common."""
    return " ".join(key(name).split()[:2])


@functools.cache
def key(name: str) -> str:
    """Equal for names that differ in case, blanks, underscores or the form of accented letters."""
    return " ".join(texts.comparable(name).replace("_", " ").split())


def _quality(name: str) -> tuple[bool, bool, bool]:
    """Of several spellings, a Latin name as it is printed is best; others have no underscore, and composed letters."""
    return label_cells.is_latin(name), "_" not in name, name == texts.clean(name)


def _short_forms(counts: Iterable[str]) -> dict[str, str]:
    """{key of a `Latin name_Common Name`: key of the Latin name}, where just one such name has the Latin name.

    A part behind the underscore that begins with a small letter is no name: Parus major_song is a class of its own.
    """
    commons: dict[str, set[str]] = collections.defaultdict(set)
    names = list(counts)
    for name in names:
        latin, _, common = name.partition("_")
        if common and label_cells.is_latin(latin):
            commons[key(latin)].add(key(name))
    known = {key(name) for name in names}
    found = {}
    for latin_key, full in commons.items():
        has_common_name = all(name.partition("_")[2][:1].isupper() for name in names if key(name) in full)
        if len(full) == 1 and has_common_name:
            if latin_key in known:
                found[full.pop()] = latin_key
        elif len(full) > 1 or latin_key in known:
            listed = "; ".join(sorted(name for name in names if key(name) in full | {latin_key}))
            logging.warning(_APART, listed)
    return found
