"""One folder for each species."""

from __future__ import annotations

import calendar
import collections
import dataclasses
import os
import re
from collections.abc import Collection, Iterable, Sequence

from absl import logging

from bird_tf import config
from bird_tf.audio import decode
from bird_tf.labels import class_names, label_cells, metadata, odd_names, split, texts
from bird_tf.labels.layouts import assembly
from bird_tf.labels.tables import columns, common_names, rows

_YEAR = re.compile(r"(?:19|20)\d\d")
_DAY = re.compile(r"(?:19|20)\d\d(?:([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])|[-_.](?:0[1-9]|1[0-2]))")
_FORMATS = frozenset(suffix.removeprefix(".") for suffix in decode.SUFFIXES)
_OF_SITES = frozenset(columns.COLUMNS["site"])
# S1, 2023-05-01, fold3; not sp01, ind_01, type_1 or 01 Great Tit
_NUMBERED = re.compile(
    r"(?!(?:spp?|ind|id|typ)[\W\d_])([^\W\d_]{0,3}|fold|part|night|week|point|" + "|".join(sorted(_OF_SITES))
    + r")[\W_]*\d[\W\d_]*", re.IGNORECASE,
)  # fmt: skip
# words of folders that hold recordings of any species
CONTAINERS = split.PARTS.keys() | _FORMATS | _OF_SITES | frozenset((
    *(name.lower() for name in (*calendar.month_name, *calendar.month_abbr) if name),
    "spring", "summer", "autumn", "winter", "year", "month", "week", "raw", "original", "orig", "augmented", "aug",
    "denoised", "filtered", "processed", "audiomoth", "songmeter", "microphone", "mic", "device", "recorder", "xeno",
    "canto", "macaulay", "audio", "audios", "data", "dataset", "datasets", "files", "recordings", "recording", "sounds",
    "wavs", "src", "segments", "clips", "clip", "soundscapes", "fold", "batch", "card", "download", "downloads",
    "aufnahmen", "aufnahme", "dateien", "daten", "enregistrements", "sons", "fichiers", "grabaciones", "sonidos",
    "archivos", "descargas", "opnames", "geluiden", "registrazioni", "suoni", "gravações", "inspelningar",
))  # fmt: skip
# words of folders in those of a species
_OF_RECORDINGS = CONTAINERS | frozenset((
    "day", "night", "dawn", "dusk", "morning", "evening", "clean", "noise", "noisy", "left", "right", "stereo", "mono",
    "channel", "near", "far", "good", "bad", "high", "low", "full", "bird", "nest", "ring", "point", "part", "group",
    "track", "session", "dialect",
))  # fmt: skip
_FEWEST_CODES = 3  # of different letters
_RANKS = re.compile(r"\d+_(?:[A-Z][a-z]+_)+([A-Z][a-z]+_[a-z-]+)")  # as iNaturalist calls folders
_ONE_IN = 10  # at most one recording in so many may lie less deep


def is_likely(paths: Iterable[str], audio: str) -> bool:
    """Whether any recording lies in a folder below `audio`."""
    return any(len(_parts(path, audio)) > 1 for path in paths)


def classes(paths: Iterable[str], audio: str, options: rows.Options) -> set[str]:
    """The names of the folders right below `audio`, without those of negatives."""
    found = {parts[0]: parts for parts in (_parts(path, audio) for path in paths) if len(parts) > 1}
    return {name for name, parts in found.items() if not _is_negative(parts, options)}


def has_negatives(paths: Iterable[str], audio: str, options: rows.Options) -> bool:
    """Whether a folder right below `audio` is one of negatives."""
    return any(_is_negative(_parts(path, audio), options) for path in paths)


def is_latin(folder: str) -> bool:
    """Whether a folder is `Parus major`, `Parus_major`, `Parus major_Great Tit`, or `01_Aves_Paridae_Parus_major`."""
    if ranks := _RANKS.fullmatch(folder):
        folder = ranks[1]
    return label_cells.is_latin(folder.replace("_", " ")) or label_cells.is_latin(folder.partition("_")[0])


