"""Recordings that belong together, and so stay on one side of a split: by author, folder, site, day or name.

Clips cut from one recording, copies of it in other formats, and recordings with equal audio, always belong together.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from absl import logging

from bird_tf import config, files
from bird_tf.labels import metadata, recorders, texts

# numbers of xeno-canto, Macaulay Library and iNaturalist in a file name
_CATALOGUE = re.compile(r"(?<![a-z0-9])(xc|ml|inat)[-_ ]?(\d{3,})(?!\d)", re.IGNORECASE | re.ASCII)
# a recorder's date and time; what follows tells the clip
_RECORDER = re.compile(r"^.*?(?<!\d)20\d{6}[-_T]\d{6}(?!\d)", re.ASCII)
_TIME_ALONE = re.compile(r"20\d{6}[-_T]\d{6}", re.ASCII)  # recorders of one schedule write the same
# what BirdNET and other tools write behind the name
_SPAN = re.compile(r"[-_ ](\d+(?:\.\d+)?)(s?)[-_](\d+(?:\.\d+)?)(s?)$", re.IGNORECASE | re.ASCII)
_PART = re.compile(
    r"[-_. ](?:(?:chunk|clip|part|piece|seg|segment|sel|selection|slice|split)[-_. ]{0,2}\d+|\d+of\d+"
    r"|start[-_ ]?\d+(?:\.\d+)?s?[-_ ]end[-_ ]?\d+(?:\.\d+)?s?|(?:\d+h)?\d+m\d+s[-_ ](?:\d+h)?\d+m\d+s)$",
    re.IGNORECASE | re.ASCII,
)
# one channel of a recording
_CHANNEL = re.compile(r"[-_. ](?:ch(?:annel[-_ ]?)?\d{1,2}|left|right|mid|side)$", re.IGNORECASE | re.ASCII)
# ESC-50: fold, number at Freesound (no year), take, class
_TAKE = re.compile(r"(\d-(?!(?:19|20)\d\d-)\d{3,})-[A-Z]-\d+", re.ASCII)
# the number of a recording and that of the clip, as 557838-0; no date or year
_NUMBERED = re.compile(r"(?!(?:19|20)\d\d(?:\d{4})?[-_])(\d{4,})[-_](0|[1-9]\d{0,2})", re.ASCII)
# numbers that may be dates or times of day: 230501, 010523, 0530, 053000
_CLOCK = re.compile(
    r"\d\d(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])|(?:[0-2]\d|3[01])(?:0[1-9]|1[0-2])\d\d|(?:[01]\d|2[0-3])(?:[0-5]\d){1,2}"
)
# a name with fewer digits, as song_part1, is taken for the same recording in its own folder only
_DIGITS_OF_A_UNIQUE_NAME = 5
# so many recordings with a site each, by their names, tell whether a number in these runs on
_FEWEST_OF_A_COUNTER = 6
_NUMBER_ALONE = re.compile(r"(?<![^\W_])(\d+)(?![^\W_])", re.ASCII)  # not that of S01


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupConfig:
    """What stays together."""

    group_by: str = config.option(
        "author",
        "what stays on the same side of the split: author (a session); recording; folder; site; day (at one site, if "
        "that is known); or pattern, with --group_pattern. Clips of one recording and equal audio always do",
        choices=("author", "recording", "folder", "site", "day", "pattern"),
    )
    group_pattern: str = config.option(
        "",
        "with --group_by=pattern: regular expression; file names stay together in which it finds the same text, or the "
        "same text in its first parentheses",
    )

    def __post_init__(self) -> None:
        if bool(self.group_pattern) != (self.group_by == "pattern"):
            raise config.InputError(
                f"--group_by={self.group_by} --group_pattern={self.group_pattern}: --group_by=pattern and "
                "--group_pattern=REGEX belong together"
            )
        try:
            re.compile(self.group_pattern)
        except re.error as error:
            raise config.InputError(f"--group_pattern={self.group_pattern}: no regular expression ({error})") from error


def assign(recordings: Sequence[metadata.Recording], settings: GroupConfig) -> dict[str, str]:
    """{recording_id: name of its group}. A recording without what groups are made by is a group of its own."""
    key = _keys(recordings, settings)
    names: dict[str, str] = {}
    spellings: dict[str, str] = {}  # Ana Lima and ana lima are one
    unknown = 0
    for recording in recordings:
        text = key(recording) if key else ""
        unknown += not text
        name = recording.recording_id
        names[recording.recording_id] = f"{settings.group_by} {text}" if text else f"recording {name}"
        if text and settings.group_by in ("author", "site", "day"):
            spellings[name] = texts.comparable(texts.clean(text))
    if key and unknown:
        logging.warning(
            "--group_by=%s: it is not known of %d of %d recordings; each of them is a group of its own",
            settings.group_by, unknown, len(recordings),
        )  # fmt: skip
    if settings.group_by in ("site", "day"):
        _warn_of_counters(recordings, settings.group_by)
    clips, copies = clips_of_one_recording(recordings), _without_suffix(recordings)
    return _joined(names, [spellings, clips, copies, _equal(recordings)])


def _warn_of_counters(recordings: Sequence[metadata.Recording], group_by: str) -> None:
    """Warns of sites by file name that hold a running number, as 000_S01, 001_S02, 002_S01: each is of one recording.

    Without the number there are several sites, and at least one of them has several recordings.
    """
    named = [r.site for r in recordings if r.site and os.path.basename(r.path).startswith(r.site)]
    if len(named) < _FEWEST_OF_A_COUNTER or len({*named}) < len(named):
        return
    parts = [_NUMBER_ALONE.split(site) for site in named]
    for i in range(1, min(map(len, parts)), 2):
        rests = {(*part[:i], *part[i + 1 :]) for part in parts}
        if len({part[i] for part in parts}) == len(parts) and 1 < len(rests) < len(parts):
            logging.warning(
                "--group_by=%s: each of %d recordings has a site of its own by its name, such as %s; if %s is a "
                "running number, say what tells the site: --group_by=pattern --group_pattern=REGEX, or a column site",
                group_by, len(named), named[0], parts[0][i],
            )  # fmt: skip
            return


def _keys(
    recordings: Sequence[metadata.Recording], settings: GroupConfig
) -> Callable[[metadata.Recording], str] | None:
    """The text that recordings of one group have in common; None for groups of single recordings."""
    if settings.group_by == "author":
        return lambda r: r.author
    if settings.group_by == "folder":
        folder_of = _folders(recordings)
        return lambda r: folder_of[r.recording_id]
    if settings.group_by == "site":
        return lambda r: r.site
    if settings.group_by == "day":
        return lambda r: f"{r.date} {r.site}" if r.date else ""
    if settings.group_by == "pattern":
        pattern = re.compile(settings.group_pattern)

        def found(recording: metadata.Recording) -> str:
            match = pattern.search(os.path.basename(recording.path))
            return (match.group(1) if pattern.groups else match.group()) or "" if match else ""

        return found
    return None


def _folders(recordings: Sequence[metadata.Recording]) -> dict[str, str]:
    """{recording_id: folder below the folder of all}, so that names do not depend on where the recordings lie."""
    folders = files.below_common([os.path.dirname(r.path) or "." for r in recordings])
    return {r.recording_id: folder for r, folder in zip(recordings, folders, strict=True)}


def clips_of_one_recording(recordings: Sequence[metadata.Recording]) -> dict[str, str]:
    """{recording_id: the recording that its name says it was cut from}, for names that say it."""
    folder_of = _folders(recordings)
    stems = {r.recording_id: os.path.splitext(os.path.basename(r.path))[0] for r in recordings}
    numbers = _numbers_of_recordings({(stems[r.recording_id], r.label) for r in recordings})
    found = {}
    for recording in recordings:
        stem = stems[recording.recording_id]
        if source := source_of_clip(stem) or numbers.get(stem, ""):
            unique = sum(character.isdigit() for character in source) >= _DIGITS_OF_A_UNIQUE_NAME
            catalogued = _CATALOGUE.fullmatch(source)
            # train/ and val/ of a given tree are one place
            place = folder_of[recording.recording_id].removeprefix(os.path.join(recording.split, ""))
            folder = "" if unique or catalogued else place
            if _TIME_ALONE.fullmatch(source):
                folder = recording.site  # unknown ones may be the same
            found[recording.recording_id] = os.path.join(folder, source)
    return found


def _numbers_of_recordings(named: Collection[tuple[str, str]]) -> dict[str, str]:
    """{file name: number of the recording} of clips called 557838-0, 557838-1 and so on, if those of a set are.

    Two numbers and more have several clips; most of them have a clip 0 or 1; and no number has more clips than there
    are numbers, as that of a recorder or a site may have. If most labels have a single number, these are of species.

    Args:
        named: (file name, label) of recordings.
    """
    matches = {stem: match for stem, _ in named if (match := _NUMBERED.fullmatch(stem))}
    clips: dict[str, set[int]] = collections.defaultdict(set)
    for match in matches.values():
        clips[match[1]].add(int(match[2]))
    of_label: dict[str, set[str]] = collections.defaultdict(set)
    for stem, label in named:
        if stem in matches:
            of_label[label].add(matches[stem][1])
    several = [numbers for numbers in clips.values() if len(numbers) > 1]
    if (
        len(several) < 2
        or 2 * sum(min(numbers) < 2 for numbers in several) <= len(several)
        or max(map(len, several)) > len(clips)
        or all(map(_CLOCK.fullmatch, clips))
        or 2 * sum(len(numbers) == 1 for numbers in of_label.values()) > len(of_label)
    ):
        return {}
    return {stem: match[1] for stem, match in matches.items()}


def source_of_clip(stem: str) -> str:
    """The name of the recording that a clip was cut from, by the clip's file name; "" if the name does not say it.

    Known are the numbers of collections, with whatever else (XC123_004), a recorder's date and time, names with a span
    of time (0.91_dawn_3.0s_6.0s), a counted part (dawn_clip7) or a channel (dawn_left), and BirdNET's 0.91_2_dawn.
    """
    if match := _CATALOGUE.search(stem):
        return f"{match.group(1).upper()}{match.group(2)}"
    if match := _RECORDER.search(stem):
        return recorders.CONFIDENCE.sub("", match.group())
    if match := _TAKE.fullmatch(stem):
        return match.group(1)
    whole = _without_tail(_CHANNEL.sub("", stem))
    prefix = recorders.CONFIDENCE.match(whole)
    if whole == stem and not (prefix and prefix["number"]):
        return ""
    return whole[prefix.end() :] if prefix else whole


def _without_tail(stem: str) -> str:
    """The name without what tells the clip at its end."""
    if (match := _SPAN.search(stem)) and _is_span(match):
        return stem[: match.start()]
    return _PART.sub("", stem)


def _without_suffix(recordings: Sequence[metadata.Recording]) -> dict[str, str]:
    """{recording_id: path without suffix}: a recording and its copies in other formats have it in common."""
    return {r.recording_id: os.path.splitext(r.path)[0] for r in recordings if r.path}


def tell(recordings: Sequence[metadata.Recording]) -> None:
    """Warns of what names tell: copies in several formats, and a given split that divides clips of one recording.

    Lossy copies differ in their audio.
    """
    copies = [
        group
        for group in _with_one_value(recordings, _without_suffix(recordings))
        if len({r.digest or r.path for r in group}) > 1
    ]
    if copies:
        logging.warning(
            "%d recordings lie in several formats in one folder, as %s; if they are copies, keep one: all count",
            len(copies), _names(copies[0][:2]),
        )  # fmt: skip
    told = [r for r in recordings if not _TIME_ALONE.fullmatch(os.path.splitext(os.path.basename(r.path))[0])]
    clips = _with_one_value(told, clips_of_one_recording(told))
    if divided := [group for group in clips if len({r.split for r in group}) > 1]:
        pair = {r.split: r for r in divided[0]}.values()
        logging.warning(
            "the given split has clips of %d recordings on both sides, as %s; move them to one side",
            len(divided), _names(pair),
        )  # fmt: skip


def _names(recordings: Iterable[metadata.Recording]) -> str:
    return " and ".join(os.path.basename(r.path) for r in recordings)


def _with_one_value(
    recordings: Sequence[metadata.Recording], relation: Mapping[str, str]
) -> list[list[metadata.Recording]]:
    """The recordings of each value of a relation that two and more have."""
    found: dict[str, list[metadata.Recording]] = collections.defaultdict(list)
    for recording in recordings:
        if value := relation.get(recording.recording_id):
            found[value].append(recording)
    return [group for group in found.values() if len(group) > 1]


def _is_span(match: re.Match[str]) -> bool:
    """Whether two numbers are the times of a clip: they rise, and have decimals or a unit."""
    start, unit, end, other_unit = match.groups()
    return float(start) < float(end) and (bool(unit and other_unit) or "." in start + end)


def _equal(recordings: Sequence[metadata.Recording]) -> dict[str, str]:
    """{recording_id: digest}, for recordings with a digest."""
    return {r.recording_id: r.digest for r in recordings if r.digest}


def _joined(names: Mapping[str, str], relations: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Joins groups that a relation connects. A joined group has the first of their names."""
    import scipy.cluster.hierarchy

    joined = scipy.cluster.hierarchy.DisjointSet(names.values())
    for relation in relations:
        first_with: dict[str, str] = {}
        for recording_id, value in relation.items():
            joined.merge(names[recording_id], first_with.setdefault(value, names[recording_id]))
    first_of = {name: min(group) for group in joined.subsets() for name in group}
    return {recording_id: first_of[name] for recording_id, name in names.items()}
