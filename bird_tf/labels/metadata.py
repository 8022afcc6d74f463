"""The metadata of a recording: its label, background species, author, place, time and annotations."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import math
import os
import re
from collections.abc import Iterable

from bird_tf import files

# what labels are of, in the column `annotated` of recordings.csv
WHOLE, IN_TIME, IN_PART = "whole", "in time", "in part"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """A species in a span of a recording.

    Attributes:
        start_seconds, end_seconds: the span.
        label: class id; empty if the species is not known, or if there is none.
        background: the other species in the span.
        negative: whether a person says that the span holds none of the classes. Then there is no label.
        name: Latin name of the label, if the annotation tells it. Annotations that differ in it alone are equal.
        goes_on: whether it is known to go on in the next recording, past the end of this one.
    """

    start_seconds: float
    end_seconds: float
    label: str
    background: tuple[str, ...] = ()
    negative: bool = False
    name: str = dataclasses.field(default="", compare=False)
    goes_on: bool = dataclasses.field(default=False, compare=False, repr=False)  # the text is in notes of conversions


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """One audio file and its metadata.

    Attributes:
        recording_id: unique in its set; BirdCLEF's MediaId where there is one.
        path: the audio file.
        label: class id of the foreground species; empty if unknown (test recordings).
        name: its Latin name.
        further_labels: class ids of further foreground species, as in a folder or cell of several names. They are in
            `background` too.
        negative: whether a person says that the whole recording holds none of the classes. Then it has no label.
        background: names of the background species, as listed.
        background_known: False if the background was not noted. That differs from a background without species.
        author: the recordist or the recording session. Recordings of one author sound similar.
        split: "train" or "val" if the layout decides it, else empty.
        latitude, longitude: degrees; NaN if unknown.
        elevation: metres above the sea; NaN if unknown.
        day_of_year, hour: 1 … 366; hours of the day, 0 … 24; NaN if unknown.
        date: YYYY-MM-DD; empty if unknown. The day of the year may be known without it.
        utc_offset_hours: what `date` and `hour` are ahead of UTC; NaN if unknown.
        site: name of the place; empty if unknown.
        digest: of its decoded samples, as in `digests`; empty if it was not computed.
        annotations: species in time, if known. Then `label` is the species with the longest total time, and
            `background` holds the others. Without annotations, `label` is valid for the whole recording.
        partly_annotated: whether a person judged the spans of the annotations alone. The rest is neither labelled nor
            noise.
    """

    recording_id: str
    path: str
    label: str = ""
    name: str = ""
    further_labels: tuple[str, ...] = ()
    negative: bool = False
    background: tuple[str, ...] = ()
    background_known: bool = False
    author: str = ""
    split: str = ""
    latitude: float = math.nan
    longitude: float = math.nan
    elevation: float = math.nan
    day_of_year: float = math.nan
    hour: float = math.nan
    date: str = ""
    utc_offset_hours: float = math.nan
    site: str = ""
    digest: str = ""
    annotations: tuple[Annotation, ...] = ()
    partly_annotated: bool = False

    @property
    def start(self) -> datetime.datetime | None:
        """When its first sample was recorded, with the zone if that is known; None if date or hour is unknown."""
        if not self.date or math.isnan(self.hour):
            return None
        zone = None
        if not math.isnan(self.utc_offset_hours):
            zone = datetime.timezone(datetime.timedelta(hours=self.utc_offset_hours))
        midnight = datetime.datetime.combine(datetime.date.fromisoformat(self.date), datetime.time(), zone)
        return midnight + datetime.timedelta(seconds=round(3600 * self.hour))

    @property
    def labels(self) -> tuple[str, ...]:
        """Class ids that its chunks may have: the label and further ones, or all annotated ones.

        The longest total time comes first. A negative recording has none.
        """
        if not self.annotations:
            return () if self.negative else (self.label, *self.further_labels)
        seconds: dict[str, float] = collections.defaultdict(float)
        for annotation in self.annotations:
            seconds[annotation.label] += annotation.end_seconds - annotation.start_seconds
        return tuple(sorted(filter(None, seconds), key=lambda label: (-seconds[label], label)))

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """(class id, Latin name) of each of `labels`, and of each annotation; the id in place of an unknown name."""
        of_labels = ((label, self.name or label if label == self.label else label) for label in self.labels)
        return (*of_labels, *((a.label, a.name) for a in self.annotations if a.label and a.name))


def with_unique_ids(recordings: Iterable[Recording]) -> list[Recording]:
    """Sorts recordings by id, and makes the ids unique: recordings of equal id get a digest of their path as suffix."""
    recordings = sorted(recordings, key=lambda r: (r.recording_id, r.path))
    shared = {i for i, count in collections.Counter(r.recording_id for r in recordings).items() if count > 1}
    # --audio and --noise_audio may be a relative path and an absolute one
    root = os.path.commonpath([os.path.dirname(os.path.abspath(r.path)) for r in recordings]) if recordings else ""
    return [
        dataclasses.replace(r, recording_id=f"{r.recording_id}-{files.text_digest(os.path.relpath(r.path, root))[:8]}")
        if r.recording_id in shared
        else r
        for r in recordings
    ]


def unknown(path: str) -> Recording:
    """A recording of which nothing is known but its file."""
    return Recording(recording_id=media_id(path), path=path)


def media_id(path: str) -> str:
    """BirdCLEF's MediaId: the number after the last `_RN` of the file name, else the file name without suffix."""
    stem = os.path.splitext(os.path.basename(path))[0]
    number = re.search(r"_RN(\d+)$", stem)
    return number.group(1) if number else stem
