"""Unlabelled chunks with what teachers say of them: stored in a folder, drawn, and added to labelled chunks.

Who the teachers are, and which chunks are written, belongs to `selftraining`.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bird_tf import config, files, next_steps, stored, tf
from bird_tf.records import learnt, manifests, schema

_ABOUT, _LABELS = "about.json", "labels.npz"
_KINDS = {"labels": "f2", "rates": "f1"}
_MEAN_TOLERANCE = 0.01  # of float32, with room


@dataclasses.dataclass(frozen=True, kw_only=True)
class PseudoLabelConfig:
    """Unlabelled chunks that are added to labelled ones."""

    pseudo_labels: str = config.option(
        "", "folder with the pseudo-labels of unlabelled recordings, made by bird_tf.selftrain; empty: none"
    )
    pseudo_share: float = config.option(
        1.0, "share of the labelled chunks that get an unlabelled chunk, added at equal power"
    )

    def __post_init__(self) -> None:
        if not 0 < self.pseudo_share <= 1:
            raise config.InputError(f"--pseudo_share={self.pseudo_share}: need a share in (0, 1]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PseudoLabels:
    """The pseudo-labels of the noise chunks of some records.

    Attributes:
        directory: of these records.
        class_ids: of the columns.
        labels: [chunks, classes] float16 in [0, 1], in the order of the records.
        rates: [chunks] float32, how often each chunk is expected in a pass over the records; 1 on average.
        backbones: the backbones that the teachers have learnt from, as in `run_directory.Run`.
        learnt: what the teachers have learnt from.
    """

    directory: str
    class_ids: tuple[str, ...]
    labels: np.ndarray
    rates: np.ndarray
    backbones: tuple[Mapping[str, Any], ...] = ()
    learnt: learnt.Learnt = dataclasses.field(default_factory=learnt.Learnt)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _About:
    """What is stored beside the numbers."""

    records: str
    class_ids: tuple[str, ...]
    backbones: tuple[Mapping[str, str], ...]


def save(folder: str, pseudo: PseudoLabels) -> None:
    """Writes the pseudo-labels into a folder. The path of the records is stored as seen from there."""
    files.make_folder(folder)
    stored.write_arrays(os.path.join(folder, _LABELS), {"labels": pseudo.labels, "rates": pseudo.rates})
    learnt.save(folder, pseudo.learnt)
    about = {
        "records": os.path.relpath(pseudo.directory, folder),
        "class_ids": pseudo.class_ids,
        "backbones": [dict(found) for found in pseudo.backbones],
    }
    files.write_json(os.path.join(folder, _ABOUT), about)


def exists(folder: str) -> bool:
    """Whether `save` has written all of the folder."""
    return files.exists(os.path.join(folder, _ABOUT))


def load(folder: str) -> PseudoLabels:
    """Reads what `save` wrote.

    Raises:
        InputError: there are no pseudo-labels, or they are damaged.
    """
    path = os.path.join(folder, _ABOUT)
    if not files.exists(path):
        raise config.InputError(
            f"--pseudo_labels={folder} holds no pseudo-labels; {next_steps.command('selftrain')} makes them"
        )
    about = stored.read_json(path, _About)
    labels = os.path.join(folder, _LABELS)
    arrays = stored.read_arrays(labels, _KINDS)
    if arrays["labels"].shape != (len(arrays["rates"]), len(about.class_ids)):
        raise stored.damaged(labels, "labels and rates must have a row for each chunk")
    if not np.all((arrays["labels"] >= 0) & (arrays["labels"] <= 1)):  # False for NaN
        raise stored.damaged(labels, "labels must be from 0 to 1")
    # a rate repeats its chunk so often in a pass
    if not (np.all(arrays["rates"] >= 0) and abs(np.mean(arrays["rates"], dtype=float) - 1) < _MEAN_TOLERANCE):
        raise stored.damaged(labels, "rates must be at least 0, and 1 on average")
    return PseudoLabels(
        directory=os.path.normpath(os.path.join(folder, about.records)),
        class_ids=about.class_ids,
        labels=arrays["labels"],
        rates=arrays["rates"],
        backbones=about.backbones,
        learnt=learnt.load(folder, {}) or learnt.Learnt(),
    )


def digest(folder: str) -> str:
    """Equal for folders with equal numbers.

    Raises:
        InputError: as `load`.
    """
    pseudo = load(folder)
    return files.digest([list(pseudo.class_ids), files.checksum(os.path.join(folder, _LABELS))])


class UnlabelledStream:
    """The unlabelled chunks of a training."""

    def __init__(self, pseudo: PseudoLabels, labelled: manifests.Manifest) -> None:
        """Checks that they fit to the labelled records.

        Raises:
            InputError: their records are not there; another front-end, other classes, or another number of chunks.
        """
        if not files.exists(os.path.join(pseudo.directory, manifests.MANIFEST)):
            raise config.InputError(
                f"--pseudo_labels: the records of the unlabelled chunks are not at {pseudo.directory}; name the labels "
                "where their self-training wrote them, as runs/NAME/labels-1, or move the whole run"
            )
        manifest = manifests.load(pseudo.directory)
        if manifest.front_end != labelled.front_end:
            raise config.InputError(
                f"--pseudo_labels: {manifest.directory} has another front-end than {labelled.directory}"
            )
        if pseudo.class_ids != labelled.labelled_classes.class_ids:
            raise config.InputError(f"--pseudo_labels: they are of other classes than those of {labelled.directory}")
        if manifest.num_chunks("noise") != len(pseudo.labels):
            raise config.InputError(
                f"--pseudo_labels: {len(pseudo.labels)} pseudo-labels do not belong to the "
                f"{manifest.num_chunks('noise')} chunks of {manifest.directory}; "
                f"run {next_steps.command('selftrain')} again"
            )
        self._feature = manifest.select([schema.SPECTROGRAM], "--pseudo_labels")
        counts = [shard.count for shard in manifest.shards["noise"] if shard.count]
        self._paths, self._offsets = manifest.paths("noise"), np.cumsum([0, *counts[:-1]])
        self._labels, self._rates = tf.constant(pseudo.labels), tf.constant(pseudo.rates, tf.float32)
        self._num_further = labelled.num_further

    def one_pass(self, seed: tf.Tensor, buffer: int) -> tf.data.Dataset:
        """One pass over the chunks, in random order, each ⌊rate + u⌋ times with u of U(0, 1).

        Args:
            seed: [2] int64.
            buffer: chunks among which the next one is drawn.

        Returns:
            (serialised example, [classes] float16 pseudo-labels).
        """
        order = tf.random.stateless_uniform([], seed, 0, 2**62, tf.int64)
        shards = tf.data.Dataset.from_tensor_slices((self._paths, self._offsets.astype(np.int64)))
        shards = shards.shuffle(len(self._paths), seed=order, reshuffle_each_iteration=False)

        def numbered(path: tf.Tensor, offset: tf.Tensor) -> tf.data.Dataset:
            return tf.data.Dataset.zip((tf.data.TFRecordDataset(path), tf.data.Dataset.range(offset, 2**62)))

        def drawn(example: tf.Tensor, index: tf.Tensor) -> tf.data.Dataset:
            draw = tf.random.stateless_uniform([], tf.random.fold_in(seed, index))
            copies = tf.cast(tf.floor(tf.gather(self._rates, index) + draw), tf.int64)
            return tf.data.Dataset.from_tensors((example, tf.gather(self._labels, index))).repeat(copies)

        chunks = shards.interleave(numbered, cycle_length=min(8, len(self._paths)))
        return chunks.flat_map(drawn).shuffle(buffer, seed=order, reshuffle_each_iteration=False)

    def examples(self, serialised: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """What is mixed into a batch.

        Returns:
            "spectrogram" [batch, bands, frames] uint8; "targets", "weights" [batch, classes] float32; classes that no
            label names have weight 0.
        """
        targets = tf.cast(labels, tf.float32)
        further = [[0, 0], [0, self._num_further]]
        return {
            **schema.parse_features(serialised, self._feature),
            "targets": tf.pad(targets, further),
            "weights": tf.pad(tf.ones_like(targets), further),
        }


def rates(recording_ids: Sequence[str], labels: np.ndarray) -> np.ndarray:
    """How often each chunk is drawn: recordings in proportion to the sum of the greatest label of each class in them.

    That is how the winners of BirdCLEF 2025 drew soundscapes. The chunks of a recording are drawn equally often.

    Args:
        recording_ids: [chunks] the recording of each chunk.
        labels: [chunks, classes] in [0, 1].

    Returns:
        [chunks] float32 with a mean of 1; all 1 if no chunk has a label.
    """
    _, inverse, counts = np.unique(np.asarray(recording_ids), return_inverse=True, return_counts=True)
    greatest = np.zeros((len(counts), labels.shape[1]))
    np.maximum.at(greatest, inverse, labels)
    weights = greatest.sum(axis=1)
    if not weights.sum():
        return np.ones(len(inverse), np.float32)
    return (weights / counts)[inverse].astype(np.float32) * np.float32(len(inverse) / weights.sum())
