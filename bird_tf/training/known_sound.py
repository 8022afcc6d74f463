"""How the training recordings sound, and how far other sound is from that: in the features that the network takes.

It is Mahalanobis's distance. The directions in which the training chunks vary most have their own variance, all others
share one.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from absl import logging

from bird_tf import files, stored, tf
from bird_tf.audio import frontend
from bird_tf.inference import strangeness
from bird_tf.records import manifests, schema, shard_files, verify

FILE = "known_sound.npz"
_KINDS = {"mean": "f1", "directions": "f2", "variances": "f1", "rest": "f0", "limit": "f0"}
# Measured on 20 species of Puerto Rico: 16 to 128 directions find the same recordings.
_NUM_DIRECTIONS = 32
# of the mean variance: no direction counts as having less
_LEAST_VARIANCE = 0.1
# The limit is a high quantile: fewer recordings do not tell it.
_MIN_RECORDINGS = 20
_MAX_CHUNKS = 20_000
_NUM_FOLDS = 5
_BATCH_SIZE = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class KnownSound:
    """What `fit` finds, of summaries with n numbers.

    Attributes:
        mean: [n] float32.
        directions: [n, k] float32, orthonormal.
        variances: [k] float32, of the chunks in these directions.
        rest: the variance in each of the other directions.
        limit: the distance that 5 % of the recordings exceed, if the mean and variances are of others.
    """

    mean: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    rest: float
    limit: float = 1.0

    def strangeness(self, summaries: tf.Tensor) -> tf.Tensor:
        """[batch, n] float32 from `summaries` → [batch] float32, at least 0; 1 is the limit. Also in a graph."""
        centred = summaries - self.mean
        along = centred @ self.directions
        across = tf.reduce_sum(centred**2, axis=1) - tf.reduce_sum(along**2, axis=1)
        squares = tf.reduce_sum(along**2 / self.variances, axis=1) + tf.maximum(across, 0.0) / self.rest
        return tf.sqrt(squares / len(self.mean)) / self.limit


def summaries(features: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """What is compared of chunks; also in a graph.

    Args:
        features: {name: [batch, …] float32} that a network takes.

    Returns:
        [batch, n] float32: the backbone's embedding; or, of each band of the spectrogram, mean, standard deviation and
        mean change from frame to frame.
    """
    if schema.SPECTROGRAM not in features:
        return features[schema.EMBEDDING]
    spectrogram = features[schema.SPECTROGRAM]
    change = tf.abs(spectrogram[:, :, 1:] - spectrogram[:, :, :-1])
    parts = [tf.reduce_mean(spectrogram, 2), tf.math.reduce_std(spectrogram, 2), tf.reduce_mean(change, 2)]
    return tf.concat(parts, axis=1)


def fit(manifest: manifests.Manifest, features: Sequence[str]) -> KnownSound | None:
    """Learns how the recordings sound that train, those with noise included.

    Of large records, it takes some of the recordings. The limit is measured on recordings that the mean and the
    variances do not know, in five folds.

    Args:
        manifest: the records.
        features: the names of those that the network takes.

    Returns:
        None, with a note, if they are too few.
    """
    share = min(1.0, _MAX_CHUNKS / max(1, manifest.num_chunks("train") + manifest.num_chunks("noise")))
    parts = [part for split in ("train", "noise") for part in _read(manifest, split, features, share)]
    places = np.concatenate([_places(ids) for ids, _ in parts]) if parts else np.zeros(0)
    if len(np.unique(places)) < _MIN_RECORDINGS:
        logging.info("fewer than %d recordings: how unlike them others sound will not be told", _MIN_RECORDINGS)
        return None
    found = np.concatenate([values for _, values in parts])
    centre, distances = found.mean(axis=0, dtype=np.float64), np.empty(len(found), np.float32)
    folds = (places * _NUM_FOLDS).astype(int)
    moments = {fold: _Moments.of(found[folds == fold], centre) for fold in np.unique(folds)}
    for own in moments:
        known = _fit([others for fold, others in moments.items() if fold != own])
        distances[folds == own] = known.strangeness(tf.constant(found[folds == own])).numpy()
    _, recording = np.unique(places, return_inverse=True)
    each = [strangeness.of_recording(distances[recording == i]) for i in range(recording.max() + 1)]
    return dataclasses.replace(_fit([*moments.values()]), limit=float(np.quantile(each, 1 - strangeness.USUAL_SHARE)))


def _read(
    manifest: manifests.Manifest, split: str, features: Sequence[str], share: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields ([batch] recording ids, [batch, n] summaries) of a share of the recordings; chunks without sound not."""
    if not manifest.num_chunks(split):
        return
    batches = shard_files.read(manifest, split, _BATCH_SIZE, manifest.select(features, "a network"))
    for batch in verify.naming_damage(batches, manifest):
        ids = batch["recording_id"].numpy()
        chosen = _places(ids) < share
        taken = {name: tf.boolean_mask(batch[name], chosen) for name in features}
        if (spectrograms := taken.get(schema.SPECTROGRAM)) is not None:
            taken[schema.SPECTROGRAM] = frontend.dequantise(spectrograms)
        values = summaries(taken).numpy()
        has_sound = values.any(axis=1)
        yield ids[chosen][has_sound], values[has_sound]


