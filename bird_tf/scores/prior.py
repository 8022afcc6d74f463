"""Place and time of the training recordings → how much more probable a class is at a place and time.

For each factor (place, elevation, day, hour): the kernel density of a class, divided by the density of all recordings.
So it does not count where recordists go. Exponents, fitted on held-out recordings, combine the factors.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bird_tf import files, stored
from bird_tf.labels import metadata, taxonomy

ASSET = "assets/prior.json"
FORMAT_VERSION = 1

_COLUMNS = ("latitude", "longitude", "elevation", "day_of_year", "hour")
# each class gets this number of additional recordings, distributed like those of all classes
_SHRINKAGE = 4.0
# Log likelihood that an exponent of 1 must gain on held-out recordings. With 1, five recordings a class overfit.
_COST = 2.0
# kernel widths and exponents are chosen on at most this number of recordings
_MAX_HELD_OUT = 500
# held-out recordings in one table of distances, to limit memory
_BLOCK = 256


def kilometres(latitude: Any, longitude: Any, other_latitude: Any, other_longitude: Any) -> np.ndarray:
    """Great-circle distances between points in degrees, by the haversine formula; shapes broadcast."""
    phi, psi = np.radians(latitude), np.radians(other_latitude)
    half = np.sin((phi - psi) / 2) ** 2
    half = half + np.cos(phi) * np.cos(psi) * np.sin(np.radians(np.subtract(longitude, other_longitude)) / 2) ** 2
    return np.asarray(2 * 6371.0 * np.arcsin(np.sqrt(np.clip(half, 0, 1))))


def _circular_distance(period: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The distance on a circle of this length."""

    def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        difference = np.abs(a - b)[..., 0] % period
        return np.asarray(np.minimum(difference, period - difference))

    return distance


@dataclasses.dataclass(frozen=True)
class _Factor:
    """One factor: columns of the observations, distance of two arrays [..., columns] → [...], kernel widths to try."""

    columns: tuple[int, ...]
    distance: Callable[[np.ndarray, np.ndarray], np.ndarray]
    widths: tuple[float, ...]


