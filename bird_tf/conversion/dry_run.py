"""What a conversion would do, told before any sound is read: on the terminal, and as files beside the records.

It is made of what the conversion itself reads, chooses and divides. It decides nothing of its own.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

from bird_tf import csv_files, files, locks, skips
from bird_tf.inference import result_files
from bird_tf.labels import metadata, taxonomy
from bird_tf.labels.layouts import reader

FOLDER_SUFFIX = ".check"
_SPLITS = ("train", "val")
_MOST_SPECIES = 20  # that are printed
_MOST_KINDS = 10
_MOST_EXAMPLES = 5
_FILES = ("species.csv", "recordings.csv", skips.TABLE, files.SUMMARY)
_RECORDING_COLUMNS = (
    "file", "split", "labels", "background", "background_known", "negative", "annotations", "author", "date", "hour",
    "site", "latitude", "longitude",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class DryRun:
    """What would be converted.

    Attributes:
        reading: all that was read of the set.
        recordings: those of the chosen classes and the negative ones, with their split.
        classes: the chosen classes.
        folder: for its files.
    """

    reading: reader.Reading
    recordings: Sequence[metadata.Recording]
    classes: taxonomy.Taxonomy
    folder: str

    @property
    def num_recordings(self) -> dict[str, list[int]]:
        """{class id: [recordings for training, for validation]}, the most frequent first."""
        counts = {class_id: [0, 0] for class_id in self.classes.class_ids}
        for recording in self.recordings:
            for class_id in counts.keys() & set(recording.labels):
                counts[class_id][recording.split == "val"] += 1
        return dict(sorted(counts.items(), key=lambda item: (-sum(item[1]), item[0])))

    @property
    def skipped(self) -> dict[str, list[skips.Skip]]:
        """What is not used, by what it is."""
        return {
            "do not match": self.reading.unmatched,
            "rows that are left out": self.reading.left_out,
            "files that are not used": self.reading.unused,
        }

    def summary(self) -> dict[str, Any]:
        """The content of summary.json."""
        recordings = self.recordings
        annotations = [a for recording in recordings for a in recording.annotations]
        return {
            "layout": self.reading.layout,
            "num_recordings": len(recordings),
            "num_of_other_species": len(self.reading.recordings) - len(recordings),
            "num_classes": len(self.classes),
            "num_negative": sum(not r.labels for r in recordings),
            "num_split": {part: sum(r.split == part for r in recordings) for part in _SPLITS},
            "num_annotated": sum(bool(r.annotations) for r in recordings),
            "num_annotations": len(annotations),
            "num_negative_stretches": sum(a.negative for a in annotations),
            "known": {
                name: {"num_recordings": len(values), "num_different": len(set(values))}
                for name, values in _known(recordings).items()
            },
            "num_skipped": {what: len(found) for what, found in self.skipped.items()},
        }

    def lines(self) -> Iterator[str]:
        """What is printed."""
        told = self.summary()
        yield told["layout"]
        negative = f", {told['num_negative']} of them negative" if told["num_negative"] else ""
        other = f"; {told['num_of_other_species']} of other species are left out"
        yield (
            f"{told['num_recordings']} recordings of {told['num_classes']} species{negative}"
            f"{other * bool(told['num_of_other_species'])}"
        )
        if told["num_annotations"]:
            yield (
                f"{told['num_annotations']} annotations in {told['num_annotated']} recordings, "
                f"{told['num_negative_stretches']} of them say that nothing is there"
            )
        for name, counts in told["known"].items():
            yield f"{name}: known of {counts['num_recordings']} recordings, {counts['num_different']} different"
        is_given = all(recording.split for recording in self.reading.recordings)
        equal = "recordings with equal sound, which only the conversion finds, will be on one side"
        yield (
            f"split: {told['num_split']['train']} recordings for training, {told['num_split']['val']} for validation"
            f"{'' if is_given else f' ({equal})'}"
        )
        yield from self._species_lines()
        for what, found in self.skipped.items():
            if found:
                yield from _skip_lines(what, found)
        yield f"all species, recordings, and what is not used: {self.folder}"

    def _species_lines(self) -> Iterator[str]:
        counts = self.num_recordings
        for class_id, (train, val) in list(counts.items())[:_MOST_SPECIES]:
            yield f"  {class_id}: {train} + {val} recordings"
        if len(counts) > _MOST_SPECIES:
            yield f"  … and {len(counts) - _MOST_SPECIES} other species"
        for number, part in enumerate(_SPLITS):
            if without := [class_id for class_id, found in counts.items() if not found[number]]:
                yield f"{len(without)} species without a recording in {part}, as {', '.join(without[:_MOST_EXAMPLES])}"

    def write(self) -> None:
        """Writes species.csv, recordings.csv, skipped.csv and summary.json."""
        with (
            locks.held(self.folder, work="check", flag="--output"),
            result_files.ResultFiles(self.folder, "check").writing(_FILES),
        ):
            self._write()

    def _write(self) -> None:
        names = dict(zip(self.classes.class_ids, self.classes.names, strict=True))
        species = [(class_id, names[class_id], *found) for class_id, found in self.num_recordings.items()]
        csv_files.write(os.path.join(self.folder, "species.csv"), ("class_id", "name", *_SPLITS), species)
        csv_files.write(
            os.path.join(self.folder, "recordings.csv"), _RECORDING_COLUMNS, map(_recording_row, self.recordings)
        )
        rows = [(*skip, what) for what, found in self.skipped.items() for skip in found]
        csv_files.write(os.path.join(self.folder, skips.TABLE), (*skips.COLUMNS, "what"), rows)
        files.write_json(os.path.join(self.folder, files.SUMMARY), self.summary())


def _known(recordings: Sequence[metadata.Recording]) -> dict[str, list[Any]]:
    """{what: its values, of the recordings of which it is known}."""
    return {
        "author": [r.author for r in recordings if r.author],
        "site": [r.site for r in recordings if r.site],
        "day": [r.date for r in recordings if r.date],
        "hour": [r.hour for r in recordings if not math.isnan(r.hour)],
        "place": [(r.latitude, r.longitude) for r in recordings if not math.isnan(r.latitude + r.longitude)],
        "background species": [r.background for r in recordings if r.background_known],
    }


def _skip_lines(what: str, found: Sequence[skips.Skip]) -> Iterator[str]:
    """How many of each kind, and the first five of it."""
    yield f"{len(found)} {what}:"
    kinds = skips.by_kind(found)
    for kind, members in list(kinds.items())[:_MOST_KINDS]:
        yield f"  {len(members)} x {kind}"
        yield from (f"    {skips.named(skip)}" for skip in members[:_MOST_EXAMPLES])
    if len(kinds) > _MOST_KINDS:
        others = collections.Counter({kind: len(members) for kind, members in list(kinds.items())[_MOST_KINDS:]})
        yield f"  {others.total()} for {len(others)} other reasons"


def _recording_row(r: metadata.Recording) -> tuple[Any, ...]:
    numbers = ("" if math.isnan(value) else f"{value:.10g}" for value in (r.hour, r.latitude, r.longitude))
    hour, latitude, longitude = numbers
    return (
        r.path, r.split, csv_files.joined(r.labels), csv_files.joined(r.background), r.background_known, not r.labels,
        len(r.annotations), r.author, r.date, hour, r.site, latitude, longitude,
    )  # fmt: skip
