"""What self-training on unlabelled recordings would need: time of the teachers, and room on the disk."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Sequence

import numpy as np

from bird_tf import config, executor, next_steps
from bird_tf.audio import decode
from bird_tf.labels import metadata
from bird_tf.records import manifests, schema
from bird_tf.selftraining import teaching

_SAMPLE_SECONDS = 120.0  # sound that is scored for the estimate
_MIB = 2**20


@dataclasses.dataclass(frozen=True, kw_only=True)
class DryRun:
    """Rates and sizes.

    Attributes:
        num_recordings, hours: of the unlabelled recordings.
        speed: sound that the teachers answer, in seconds a second.
        num_chunks: number of chunks.
        share: of the chunks that can carry a label; by a sample.
        chunk_bytes: size of a chunk in the records.
        answer_bytes: size of the teachers' answers for a chunk, kept during a round.
        label_bytes: size of a chunk's labels in memory.
        most_apart: the most recordings that are kept for mixtures alone, so that their chunks are not written.
    """

    num_recordings: int
    hours: float
    speed: float
    num_chunks: int
    share: float
    chunk_bytes: int
    answer_bytes: int
    label_bytes: int
    most_apart: int

    def lines(self) -> list[str]:
        """What is logged."""
        kept = self.share * self.num_chunks
        apart = f", without up to {self.most_apart} recordings for mixtures alone" * bool(self.most_apart)
        return [
            f"{self.num_recordings} unlabelled recordings, {self.hours:.2f} hours, about {self.num_chunks} chunks",
            f"the teachers answer {self.speed:.0f} s of sound a second: {self.hours * 60 / self.speed:.1f} minutes a "
            "round, with overlapping windows; of one model this speed holds, a student is usually faster",
            f"{100 * self.share:.0f} % of the chunks can carry a label: about {kept * self.chunk_bytes / _MIB:.0f} MiB "
            f"of records ({self.num_chunks * self.chunk_bytes / _MIB:.0f} MiB if all were written){apart}",
            f"a round keeps {self.num_chunks * self.answer_bytes / _MIB:.0f} MiB of answers until its labels are made, "
            f"and {kept * self.label_bytes / _MIB:.0f} MiB of labels in memory",
            f"how long a training takes, {next_steps.command('train', dry_run=True)} says with the flags of a training",
        ]


def estimate(
    teachers: teaching.Teachers, recordings: Sequence[metadata.Recording], manifest: manifests.Manifest, power: float,
    least_total: float, place: executor.PlaceConfig, *, for_mixtures: bool,
) -> DryRun:  # fmt: skip
    """Scores a few recordings, and scales up.

    Args:
        teachers: of the first round.
        recordings: the unlabelled ones that models are not judged by.
        manifest: the labelled records.
        power, least_total: as of `teaching.choose_chunks`.
        place: where recordings are scored.
        for_mixtures: whether some recordings are kept for mixtures.

    Raises:
        InputError: as `Teachers.score`.
    """
    lengths = decode.durations([r.path for r in recordings])
    sample = _sample(recordings, lengths)
    seconds = sum(decode.durations([r.path for r in sample[1:]]))
    kept, count = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        skipped = teachers.score(sample[:1], folder, place)  # the first call of a model takes longer
        started = time.monotonic()
        skipped += teachers.score(sample[1:], folder, place)
        elapsed = max(1e-3, time.monotonic() - started)
        unreadable = {path for path, _ in skipped}
        readable = [r for r in sample if r.path not in unreadable]
        for _, scores in teachers.answers(readable, folder):
            totals = np.sum(np.asarray(scores.probabilities, np.float64) ** power, axis=1)
            kept, count = kept + int(np.sum(totals >= least_total)), count + len(totals)
    front_end, chunking = manifest.front_end, teaching.chunking_of(manifest)
    hop_seconds = chunking.hop_seconds(front_end)
    num_classes = len(manifest.labelled_classes)
    return DryRun(
        num_recordings=len(recordings),
        hours=sum(lengths) / 3600,
        speed=seconds / elapsed,
        num_chunks=max(len(recordings), round(sum(lengths) / hop_seconds)),
        share=kept / max(1, count),
        chunk_bytes=manifest.features[schema.SPECTROGRAM].bytes,  # a backbone's features are not written
        answer_bytes=round(4 * len(teachers.ensemble.classes) * teachers.scores_per_chunk),
        label_bytes=2 * num_classes,
        most_apart=teaching.most_apart(len(recordings)) if for_mixtures else 0,
    )


def _sample(recordings: Sequence[metadata.Recording], lengths: Sequence[float]) -> list[metadata.Recording]:
    """The shortest readable recording, and further ones, from short to long, of enough sound for a measurement.

    Raises:
        InputError: fewer than two recordings can be read.
    """
    order = [i for i in np.argsort(lengths, kind="stable").tolist() if lengths[i] > 0]
    if len(order) < 2:
        raise config.InputError("--unlabelled: an estimate needs two recordings that can be read")
    total, sample = 0.0, [recordings[order[0]]]
    for i in order[1:]:
        sample.append(recordings[i])
        total += lengths[i]
        if total >= _SAMPLE_SECONDS:
            break
    return sample
