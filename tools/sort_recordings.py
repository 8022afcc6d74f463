"""Sorts labelled recordings into the tree train/SPECIES, val/SPECIES, metadata/, which --layout=sorted reads.

For users who want to look at the split or listen to it. The converter does not need such a tree. What goes where is
written down before the first recording is touched, so a sorting that was killed goes on with the same command.
"""

from __future__ import annotations

import collections
import dataclasses
import errno
import filecmp
import math
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import logging

from bird_tf import command_line, config, files, locks, progress_bars, resume, skips, stored
from bird_tf.audio import decode, frontend
from bird_tf.labels import duplicates, metadata, split
from bird_tf.labels.layouts import reader, sorted_tree

_STEPS = "steps.json"
_LONGEST_NAME = 200  # bytes; file systems take 255, and suffixes and temporary names need room


@dataclasses.dataclass(frozen=True, kw_only=True)
class SortConfig:
    """Flags of the sorting tool."""

    source: reader.SourceConfig
    split: split.SplitConfig
    output: str = config.option("", "folder to make the tree in, new or empty", required=True)
    how: str = config.option("copy", "what to do with the recordings", choices=("copy", "move", "symlink", "hardlink"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Step:
    """What is done with one recording.

    Attributes:
        source: its path.
        folder, name: of the file in the tree.
        description: the content of its JSON file.
    """

    source: str
    folder: str
    name: str
    description: Mapping[str, Any]

    @property
    def target(self) -> str:
        """Its place in the tree."""
        return os.path.join(self.folder, self.name)

    @property
    def json(self) -> str:
        """The place of its JSON file in the tree."""
        return os.path.join("metadata", f"{os.path.splitext(self.name)[0]}.json")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Steps:
    """A whole sorting, and (path, reason) of the recordings that are left out."""

    steps: tuple[_Step, ...]
    left_out: tuple[tuple[str, str], ...]


def _copy(path: str, target: str, *, durable: bool = False) -> None:
    with files.replacing(target, durable=durable) as temporary:
        shutil.copy2(path, temporary)


def _move(path: str, target: str) -> None:
    if os.path.islink(path):  # a relative one leads nowhere from another folder
        _symlink(path, target)
        os.remove(path)
        return
    try:
        os.rename(path, target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # it moves to another disk
            raise
        _copy(path, target, durable=True)
        os.remove(path)


def _symlink(path: str, target: str) -> None:
    os.symlink(os.path.realpath(path), target)


def _hardlink(path: str, target: str) -> None:
    try:
        os.link(path, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        raise config.InputError(
            f"{path} is on another disk than {target}, where no hard link can lead; use --how=symlink or --how=copy"
        ) from error


_HOW: dict[str, Callable[[str, str], Any]] = {
    "copy": _copy,
    "move": _move,
    "symlink": _symlink,
    "hardlink": _hardlink,
}


def sort(settings: SortConfig) -> list[skips.Skip]:
    """Makes the tree, or goes on with one that was not finished. The last file is summary.json.

    Returns:
        (path, reason) of recordings that are left out.

    Raises:
        InputError: what `reader.read` raises; an output that holds something else, or the beginning of another sorting;
            two recordings of one name; annotated recordings, which do not fit into the tree; a recording that vanished;
            a hard link to another disk.
    """
    claim = resume.Claim(
        directory=settings.output,
        plan={"flags": {name: value for name, value in config.to_mapping(settings).items() if name != "output"}},
        work="sorting",
        flag="--output",
        notes=sorted_tree.UNFINISHED,
        flags_of=SortConfig,
    )
    notes = os.path.join(settings.output, sorted_tree.UNFINISHED)
    with claim.locked():
        if not claim.has_plan:
            _refuse_occupied(settings.output)
        claim.start(claim.goes_on())
        path = os.path.join(notes, _STEPS)
        if not files.exists(path):
            files.write_json(path, dataclasses.asdict(_plan(settings)), durable=True)
        planned = stored.read_json(path, _Steps)
        _carry_out(planned.steps, settings.output, settings.how)
        summary = {"how": settings.how, "num_recordings": len(planned.steps), "num_left_out": len(planned.left_out)}
        files.write_json(os.path.join(settings.output, files.SUMMARY), summary)
        files.remove(notes)
    return list(planned.left_out)


def _refuse_occupied(output: str) -> None:
    names = set(files.names(output)) - {locks.NAME, sorted_tree.UNFINISHED}
    if files.SUMMARY in names:
        raise config.InputError(f"{output} holds a finished tree, or other results; name another --output")
    if names:
        raise config.InputError(f"{output} is not empty; --output names a new or empty folder")


def _plan(settings: SortConfig) -> _Steps:
    """What goes where."""
    found, left_out = reader.read(settings.source)
    if annotated := [r for r in found if r.annotations]:
        raise config.InputError(
            f"{annotated[0].path} has several labels over time, so it does not fit into the folder of one species"
        )
    left_out += [(r.path, "it is negative, and the tree holds species only") for r in found if not r.labels]
    labelled = [r for r in found if r.labels]
    lengths = decode.durations([r.path for r in labelled])
    seconds = {r.recording_id: length for r, length in zip(labelled, lengths, strict=True)}
    # any rate tells equal audio
    labelled = duplicates.with_digests(labelled, seconds, frontend.FrontendConfig().sample_rate_hz, workers=0)
    steps = []
    for recording in split.split(labelled, settings.split):
        name = _safe(recording.recording_id) + os.path.splitext(recording.path)[1]
        folder = os.path.join(recording.split, _safe(recording.name or recording.label))
        step = _Step(
            source=os.path.abspath(recording.path), folder=folder, name=name, description=describe(recording, name)
        )
        steps.append(step)
    counts = collections.Counter(step.json for step in steps)
    if twice := [step for step in steps if counts[step.json] > 1]:
        raise config.InputError(
            f"{twice[0].source} and {twice[1].source} would get the same name in the tree; rename one of them"
        )
    return _Steps(steps=tuple(steps), left_out=tuple(left_out))


def _carry_out(steps: Sequence[_Step], output: str, how: str) -> None:
    """Does what is left of the steps."""
    for part in sorted_tree.SPLITS:  # by both of them a tree is known
        files.make_folder(os.path.join(output, part))
    left = [step for step in steps if not files.exists(os.path.join(output, step.json))]
    if len(left) < len(steps):
        logging.info("going on: %d of %d recordings are sorted already", len(steps) - len(left), len(steps))
    with progress_bars.start(len(left), "recording", how) as progress:
        for step in left:
            files.make_folder(os.path.join(output, step.folder))
            _place(step.source, os.path.join(output, step.target), how)
            files.write_json(os.path.join(output, step.json), step.description)
            progress.update()


def _place(source: str, target: str, how: str) -> None:
    """Puts a recording into the tree, unless the command was killed when it had done so."""
    if not os.path.lexists(target):
        if not os.path.exists(source):
            raise config.InputError(f"{source} is gone, and not in the tree yet; bring it back and repeat the command")
        _HOW[how](source, target)
    elif how == "move" and os.path.lexists(source):  # the copy on another disk is complete
        if not filecmp.cmp(source, target, shallow=False):
            raise config.InputError(f"{source} is not what was moved to {target}; rename or remove one of them")
        os.remove(source)


def _safe(name: str) -> str:
    """Makes a file name: characters that would lead into another folder, or hide the file, are replaced; a long one is
    cut, with a digest that tells it from others."""
    name = re.sub(r"[/\\\0]", "_", name).lstrip(".") or "_"
    content = name.encode()
    if len(content) <= _LONGEST_NAME:
        return name
    return f"{content[:_LONGEST_NAME].decode(errors='ignore')}-{files.text_digest(name)[:8]}"


def describe(recording: metadata.Recording, file_name: str) -> dict[str, Any]:
    """The content of the JSON file of a recording; `sorted_tree.parse` reads it. Unknown background is null."""
    fields = {
        "filename": file_name,
        "classid": ";".join(recording.labels),
        "sci-name": recording.name,
        "background": list(recording.background) if recording.background_known else None,
        "author": recording.author,
        "date": recording.date,
        "site": recording.site,
    }
    for name in ("latitude", "longitude", "elevation", "day_of_year", "hour", "utc_offset_hours"):
        value = getattr(recording, name)
        fields[name] = None if math.isnan(value) else value
    return fields


def main(settings: SortConfig) -> None:
    """Sorts, and prints a summary line."""
    unmatched = sort(settings)
    for path, reason in unmatched:
        skips.log((path, reason))
    logging.info("%s: sorted by %s, %d left out", settings.output, settings.how, len(unmatched))


if __name__ == "__main__":
    command_line.run(main, SortConfig)
