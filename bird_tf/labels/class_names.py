"""One name for each class: synonyms of changed taxonomies, and spellings that look alike."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

from absl import logging

from bird_tf import config
from bird_tf.labels import label_cells, metadata, texts


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
        old, new = ([texts.clean(cell) for cell in cells] + ["", ""])[:2]
        if position == 0 and texts.comparable(old).split(" ")[0] in ("old", "from", "synonym", "name", "alias"):
            continue
        if not old or not new:
            raise config.InputError(f"--synonyms={path}, line {number}: need two columns, the old name and the new one")
        if found.setdefault(_key(old), new) != new:
            raise config.InputError(f"--synonyms={path}, line {number}: {old} has another new name above")
    return {old: _last(path, old, found) for old in found if found[old] and _key(found[old]) != old}


def _last(path: str, old: str, new_names: Mapping[str, str]) -> str:
    seen, name = {old}, new_names[old]
    while _key(name) in new_names and new_names[_key(name)] != name:
        if _key(name) in seen:
            raise config.InputError(f"--synonyms={path}: the new names of {name} lead back to it")
        seen.add(_key(name))
        name = new_names[_key(name)]
    return name


def unify(recordings: Iterable[metadata.Recording], synonyms: Mapping[str, str]) -> list[metadata.Recording]:
    """Gives each class one name: the new one of synonyms, and of spellings that look alike the most frequent one.

    Alike are names that differ in case, blanks, underscores or the form of accented letters, and BirdNET's
    `Latin name_Common Name` beside the Latin name. A Latin name becomes the class id that it is told of.
    What is renamed is logged, and so are doubtful pairs.

    Args:
        recordings: of all classes.
        synonyms: as of `read_synonyms`.
    """
    recordings = list(recordings)

    @functools.cache
    def new_name(name: str) -> str:
        return synonyms.get(_key(name), name)

    counts: collections.Counter[str] = collections.Counter()
    told: collections.Counter[tuple[str, str]] = collections.Counter()  # (class id, its Latin name)
    for recording in recordings:
        counts.update(map(new_name, recording.labels))
        told.update((new_name(class_id), new_name(name)) for class_id, name in recording.names if class_id)
    latin_names = _latin_names(told)
    groups: dict[str, list[str]] = collections.defaultdict(list)
    short_forms = _short_forms([*counts, *latin_names])

    def group(name: str) -> str:
        return short_forms.get(_key(name), _key(name))

    for name in counts:
        groups[group(name)].append(name)
    chosen = {
        key: max(names, key=lambda n: (*_quality(n), counts[n], n[:1].isupper(), n)) for key, names in groups.items()
    }
    with_name = {group(class_id) for class_ids in latin_names.values() for class_id in class_ids}
    ids = {
        group(name): chosen[group(class_ids[0])]
        for name, class_ids in latin_names.items()
        if len(class_ids) == 1 and group(name) not in with_name
    }
    for key, names in sorted(groups.items()):
        one = ids.get(key, chosen[key])
        if others := ", ".join(repr(name) for name in sorted(names) if name != one):
            logging.warning("one class for names that look alike, or are told of it: %r stands for %s too", one, others)

    def one_class(name: str) -> str:
        return chosen.get(group(name), name)

    @functools.cache
    def rename(name: str) -> str:
        return new_name(name) if new_name(name) in latin_names else one_class(new_name(name))

    @functools.cache
    def class_id(name: str) -> str:
        return ids.get(group(new_name(name)), one_class(new_name(name)))

    @functools.cache
    def latin_name(name: str, label: str) -> str:
        owners = latin_names.get(new_name(name), [])
        return rename(name) if owners and class_id(owners[0]) == class_id(label) else ""

    renamed = [_with_names(recording, rename, class_id, latin_name) for recording in recordings]
    if changed := sum(new_name(n) != n for r in recordings for n in r.labels):
        logging.info("--synonyms: %d labels got their new name", changed)
    return renamed


def _latin_names(told: Mapping[tuple[str, str], int]) -> dict[str, list[str]]:
    """{Latin name: class ids that have it more often than any other name; the one that has it most often first}.

    Names of several ids are warned of: a person who corrects the class id of a row may leave the name beside it.

    Args:
        told: {(class id, Latin name): how often}.
    """
    of_id: dict[str, str] = {}
    of_name: dict[str, dict[str, int]] = collections.defaultdict(dict)
    for (class_id, name), count in sorted(told.items(), key=lambda entry: (-entry[1], entry[0])):
        if _key(class_id) != _key(name):
            of_id.setdefault(class_id, name)
            of_name[name][class_id] = count
    if shared := [name for name, counts in of_name.items() if len({*map(_key, counts)}) > 1]:
        listed = ", ".join(f"{class_id} ({count} x)" for class_id, count in of_name[shared[0]].items())
        logging.warning(
            "%d Latin names are told of several classes, the first: %r of %s; the class ids count", len(shared),
            shared[0], listed,
        )  # fmt: skip
    return {name: [i for i in counts if of_id[i] == name] for name, counts in of_name.items()}


def _key(name: str) -> str:
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
            commons[_key(latin)].add(_key(name))
    known = {_key(name) for name in names}
    found = {}
    for latin_key, full in commons.items():
        has_common_name = all(name.partition("_")[2][:1].isupper() for name in names if _key(name) in full)
        if len(full) == 1 and has_common_name:
            if latin_key in known:
                found[full.pop()] = latin_key
        elif len(full) > 1 or latin_key in known:
            listed = ", ".join(sorted(name for name in names if _key(name) in full | {latin_key}))
            logging.warning("classes that look alike stay apart: %s; --synonyms makes them one", listed)
    return found


def _with_names(
    recording: metadata.Recording,
    rename: Callable[[str], str],
    class_id: Callable[[str], str],
    latin_name: Callable[[str, str], str],
) -> metadata.Recording:
    """The recording with class ids as labels, and names in one spelling.

    Args:
        recording: any.
        rename: name → its one spelling.
        class_id: label → class id.
        latin_name: (name of an annotation, its label) → Latin name of the class; empty if it is that of another one.
    """
    label = class_id(recording.label) if recording.label else ""

    def all_renamed(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(map(rename, names)))

    def renamed(annotation: metadata.Annotation) -> metadata.Annotation:
        new, background = annotation.label and class_id(annotation.label), all_renamed(annotation.background)
        name = annotation.name and latin_name(annotation.name, annotation.label)
        if (new, background, name) == (annotation.label, annotation.background, annotation.name):
            return annotation
        return dataclasses.replace(annotation, label=new, background=background, name=name)

    annotations = tuple(dict.fromkeys(map(renamed, recording.annotations)))
    name = label if recording.name == recording.label else rename(recording.name)
    if annotations:
        name = next((a.name for a in annotations if a.label == label and a.name), label)
    return dataclasses.replace(
        recording,
        label=label,
        name=name,
        further_labels=tuple(dict.fromkeys(n for n in map(class_id, recording.further_labels) if n != label)),
        background=tuple(n for n in all_renamed(recording.background) if n != label),
        annotations=annotations,
    )