def are_places(folders: Collection[str]) -> bool:
    """Whether most folders are called as sites, days and folds are: `S1` and `S2`, `2023-05-01`, `fold3`, `Site A`.

    Numbers alone may be those of species, as may be numbers behind different letters.
    """
    before = collections.Counter[str]()
    for name in folders:
        numbered = _NUMBERED.fullmatch(name)
        if texts.without_signs(name).partition(" ")[0] in _OF_SITES:
            before["site"] += 1
        elif numbered and not name.isdigit():
            before[numbered[1].casefold()] += 1
    return 2 * max(before.values(), default=0) > len(folders)


def refuse_nested(paths: Sequence[str], audio: str, options: rows.Options, *, in_tree: bool = False) -> None:
    """Refuses folders of which the ones in them seem to be the species.

    Folders of negatives tell nothing of this. A few recordings that lie less deep, as one beside its folders, do not
    hide it; another folder of a class does, except from years and parts of a split, which are no classes, nor are days
    and formats, if they are half of the folders.
    Where the same folders repeat in others, and nothing tells which are the species, a warning tells of it.

    Args:
        paths: the recordings.
        audio: folder with the folders of species.
        options: what the user says about labels.
        in_tree: whether these lie in the parts of a split, right below `audio`.

    Raises:
        InputError: a year or the like holds folders; or the recordings lie in folders of folders, and these are called
            as species are; or genera and their species; or they repeat in those of sites; or it is a single one, not
            in a tree nor beside negatives.
    """
    everything = [_parts(path, audio)[in_tree:] for path in paths]
    parts = [part for part in everything if not _is_negative(part, options)]
    pairs = list(dict.fromkeys((part[0], part[1]) for part in parts if len(part) > 2))
    doubtful = [pair for pair in pairs if _YEAR.fullmatch(pair[0]) or split.part_of(pair[0])]
    less_deep = [part for part in parts if len(part) < 3]
    outside = {outer for outer, _ in pairs}
    others = [pair for pair in pairs if _DAY.fullmatch(pair[0]) or pair[0].casefold() in _FORMATS]
    if 2 * len({outer for outer, _ in others}) >= len({part[0] for part in parts if len(part) > 1}):
        doubtful += others
    named = [pair for pair in pairs if rows.named(rows.Row(where=""), pair[1:], options).labels.species]
    may_be_single = not in_tree and len(parts) == len(everything)
    if (
        not doubtful
        and len(less_deep) * _ONE_IN <= len(parts)
        and outside.issuperset(part[0] for part in less_deep if len(part) > 1)
        and not any(map(is_latin, outside))
    ):
        if named and ((may_be_single and _is_single(named)) or _are_of_species(named)):
            doubtful = named
        elif _repeat(named):
            logging.warning(
                "%s: the classes are the folders such as %s: if these are the species, all is well; but the same "
                "folders are in several of them, such as %s; if those are the species, put them above: %s",
                audio, named[0][0], named[0][1],
                "/".join(reversed(named[0])),
            )  # fmt: skip
    if doubtful:
        outer, inner = doubtful[0]
        raise config.InputError(
            f"{audio}: are the classes folders such as {outer}, or those in them, such as {outer}/{inner}? --audio "
            f"names the folder of the folders of species, so these must lie above all others; if {outer} is one of "
            f"them, say --layout={'sorted' if in_tree else 'folders'}"
        )


def _is_single(pairs: Sequence[tuple[str, str]]) -> bool:
    """Whether all folders, as (outer, inner), lie in one."""
    return len(pairs) > 1 and len({outer for outer, _ in pairs}) == 1


def _are_of_species(pairs: Sequence[tuple[str, str]]) -> bool:
    """Whether folders in others are the species, as (outer, inner), for how they are called, or what they are in."""
    outside, inside = {outer for outer, _ in pairs}, {inner for _, inner in pairs}
    are_latin = [is_latin(inner) and not _is_no_species(inner) for inner in inside]
    letters = {code[1] for inner in inside if (code := label_cells.EBIRD_CODE.fullmatch(inner))}
    return (
        (len(inside) > 1 and 2 * sum(are_latin) > len(inside))
        or all(map(label_cells.is_latin, inside))
        or all(label_cells.is_latin(f"{outer} {inner}") and not _is_no_species(inner) for outer, inner in pairs)
        or (
            _are_codes(inside, label_cells.EBIRD_CODE)
            and len(letters) >= _FEWEST_CODES
            and not _are_codes(outside, label_cells.EBIRD_CODE)
        )
        or (are_places(outside) and (_are_codes(inside, label_cells.RINGERS_CODE) or _repeat(pairs)))
    )


