"""What every writer gets: the prediction of one recording, and what is the same for all recordings."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from bird_tf.audio import channels, frontend
from bird_tf.inference import ensembles
from bird_tf.inference.writers import detections
from bird_tf.labels import label_cells, metadata, taxonomy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """The prediction of one recording.

    Attributes:
        file: path of the recording below the folder of all recordings, with `/`. It identifies the recording.
        scores: of its chunks, calibrated.
        pooled: [classes] calibrated probabilities of the recording.
        recording: its place and time, as far as they are known.
        criteria: for what is found in it.
    """

    file: str
    scores: ensembles.RecordingScores
    pooled: np.ndarray
    recording: metadata.Recording
    criteria: detections.Criteria

    @functools.cached_property
    def detections(self) -> list[detections.Detection]:
        """Its detections, sorted by start, then by class."""
        return self.criteria.find(self.scores)

    @functools.cached_property
    def present(self) -> list[int]:
        """The classes that are present in it, the most probable first."""
        return self.criteria.present(self.pooled)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """What is the same for all recordings.

    Attributes:
        root: the folder in which the recordings were found.
        output: the path of a result file, from its name below the folder of the results.
        stems: {file: its path without suffix, after which its own result files are named}.
        classes, front_end: of the first model.
        found_by: which chunk scores are detections.
        expected: the species list, or what else of place and time the probabilities are combined with, in words.
        channel: what was heard of several channels, as --channel.
        origins_known: whether time or place of some recording is known.
        byte_order_mark: whether comma-separated tables begin with one.
    """

    root: str
    output: Callable[[str], str]
    stems: Mapping[str, str]
    classes: taxonomy.Taxonomy
    front_end: frontend.FrontendConfig
    found_by: detections.DetectionConfig = dataclasses.field(default_factory=detections.DetectionConfig)
    expected: str = ""
    channel: str = channels.MIX
    origins_known: bool = False
    byte_order_mark: bool = False

    @functools.cached_property
    def species(self) -> tuple[str, ...]:
        """What a class is called for people, and in tables for which it must be one name: its Latin name.

        Its id if another class has that name too, or if the name would be several in a table.
        """
        shared = {name for name, count in collections.Counter(self.classes.names).items() if count > 1}
        pairs = zip(self.classes.class_ids, self.classes.names, strict=True)
        return tuple(class_id if name in shared or not label_cells.is_one(name) else name for class_id, name in pairs)


# adds a recording to a format's files
Append = Callable[[Prediction], None]


@contextlib.contextmanager
def together(several: Iterable[contextlib.AbstractContextManager[Append]]) -> Iterator[Append]:
    """Yields a function that adds a recording to the files of several formats."""
    with contextlib.ExitStack() as stack:
        appends = [stack.enter_context(writing) for writing in several]

        def append(prediction: Prediction) -> None:
            for append_to_one in appends:
                append_to_one(prediction)

        yield append


# in the name of a file that each recording has: its stem
STEM = "NAME"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """A format of result files.

    Attributes:
        writing: yields a function that adds a recording to its files.
        files: their names; the one to open first is the first. `STEM` stands for the stem of each recording.
        meaning: what is in them.
        explained: whether they have the columns that about.txt explains.
    """

    writing: Callable[[Context], contextlib.AbstractContextManager[Append]]
    files: tuple[str, ...]
    meaning: str
    explained: bool = False

    def names(self, context: Context) -> list[str]:
        """The names of all its files, below the folder of the results."""
        found: list[str] = []
        for name in self.files:
            found += [name.replace(STEM, stem) for stem in context.stems.values()] if STEM in name else [name]
        return found