_FACTORS: Mapping[str, _Factor] = {
    "place": _Factor(
        (0, 1), lambda a, b: kilometres(a[..., 0], a[..., 1], b[..., 0], b[..., 1]), (10, 30, 100, 300, 1000)
    ),
    "elevation": _Factor((2,), lambda a, b: np.abs(a - b)[..., 0], (100, 300, 1000)),
    "day": _Factor((3,), _circular_distance(365.25), (10, 30, 90)),
    "hour": _Factor((4,), _circular_distance(24), (1, 3)),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prior:
    """The probability of classes by place and time, without the sound, from the training recordings.

    Attributes:
        class_ids: the classes, in the order of the model's outputs.
        num_recordings: [classes] training recordings.
        labels: [n] class of each observation.
        weights: [n]; the recordings of a class at one place on one day have a total weight of 1.
        observations: [n, 5] latitude, longitude, elevation, day of year, hour; NaN where unknown.
        widths: {factor: width of its kernel} in km, metres, days, hours.
        exponents: {factor: exponent in [0, 1]}; 0: the factor did not help on held-out recordings.
    """

    class_ids: tuple[str, ...]
    num_recordings: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    observations: np.ndarray
    widths: Mapping[str, float]
    exponents: Mapping[str, float]

    @property
    def frequencies(self) -> np.ndarray:
        """[classes] share of the training recordings, after one more recording for each class; the sum is 1."""
        return np.asarray((self.num_recordings + 1) / (self.num_recordings + 1).sum())

    @property
    def informed(self) -> bool:
        """Whether any factor of place or time counts."""
        return any(exponent > 0 for exponent in self.exponents.values())

    def log_ratios(self, recording: metadata.Recording) -> np.ndarray:
        """[classes] log of (probability at this place and time / anywhere); 0 if place and time are unknown."""
        query, none = np.array([[getattr(recording, name) for name in _COLUMNS]]), np.zeros((1, len(self.labels)), bool)
        total = np.zeros((1, len(self.class_ids)))
        for name, exponent in self.exponents.items():
            if exponent > 0:
                total += exponent * self._log_ratios(name, self.widths[name], query, none)
        return np.asarray(total[0])

    def _log_ratios(self, name: str, width: float, queries: np.ndarray, left_out: np.ndarray) -> np.ndarray:
        """[queries, classes] log ratios of one factor, without the observations that are `left_out` [queries, n].

        The ratio is (density of the class / density of all), both as kernel sums at the query. The density of all has
        one additional, evenly distributed recording. So the ratio is 1 at a place far from all recordings.
        """
        factor, columns = _FACTORS[name], list(_FACTORS[name].columns)
        observed = self.observations[:, columns]
        known = ~np.isnan(observed).any(axis=1)
        weights = np.where(left_out, 0.0, self.weights * known)
        distances = factor.distance(queries[:, None, columns], observed[None])
        kernels = weights * np.exp(-0.5 * (np.nan_to_num(distances, nan=np.inf) / width) ** 2)
        sizes, near = self._by_class(weights), self._by_class(kernels)
        total = np.maximum(sizes.sum(axis=1, keepdims=True), 1.0)
        overall = (near.sum(axis=1, keepdims=True) + 1) / total
        own = (near + sizes / total + _SHRINKAGE * overall) / (sizes + _SHRINKAGE)
        ratios = np.log(own / overall)
        ratios[np.isnan(queries[:, columns]).any(axis=1)] = 0.0
        return np.asarray(ratios)

    def _by_class(self, values: np.ndarray) -> np.ndarray:
        """[queries, n] → [queries, classes] sums; the observations are sorted by class."""
        sums = np.zeros((len(values), len(self.class_ids)))
        if len(self.labels):
            present, first = np.unique(self.labels, return_index=True)
            sums[:, present] = np.add.reduceat(values, first, axis=1)
        return sums


def fit(recordings: Sequence[metadata.Recording], classes: taxonomy.Taxonomy) -> Prior:
    """Fits a prior on the recordings that a model learns from. Without any, all log ratios are 0."""
    known = set(classes.class_ids)
    training = sorted((r for r in recordings if r.label in known), key=lambda r: classes.index(r.label))
    labels = np.array([classes.index(r.label) for r in training], int)
    occasions = [_occasion(r) for r in training]
    shared = collections.Counter((r.label, o) for r, o in zip(training, occasions, strict=True))
    unfitted = Prior(
        class_ids=classes.class_ids,
        num_recordings=np.bincount(labels, minlength=len(classes)),
        labels=labels,
        weights=np.array([1 / shared[r.label, o] for r, o in zip(training, occasions, strict=True)]),
        observations=np.array([[getattr(r, c) for c in _COLUMNS] for r in training]).reshape(-1, len(_COLUMNS)),
        widths={},
        exponents={},
    )
    return _fitted(unfitted, _groups(occasions), _groups([r.author or r.recording_id for r in training]))


def _occasion(recording: metadata.Recording) -> str:
    """Equal for recordings at one place on one day. Where that is not known, each recording is an occasion."""
    known = (recording.latitude, recording.longitude, recording.day_of_year)
    return f"recording {recording.recording_id}" if np.isnan(known).any() else str(known)


def _groups(names: Sequence[str]) -> np.ndarray:
    """[n] names → numbers; equal names get equal numbers."""
    return np.unique(np.array(names, dtype=str), return_inverse=True)[1]


def _fitted(prior: Prior, occasions: np.ndarray, authors: np.ndarray) -> Prior:
    """Chooses the kernel widths and exponents that make the labels of held-out recordings most probable.

    For each held-out recording, recordings of the same author or of the same place and day are left out. A cost on
    exponents keeps those at 0 that only gain by chance.
    """
    held_out = np.random.default_rng(0).permutation(len(prior.labels))[:_MAX_HELD_OUT]
    labels = prior.labels[held_out]
    base = np.log(prior.frequencies)
    chosen: dict[str, tuple[float, np.ndarray]] = {}
    for name, factor in _FACTORS.items():
        known = ~np.isnan(prior.observations[:, list(factor.columns)]).any(axis=1)
        if known.any():
            tables = {w: _in_blocks(prior, name, w, held_out, occasions, authors) for w in factor.widths}
            best = min(tables, key=lambda width: _fit_exponents([tables[width]], base, labels)[1])
            chosen[name] = best, tables[best]
    exponents, _ = _fit_exponents([table for _, table in chosen.values()], base, labels)
    return dataclasses.replace(
        prior,
        widths={name: float(width) for name, (width, _) in chosen.items()},
        exponents=dict(zip(chosen, exponents, strict=True)),
    )


def _in_blocks(
    prior: Prior, name: str, width: float, held_out: np.ndarray, occasions: np.ndarray, authors: np.ndarray
) -> np.ndarray:
    """[held out, classes] log ratios of held-out recordings, each from the recordings that are not related to it."""
    blocks = []
    for first in range(0, len(held_out), _BLOCK):
        block = held_out[first : first + _BLOCK]
        related = (occasions[block][:, None] == occasions) | (authors[block][:, None] == authors)
        blocks.append(prior._log_ratios(name, width, prior.observations[block], related))
    return np.concatenate(blocks)


def _fit_exponents(tables: Sequence[np.ndarray], base: np.ndarray, labels: np.ndarray) -> tuple[list[float], float]:
    """Exponents [tables] in [0, 1] that make the labels most probable, and their loss. The problem is convex."""
    import scipy.optimize
    import scipy.special

    if not tables:
        return [], 0.0
    stacked, rows = np.stack(tables), np.arange(len(labels))

    def loss(exponents: np.ndarray) -> tuple[float, np.ndarray]:
        logits = base + np.tensordot(exponents, stacked, axes=1)
        probabilities = scipy.special.softmax(logits, axis=1)
        gradient = np.einsum("fnc,nc->fn", stacked, probabilities) - stacked[:, rows, labels]
        value = np.sum(scipy.special.logsumexp(logits, axis=1) - logits[rows, labels]) + _COST * exponents.sum()
        return float(value), gradient.sum(axis=1) + _COST

    start = np.full(len(tables), 0.5)
    found = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, 1)] * len(tables))
    return [round(float(x), 4) for x in found.x], float(found.fun)