def _are_codes(folders: Collection[str], code: re.Pattern[str]) -> bool:
    """Whether most folders are called as codes of species are, and not as what else may lie in those of species."""
    return 2 * sum(bool(code.fullmatch(name)) and not _is_no_species(name) for name in folders) > len(folders)


def _repeat(pairs: Sequence[tuple[str, str]]) -> bool:
    """Whether most folders, as (outer, inner), stand in several others, and have no numbers and may be species.

    Folders called as species are hold what people like: `AMRO/Anna`.
    """
    outside_of, inside_of = collections.defaultdict[str, set[str]](set), collections.defaultdict[str, set[str]](set)
    for outer, inner in pairs:
        outside_of[class_names.key(inner)].add(outer)
        inside_of[outer].add(class_names.key(inner))
    inside = {inner for _, inner in pairs}
    are_else = [any(map(str.isdigit, inner)) or _is_no_species(inner) for inner in inside]
    return (
        2 * sum(len(outer) > 1 for outer in outside_of.values()) > len(outside_of)
        and 2 * sum(len(inner) > 1 for inner in inside_of.values()) > len(inside_of)
        and 2 * sum(are_else) < len(are_else)
        and not any(_are_codes(inside_of, code) for code in (label_cells.EBIRD_CODE, label_cells.RINGERS_CODE))
    )


def _is_no_species(folder: str) -> bool:
    """Whether all words of a folder are those of kinds of sounds, devices, months and the like, or a letter or two."""
    words = re.findall(r"[^\W\d_]{3,}", folder.casefold())
    return all(word in _OF_RECORDINGS or odd_names.is_sound(f"{word} call") for word in words)


def refuse_places(described: Iterable[metadata.Recording], audio: str) -> None:
    """Refuses folders that tables tell as the sites, the authors or the days of their recordings.

    Args:
        described: what tables say of recordings.
        audio: folder with the folders.

    Raises:
        InputError: all of these recordings lie in the folder of their site, author or day, and these are several.
    """
    told = [(_parts(each.path, audio)[0], (each.site, each.author, each.date)) for each in described]
    if len({folder for folder, _ in told}) > 1 and all(
        class_names.key(folder) in map(class_names.key, of_recording) for folder, of_recording in told
    ):
        raise config.InputError(
            f"{audio}: the folders, such as {told[0][0]}, are those of sites, authors or days in tables, and no table "
            "tells species: say --columns=label=NAME, or --layout=folders if the folders are the species"
        )


def _is_negative(parts: Sequence[str], options: rows.Options) -> bool:
    return len(parts) > 1 and rows.named(rows.Row(where=""), parts[:1], options).labels.negative


def warn_of_unused(recordings: Iterable[metadata.Recording], audio: str) -> None:
    """Warns if labels come from files, and most of them are no names of the folders, although these are Latin.

    A label that stands in one such folder alone can be the code of its species.

    Args:
        recordings: with class ids as labels.
        audio: the folder with all of them.
    """
    num_labelled, apart, folders_of = 0, 0, collections.defaultdict[str, set[str]](set)
    for recording in recordings:
        if recording.labels:
            num_labelled += 1
            latin = [
                part for part in _parts(recording.path, audio)[:-1] if label_cells.is_latin(part.replace("_", " "))
            ]
            names = {class_names.key(name) for pair in recording.names for name in pair}
            if latin and names.isdisjoint(map(class_names.key, latin)):
                apart += 1
                folders_of[recording.label].add(latin[-1])
    several = next((label for label, of_label in folders_of.items() if len(of_label) > 1), "")
    if several and 2 * apart > num_labelled:
        logging.warning(
            "folders such as %s are not used: the labels come from files, as %s of several of them; if the folders are "
            "the species, say --layout=folders", " and ".join(sorted(folders_of[several])[:2]), several,
        )  # fmt: skip


