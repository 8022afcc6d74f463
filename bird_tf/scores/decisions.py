"""Pooling, ensemble weights, calibration and thresholds: chosen on validation recordings, stored in one file."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from bird_tf import config, files, next_steps, stored
from bird_tf.labels import taxonomy
from bird_tf.scores import calibration, context, metrics, pooling, thresholds

ASSET = "assets/decisions.json"
FORMAT_VERSION = 3  # it may say which models it is for
# pooled scores of format 1 by these methods were no probabilities
_CHANGED_POOLING = ("median_filtered", "mean_exponential")
_SELECTION_ROUNDS = 20
_SOURCES_TOGETHER = re.compile(r"(?:(.*?); )?(\d+ segments of .*)", re.DOTALL)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decisions:
    """How the models' scores become predictions.

    Attributes:
        pooling: one of pooling.METHODS, chunk scores → recording scores.
        weights: [models] of the ensemble; their sum is 1.
        recording: for pooled scores.
        chunk: for scores of single chunks, fitted on the best chunk of each recording.
        context: what changes the scores of chunks before they are calibrated, for answers over time.
        in_context: for scores of chunks in their context, fitted on segments; None: `chunk`.
        precision: the target of the rule "precision"; 0 if nothing was fitted.
        fitted_on: what pooling, weights, `recording` and `chunk` were fitted on; empty if nothing was fitted.
        context_fitted_on: what `context` and `in_context` were fitted on.
        models: for each model, the digests of those that all this is for, as that before its refit and that after it;
            empty if they are not known.
    """

    pooling: str
    weights: tuple[float, ...]
    recording: calibration.Calibration
    chunk: calibration.Calibration
    context: context.Context = dataclasses.field(default_factory=context.Context)
    in_context: calibration.Calibration | None = None
    precision: float = 0.0
    fitted_on: str = ""
    context_fitted_on: str = ""
    models: tuple[tuple[str, ...], ...] = ()

    @property
    def sources(self) -> str:
        """All that anything was fitted on, in words; empty if nothing was."""
        return joined_sources(self.fitted_on, self.context_fitted_on)

    def of_recordings(self, pooled: np.ndarray, best_chunks: np.ndarray) -> np.ndarray:
        """Calibrated probabilities of whole recordings: never above those of their best chunks.

        Args:
            pooled: [..., classes] pooled scores.
            best_chunks: of the same shape, the scores of the best chunks.
        """
        return np.minimum(self.recording.probabilities(pooled), self.chunk.probabilities(best_chunks))

    def of_chunks(
        self, chunks: Sequence[np.ndarray], attention_logits: Sequence[np.ndarray] | None = None
    ) -> np.ndarray:
        """As `of_recordings`, from the chunks of each recording, as `pooling.pool_each` takes them."""
        pooled = pooling.pool_each(chunks, self.pooling, attention_logits)
        return self.of_recordings(pooled, np.stack([own.max(axis=0) for own in chunks]))

    @property
    def answers(self) -> calibration.Calibration:
        """For answers over time: of chunks in their context, and of segments."""
        return self.in_context or self.chunk


def joined_sources(before: str, further: str) -> str:
    """Two descriptions of what was fitted on, as one; the second is left out if the first ends with it already."""
    return before if before.endswith(further) else "; ".join(filter(None, [before, further]))


def neutral(classes: taxonomy.Taxonomy, num_models: int, method: str) -> Decisions:
    """Decisions without fitting: unchanged scores, thresholds of 0.5, equal weights."""
    identity = _identity(classes)
    return Decisions(pooling=method, weights=(1 / num_models,) * num_models, recording=identity, chunk=identity)


def _identity(classes: taxonomy.Taxonomy) -> calibration.Calibration:
    return calibration.Calibration(
        slope=1.0, intercept=0.0, thresholds={rule: np.full(len(classes), 0.5) for rule in thresholds.RULES}
    )


def choose_pooling(
    chunks: Sequence[np.ndarray], truth: np.ndarray, attention_logits: Sequence[np.ndarray] | None = None
) -> tuple[str, dict[str, float]]:
    """Chooses the pooling with the best MLRAP; of one class, with the best average precision.

    Args:
        chunks: for each recording [chunks, classes] in [0, 1].
        truth: [recordings, classes] bool.
        attention_logits: for each recording [chunks]; None: the method "attention" is not tried.

    Returns:
        The name of the method (the first one of equals), and the MLRAP of each method.
    """
    methods = [m for m in pooling.METHODS if m != pooling.ATTENTION or attention_logits is not None]
    if truth.shape[1] == 1:  # the score is its own median
        methods.remove("median_filtered")
    found = {m: _quality(pooling.pool_each(chunks, m, attention_logits), truth) for m in methods}
    return max(found, key=lambda method: found[method]), found


def _quality(pooled: np.ndarray, truth: np.ndarray) -> float:
    """MLRAP; of one class, of which nothing is ranked, the average precision."""
    measure = metrics.class_mean_average_precision if truth.shape[1] == 1 else metrics.mlrap
    return measure(pooled, truth)


def mix(members: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """The weighted mean of an ensemble's models; each votes only where it gives a number.

    Args:
        members: [models, …] float32 probabilities or attention logits, NaN where a model does not know a class.
        weights: [models]. Where all models that know a class have weight 0, they count equally.

    Returns:
        […] float32; NaN where no model gives a number.
    """
    if len(members) == 1:
        return np.asarray(members[0])
    own = np.asarray(weights, np.float32)
    unknown = np.isnan(members)
    if not unknown.any():
        mixed = np.tensordot(own, members, axes=1)
        return np.asarray(np.minimum(mixed, members.max(axis=0)))  # rounding can make a mean larger than all members
    shares = np.where(unknown, np.float32(0), own.reshape(-1, *[1] * (members.ndim - 1)))
    shares = np.where(shares.sum(axis=0) > 0, shares, ~unknown)
    known, votes = shares.sum(axis=0), np.where(unknown, np.float32(0), members)
    mixed = np.divide((shares * votes).sum(axis=0), known, where=known > 0, out=np.full_like(votes[0], np.nan))
    return np.asarray(np.minimum(mixed, np.where(unknown, -np.inf, members).max(axis=0)), members.dtype)


def search_weights(
    chunks: Sequence[np.ndarray],
    truth: np.ndarray,
    method: str,
    attention_logits: Sequence[np.ndarray] | None = None,
) -> tuple[float, ...]:
    """Searches the weights of an ensemble by greedy selection with replacement (Caruana et al. 2004).

    Each of 20 rounds adds the model that gives the best ensemble by MLRAP; of one class, by average precision. A model
    can be added several times. Of models that are equally good there, the one that is best alone is added, and of those
    the one that was added least often, so that it is not their order that decides.

    Args:
        chunks: for each recording [models, chunks, classes] in [0, 1]; NaN where a model does not know a class.
        truth: [recordings, classes] bool.
        method: the pooling.
        attention_logits: for each recording [models, chunks]; only the method "attention" needs them.

    Returns:
        [models] how often each model was added, divided by the number of rounds; equal weights if all are equally good
        alone, and no others are better.
    """
    num_models = len(chunks[0])
    counts = np.zeros(num_models)

    def quality(candidate: np.ndarray) -> float:
        weights = (candidate / candidate.sum()).tolist()
        mixed = [mix(members, weights) for members in chunks]
        logits = None
        if attention_logits is not None:
            logits = [mix(members, weights) for members in attention_logits]
        return _quality(pooling.pool_each(mixed, method, logits), truth)

    alone = [quality(one) for one in np.eye(num_models)]
    for _ in range(_SELECTION_ROUNDS if num_models > 1 else 1):
        found = list(zip([quality(counts + one) for one in np.eye(num_models)], alone, -counts, strict=True))
        counts[max(range(num_models), key=lambda model: found[model])] += 1
    if len(set(alone)) == 1 and not quality(counts) > quality(np.ones(num_models)):
        counts = np.ones(num_models)
    return tuple(float(c) for c in counts / counts.sum())


def save(path: str, decisions: Decisions, classes: taxonomy.Taxonomy) -> None:
    """Writes the decisions, with thresholds by class id. The file appears when it is complete."""
    files.write_json(path, _content(decisions, classes), durable=True)


def digest(decisions: Decisions, classes: taxonomy.Taxonomy) -> str:
    """Equal for decisions that answer alike, wherever they are stored."""
    return files.digest(_content(dataclasses.replace(decisions, models=()), classes))


def _content(decisions: Decisions, classes: taxonomy.Taxonomy) -> dict[str, Any]:
    """The decisions as JSON, with thresholds by class id."""

    def calibration_as_json(fitted: calibration.Calibration) -> dict[str, Any]:
        return {
            "slope": fitted.slope,
            "intercept": fitted.intercept,
            "thresholds": {
                rule: dict(zip(classes.class_ids, map(float, fitted.thresholds[rule]), strict=True))
                for rule in thresholds.RULES
            },
        }

    content: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "pooling": decisions.pooling,
        "weights": tuple(map(float, decisions.weights)),
        "recording": calibration_as_json(decisions.recording),
        "chunk": calibration_as_json(decisions.chunk),
        "precision": decisions.precision,
        "fitted_on": decisions.fitted_on,
    }
    if decisions.models:
        content["models"] = decisions.models
    if decisions.context.active:
        content["context"] = dataclasses.asdict(decisions.context)
    if decisions.in_context:
        content["in_context"] = calibration_as_json(decisions.in_context)
    if decisions.context_fitted_on:
        content["context_fitted_on"] = decisions.context_fitted_on
    return content


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Calibration:
    """A stored calibration: {rule: {class id: threshold}}."""

    slope: float
    intercept: float
    thresholds: Mapping[str, Mapping[str, float]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Stored:
    """What `save` writes. Fields without content are absent, as in files of earlier versions."""

    format_version: int
    pooling: str
    weights: tuple[float, ...]
    recording: _Calibration
    chunk: _Calibration
    precision: float
    fitted_on: str
    context: context.Context = dataclasses.field(default_factory=context.Context)
    in_context: _Calibration | None = None
    context_fitted_on: str = ""
    models: tuple[tuple[str, ...], ...] = ()

    @property
    def sources(self) -> tuple[str, str]:
        """`fitted_on` and `context_fitted_on`. Version 0.2.0 wrote both into the first."""
        together = _SOURCES_TOGETHER.fullmatch(self.fitted_on)
        if self.context_fitted_on or not self.in_context or not together:
            return self.fitted_on, self.context_fitted_on
        return together[1] or "", together[2]


def load(path: str, classes: taxonomy.Taxonomy, num_models: int) -> Decisions:
    """Reads what `save` wrote.

    Raises:
        InputError: no such file, a damaged one, another format, other classes, or another number of models.
    """
    if not files.exists(path):
        raise config.InputError(
            f"--decisions={path}: no such file; {next_steps.command('evaluate', tune=True)} writes it"
        )
    content = stored.read_any(path)
    is_other = not isinstance(content, dict) or "pooling" not in content  # whose version is of another format
    version = 0 if is_other else stored.version_of(content)
    remedy = f"{path} holds no decisions of format {FORMAT_VERSION}; run {next_steps.command('evaluate', tune=True)}"
    stored.check_version(path, version, range(1, FORMAT_VERSION + 1), remedy)
    read = stored.as_type(path, _Stored, content)
    if (
        read.pooling not in pooling.METHODS
        or min(read.weights, default=0) < 0
        or not math.isclose(sum(read.weights), 1, abs_tol=1e-6)
    ):
        raise stored.damaged(
            path, f"pooling must be one of {', '.join(pooling.METHODS)}, and weights at least 0 with the sum 1"
        )
    outdated = version == 1 and read.pooling in _CHANGED_POOLING
    if outdated:
        logging.warning(
            "%s was fitted on the %s scores of an earlier version, which were no probabilities: recordings keep raw "
            "scores and thresholds of 0.5; run %s", path, read.pooling, next_steps.command("evaluate", tune=True),
        )  # fmt: skip
    if len(read.weights) != num_models:
        raise config.InputError(f"{path} was made for {len(read.weights)} models, not {num_models}")
    return Decisions(
        pooling=read.pooling,
        weights=read.weights,
        recording=_identity(classes) if outdated else _calibration(path, read.recording, classes),
        chunk=_calibration(path, read.chunk, classes),
        context=read.context,
        in_context=_calibration(path, read.in_context, classes) if read.in_context else None,
        precision=read.precision,
        fitted_on=read.sources[0],
        context_fitted_on=read.sources[1],
        models=read.models,
    )


def _calibration(path: str, read: _Calibration, classes: taxonomy.Taxonomy) -> calibration.Calibration:
    if not read.slope > 0 or set(read.thresholds) != set(thresholds.RULES):
        raise stored.damaged(path, f"need a slope above 0, and thresholds for the rules {', '.join(thresholds.RULES)}")
    if any(set(by_class) != set(classes.class_ids) for by_class in read.thresholds.values()):
        raise config.InputError(
            f"{path} was made for other classes than the model's; run {next_steps.command('evaluate', tune=True)}"
        )
    ordered = {rule: np.array([by_class[c] for c in classes.class_ids]) for rule, by_class in read.thresholds.items()}
    return calibration.Calibration(slope=read.slope, intercept=read.intercept, thresholds=ordered)