def _places(recording_ids: np.ndarray) -> np.ndarray:
    """[n] ids → [n] float64 in [0, 1), the same for the same id, by which recordings are chosen and put into folds."""
    ids = [i.decode() for i in recording_ids.tolist()]
    place = {i: int(files.text_digest(f"known sound{i}")[:12], 16) / 16**12 for i in set(ids)}
    return np.array([place[i] for i in ids], np.float64)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Moments:
    """Sums over chunks: those of several folds together give mean and covariance, and no fold is read twice.

    Attributes:
        centre: [n] float64, what is taken from all values: sums of squares far from 0 would be inexact.
        count: of chunks.
        total: [n] float64.
        products: [n, n] float64.
    """

    centre: np.ndarray
    count: int
    total: np.ndarray
    products: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, centre: np.ndarray) -> _Moments:
        """The sums of [chunks, n] float32."""
        centred = values - centre
        return cls(centre=centre, count=len(values), total=centred.sum(axis=0), products=centred.T @ centred)


def _fit(parts: Sequence[_Moments]) -> KnownSound:
    """Mean and variances of the chunks of all parts."""
    count = sum(part.count for part in parts)
    mean = np.sum([part.total for part in parts], axis=0) / count
    scatter = np.sum([part.products for part in parts], axis=0) - count * np.outer(mean, mean)
    variances, directions = np.linalg.eigh(scatter / (count - 1))  # in rising order
    first = max(1, len(variances) - _NUM_DIRECTIONS)
    rest = max(float(variances[:first].mean()), _LEAST_VARIANCE * float(variances.mean()), 1e-12)
    return KnownSound(
        mean=(parts[0].centre + mean).astype(np.float32),
        directions=directions[:, first:].astype(np.float32),
        variances=np.maximum(variances[first:], rest).astype(np.float32),
        rest=rest,
    )


def save(run_dir: str, known: KnownSound) -> None:
    """Writes it into a run directory."""
    stored.write_arrays(os.path.join(run_dir, FILE), dataclasses.asdict(known))


def load(run_dir: str) -> KnownSound | None:
    """Reads it from a run directory; None if there is none, as of runs of earlier versions.

    Raises:
        InputError: the file is damaged.
    """
    path = os.path.join(run_dir, FILE)
    if not files.exists(path):
        return None
    found = stored.read_arrays(path, _KINDS)
    size, num_directions = found["directions"].shape
    if len(found["mean"]) != size or len(found["variances"]) != num_directions:
        raise stored.damaged(path, "mean, directions and variances do not fit each other")
    if not all(np.isfinite(values).all() for values in found.values()):
        raise stored.damaged(path, "it holds what is no finite number")
    if min(found["variances"].min(initial=np.inf), found["rest"], found["limit"]) <= 0:
        raise stored.damaged(path, "variances, rest and limit must be above 0")
    return KnownSound(
        mean=found["mean"], directions=found["directions"], variances=found["variances"],
        rest=float(found["rest"]), limit=float(found["limit"]),
    )  # fmt: skip