def warn_of_others(recordings: Iterable[metadata.Recording], audio: str) -> None:
    """Warns of recordings whose labels, from files, are not the class that their folder is called as.

    Background species that are the folder's are no contradiction, nor are negatives, and a number is no name.

    Args:
        recordings: with class ids as labels.
        audio: the folder with all of them.
    """
    labelled = [(recording, _own_names(recording)) for recording in recordings if recording.labels]
    names = {class_names.key(name) for recording, _ in labelled for pair in recording.names for name in pair}
    others = []
    for recording, own in labelled:
        folders = _parts(recording.path, audio)[:-1]
        classes = [folder for folder in folders if class_names.key(folder) in names and not folder.isdecimal()]
        if classes and own.isdisjoint(map(class_names.key, classes)):
            others.append((recording, classes[-1]))
    if others:
        first, folder = others[0]
        logging.warning(
            "%d recordings lie in the folder of another class than their label says, the first: %s lies in %s, and is "
            "labelled %s: the label counts", len(others), first.path, folder, ", ".join(first.labels),
        )  # fmt: skip


def _own_names(recording: metadata.Recording) -> set[str]:
    """The keys of all species of a recording, those in the background too."""
    of_spans = [name for annotation in recording.annotations for name in annotation.background]
    told = [*(name for pair in recording.names for name in pair), *recording.background, *of_spans]
    return set(map(class_names.key, told))


def read(described: Iterable[metadata.Recording], audio: str, options: rows.Options) -> assembly.Assembled:
    """Gives each recording the name of the folder right below `audio` as its label.

    A folder can mean negatives; see `label_cells`. It names several species if each of them is a Latin name or another
    folder. Any other name that a label cell would divide is refused. The recordings of a folder of what has no name, as
    `unknown` and `Sonus naturalis`, are left out.

    Args:
        described: the recordings, and what tables say of them besides the species.
        audio: folder with the folders of species.
        options: what the user says about labels.
    """
    found, described = assembly.Assembled(), list(described)
    names = {parts[0] for parts in (_parts(each.path, audio) for each in described) if len(parts) > 1}
    there = {name for name in os.listdir(audio) if name[0] != "." and os.path.isdir(os.path.join(audio, name))}
    if empty := sorted(there - names):
        logging.info("%d folders hold no recording and are no classes, the first: %s", len(empty), empty[0])
    named = _named(names, options)
    for recording in described:
        folder, *rest = _parts(recording.path, audio)
        if not rest:
            found.unmatched.append((recording.path, "does not lie in a folder of a species"))
            continue
        row = named[folder]
        try:
            if row.problem:
                raise config.InputError(f"{row.where}: {row.problem}")
            found.recordings.append(assembly.with_label(dataclasses.replace(recording, name=""), [row]))
        except assembly.NotSureError as error:
            found.left_out.append((recording.path, str(error)))
        except config.InputError as error:
            found.unmatched.append((recording.path, str(error)))
    return found


def _named(folders: Collection[str], options: rows.Options) -> dict[str, rows.Row]:
    """What the name of each folder says."""
    known = set(map(class_names.key, folders))
    named = {}
    for folder in folders:
        row = rows.Row(where=f"the folder {folder}")
        several = _are_species(folder, known)
        named[folder] = rows.labelled(row, folder, options) if several else rows.named(row, [folder], options)
    pairs = common_names.pairs(named.values())
    named = {folder: common_names.joined(row, pairs) for folder, row in named.items()}
    species = rows.species_of(named.values())
    return {folder: rows.among(row, species) for folder, row in named.items()}


def _are_species(folder: str, known: Collection[str]) -> bool:
    """Whether the names that a folder is divided into are species: Latin names, or those of folders."""
    try:
        names = [texts.clean(name).removeprefix("-") for name in label_cells.divided(texts.clean(folder))]
    except ValueError:
        return False
    return all(label_cells.is_latin(name) or class_names.key(name) in known for name in names)


def _parts(path: str, audio: str) -> list[str]:
    return os.path.relpath(path, audio).split(os.sep)
