"""Mean and variance of the backbone's embeddings over the training chunks; a head standardises embeddings with them."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from bird_tf.input import dataset, streams
from bird_tf.input.augment import augmentations
from bird_tf.records import manifests, schema

_MOST_BATCHES = 400  # enough for both, however large the records are
# a number that hardly varies in a few recordings may vary much in others: no variance below this share of the mean one
_LEAST_SHARE = 0.01


def measure(manifest: manifests.Manifest, settings: dataset.DatasetConfig, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The statistics over the chunks of the first epoch, without mixup and as the backbone heard them without noise.

    Args:
        manifest: the records.
        settings: which chunks train, and how often.
        seed: of the training.

    Returns:
        Mean and variance, [embedding_size] float64; no variance is far below the others.

    Raises:
        InputError: as `dataset.training`.
    """
    return _measured(_Chunks(manifest, settings, seed))


@dataclasses.dataclass(frozen=True)
class _Chunks:
    """Which chunks are measured."""

    manifest: manifests.Manifest
    settings: dataset.DatasetConfig
    seed: int

    def __hash__(self) -> int:
        return hash((self.settings, self.seed))  # a manifest has no hash; equal ones are found by comparison


@functools.lru_cache(maxsize=1)
def _measured(chunks: _Chunks) -> tuple[np.ndarray, np.ndarray]:
    """The choice of --l2 and the first training need the same statistics."""
    manifest, settings = chunks.manifest, chunks.settings
    clean, none = dataclasses.replace(settings, in_noise_share=0.0), augmentations.AugmentConfig()
    batches = dataset.training(manifest, clean, none, chunks.seed, features=(schema.EMBEDDING,)).take(
        min(_MOST_BATCHES, streams.steps_per_epoch(manifest, settings))
    )
    count, total, squares = 0, np.float64(0), np.float64(0)
    for batch in batches:
        embeddings = batch[schema.EMBEDDING].numpy().astype(np.float64)
        count += len(embeddings)
        total, squares = total + embeddings.sum(axis=0), squares + np.square(embeddings).sum(axis=0)
    mean = np.asarray(total / count)
    variance = np.maximum(0.0, squares / count - np.square(mean))
    return mean, np.maximum(variance, _LEAST_SHARE * variance.mean())
