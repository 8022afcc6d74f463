"""What came of the recordings of a conversion: which chunks train, which recordings are skipped, and the manifest."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from absl import logging

from bird_tf import config, skips
from bird_tf.audio import frontend
from bird_tf.conversion import shard_tasks, worker
from bird_tf.labels import metadata, taxonomy
from bird_tf.records import manifests, recordings_table, selection


class Outcome:
    """The results of all shards, by recording.

    Attributes:
        converted: {recording id: what came of it}.
    """

    def __init__(
        self, recordings: Sequence[metadata.Recording], classes: taxonomy.Taxonomy,
        tasks: Sequence[shard_tasks.ShardTask], results: Mapping[str, shard_tasks.ShardResult],
        max_chunks_per_class: int,
    ) -> None:  # fmt: skip
        """Gathers {shard name: result} of the tasks; `max_chunks_per_class` is as in `selection.select`."""
        self._recordings, self._classes, self._tasks, self._results = recordings, classes, tasks, dict(results)
        self._max_chunks_per_class = max_chunks_per_class
        self.converted = {c.recording_id: c for result in results.values() for c in result.recordings}

    @functools.cached_property
    def _selected(self) -> selection.Selection:
        return self._select([r for r in self._recordings if r.split == "train"])

    def _select(self, recordings: Sequence[metadata.Recording]) -> selection.Selection:
        """The chunks that train if these recordings are for training."""
        candidates = {
            r.recording_id: {
                self._classes.index(c): count for c, count in self.converted[r.recording_id].candidates.items()
            }
            for r in recordings
        }
        return selection.select(candidates, len(self._classes), self._max_chunks_per_class)

    def warn(self) -> None:
        """Logs what was noticed of recordings that are used all the same."""
        for recording in self._recordings:
            for warning in self.converted[recording.recording_id].warnings:
                logging.warning("%s: %s", recording.path, warning)

    def cut(self) -> None:
        """Takes the chunks above the cap, which is known when all recordings are read, out of the training shards."""
        for task in self._tasks:
            if task.split == "train":
                result = self._results[task.name]
                expected = sum(
                    selection.num_below(self._selected.limits[task.classes.index(c)], converted.recording_id, count)
                    for converted in result.recordings
                    for c, count in converted.candidates.items()
                )
                if expected != next(shard.count for shard in result.shards if shard.name == task.name):
                    self._results[task.name] = worker.cut(task, result, self._selected)

    def skipped(self, unmatched: Sequence[skips.Skip], most: float) -> list[dict[str, str]]:
        """{"file", "reason"} of all files that were left out, which are logged.

        Args:
            unmatched: what was left out before.
            most: the greatest share of the recordings that may give no chunk.

        Raises:
            InputError: more gave none.
        """
        reasons = {r.path: self.converted[r.recording_id].reason for r in self._recordings}
        reasons = {path: reason for path, reason in reasons.items() if reason}
        without = [r for r in self._recordings if r.labels and not self._is_used(r)]
        if len(without) > most * len(self._recordings):
            raise config.InputError(
                f"{len(without)} of {len(self._recordings)} recordings gave no chunk (--max_skipped_share={most:g}), "
                f"for example: {reasons[without[0].path]}"
            )
        found = [*unmatched, *sorted(reasons.items())]
        for skip in found:
            skips.log(skip)
        return [{"file": path, "reason": reason} for path, reason in found]

    def _is_used(self, recording: metadata.Recording) -> bool:
        """Whether a recording can be used on its side of the split."""
        converted = self.converted[recording.recording_id]
        return bool(converted.candidates if recording.split == "train" else converted.chunks)

    def manifest(
        self, directory: str, front_end: frontend.FrontendConfig, converter: Mapping[str, Any],
        skipped: Sequence[Mapping[str, str]],
    ) -> manifests.Manifest:  # fmt: skip
        """The manifest, without features and backbone. Classes without a training chunk are warned of.

        Args:
            directory: of the records.
            front_end: of the spectrograms.
            converter: the flags.
            skipped: as of `skipped`.
        """
        counted = (*manifests.SPLITS, *manifests.SPARE)
        shards: dict[str, list[manifests.Shard]] = {part: [] for part in counted}
        for task in self._tasks:
            for shard in self._results[task.name].shards:
                shards.setdefault(shard.name.split("-")[0], []).append(shard)
        counts, num_recordings = self._counts(counted)
        if any(recording.labels for recording in self._recordings):
            for class_id, count in zip(self._classes.class_ids, counts["train"], strict=True):
                if not count:
                    logging.warning("class %s has no training chunk: a model cannot learn it", class_id)
        return manifests.Manifest(
            directory=directory,
            front_end=front_end,
            classes=self._classes,
            shards={part: tuple(found) for part, found in shards.items()},
            chunks_per_class={part: tuple(found) for part, found in counts.items()},
            num_recordings=num_recordings,
            selected_for_refit=self._select(self._recordings),
            converter=converter,
            skipped=tuple(skipped),
            versions=manifests.versions(),
            features={},
        )

    def _counts(self, parts: Sequence[str]) -> tuple[dict[str, list[int]], dict[str, int]]:
        """{part: chunks of each class} and {part: recordings}."""
        counts = {part: [0] * len(self._classes) for part in parts}
        num_recordings = dict.fromkeys(parts, 0)
        for recording in self._recordings:
            written = self.converted[recording.recording_id]
            labelled, noise = ("rest", "noise") if recording.split == "train" else ("val", "val_noise")
            for part, chunks in ((labelled, written.chunks), (noise, written.noise)):
                num_recordings[part] += bool(chunks)
                for class_id, count in chunks.items():
                    counts[part][self._classes.index(class_id)] += count
        counts["train"] = list(self._selected.chunks_per_class)
        num_recordings["train"] = self._selected.num_recordings
        counts["rest"] = [every - training for every, training in zip(counts["rest"], counts["train"], strict=True)]
        del num_recordings["rest"]  # they are recordings of the training split
        return counts, num_recordings

    def table_entries(self) -> Iterator[tuple[metadata.Recording, recordings_table.Result]]:
        """Yields the rows of recordings.csv, as `recordings_table.write` needs them."""
        for recording in self._recordings:
            c = self.converted[recording.recording_id]
            num_chunks, num_candidates, num_noise = (sum(found.values()) for found in (c.chunks, c.candidates, c.noise))
            yield recording, (c.seconds, num_chunks, num_candidates, num_noise, c.digest, c.reason)