def joined(priors: Sequence[Prior]) -> Prior:
    """The first prior, with the classes of the others that it lacks, and their recordings."""
    result = priors[0]
    for other in priors[1:]:
        new = [i for i, class_id in enumerate(other.class_ids) if class_id not in result.class_ids]
        if new:
            labels = np.full(len(other.class_ids), -1)
            labels[new] = len(result.class_ids) + np.arange(len(new))
            taken = np.flatnonzero(labels[other.labels] >= 0)
            result = dataclasses.replace(
                result,
                class_ids=result.class_ids + tuple(other.class_ids[i] for i in new),
                num_recordings=np.concatenate([result.num_recordings, other.num_recordings[new]]),
                labels=np.concatenate([result.labels, labels[other.labels[taken]]]),
                weights=np.concatenate([result.weights, other.weights[taken]]),
                observations=np.concatenate([result.observations, other.observations[taken]]),
            )
    return result


def save(path: str, prior: Prior) -> None:
    """Writes the prior. The file appears when it is complete."""
    values = {"label": prior.labels.tolist(), "weight": [round(w, 6) for w in prior.weights.tolist()]}
    for name, column in zip(_COLUMNS, prior.observations.T, strict=True):
        values[name] = [None if math.isnan(value) else round(value, 4) for value in column.tolist()]
    files.write_json(
        path,
        {
            "format_version": FORMAT_VERSION,
            "num_recordings": dict(zip(prior.class_ids, prior.num_recordings.tolist(), strict=True)),
            "widths": dict(prior.widths),
            "exponents": dict(prior.exponents),
            "observations": values,
        },
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Observations:
    """The observations of a prior, column by column; None where a number is unknown."""

    label: tuple[int, ...]
    weight: tuple[float, ...]
    latitude: tuple[float | None, ...]
    longitude: tuple[float | None, ...]
    elevation: tuple[float | None, ...]
    day_of_year: tuple[float | None, ...]
    hour: tuple[float | None, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Stored:
    """What `save` writes."""

    format_version: int
    num_recordings: Mapping[str, int]
    widths: Mapping[str, float]
    exponents: Mapping[str, float]
    observations: _Observations


def load(path: str) -> Prior:
    """Reads what `save` wrote.

    Raises:
        InputError: another format, or a damaged file.
    """
    content = stored.read_any(path)
    remedy = f"{path} holds no prior of format {FORMAT_VERSION}; export the model again"
    stored.check_version(path, stored.version_of(content), (FORMAT_VERSION,), remedy)
    read = stored.as_type(path, _Stored, content)
    labels, columns = read.observations.label, [getattr(read.observations, name) for name in _COLUMNS]
    if any(len(column) != len(labels) for column in (read.observations.weight, *columns)):
        raise stored.damaged(path, "the lists in observations must be of equal length")
    if labels and not 0 <= min(labels) <= max(labels) < len(read.num_recordings):
        raise stored.damaged(path, f"observations.label must be from 0 to {len(read.num_recordings) - 1}")
    if min(read.num_recordings.values(), default=0) < 0:
        raise stored.damaged(path, "num_recordings must be at least 0")
    for name, exponent in read.exponents.items():
        if name not in _FACTORS or not 0 <= exponent <= 1 or (exponent and not read.widths.get(name, 0) > 0):
            raise stored.damaged(path, f"exponents.{name:.40} must be from 0 to 1, with a width of that name above 0")
    return Prior(
        class_ids=tuple(read.num_recordings),
        num_recordings=np.array(list(read.num_recordings.values())),
        labels=np.array(labels, int),
        weights=np.array(read.observations.weight, float),
        observations=np.array(columns, float).T.reshape(-1, len(_COLUMNS)),  # None becomes NaN
        widths=read.widths,
        exponents=read.exponents,
    )
