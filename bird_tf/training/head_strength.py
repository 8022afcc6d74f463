"""How strongly a head is pulled to its backbone: --l2 is chosen by folds within the training recordings."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

import numpy as np
from absl import logging

from bird_tf import config, keras, progress_bars, tf
from bird_tf.inference import labelled, saved_model
from bird_tf.input import dataset, streams
from bird_tf.input.augment import augmentations
from bird_tf.labels import groups, split
from bird_tf.models import head, losses
from bird_tf.records import manifests, recordings_table, schema, shard_files
from bird_tf.scores import metrics, pooling
from bird_tf.training import embedding_statistics, schedules, training_flags

# what --l2 is multiplied with, to be tried: from almost free to almost the backbone itself
FACTORS = (1 / 9, 1 / 3, 1.0, 3.0, 9.0, 27.0)
# standard errors by which a strength must be worse than the best, to be clearly worse
_CLEARLY = 2.0
_MOST_FOLDS = 3
_BATCH = 256
_FEATURES = (schema.EMBEDDING, schema.BACKBONE_ANSWERS)


def choose(settings: training_flags.TrainConfig, manifest: manifests.Manifest) -> float:
    """The strength nearest to --l2 of those whose MLRAP on held-out training recordings is not clearly below the best.

    Clearly: its mean distance to the best is more than two standard errors of that distance over the recordings. Few
    recordings say little, and the best of six by little is chance. If the backbone has heard the chunks in noise too,
    MLRAP is the mean of both. One class has no MLRAP: the strength stays.

    Args:
        settings: of the training.
        manifest: the records; validation recordings are not used.

    Raises:
        InputError: --l2 is 0, or the training recordings are of one group only.
    """
    if not settings.optimizer.l2:
        raise config.InputError("--tune_head with --l2=0: name the --l2 to begin with, as configs/head.flags does")
    if len(manifest.classes) == 1:
        logging.info("--tune_head: a detector of one class ranks nothing, so --l2=%.3g stays", settings.optimizer.l2)
        return settings.optimizer.l2
    fold_of = _folds(manifest)
    statistics = embedding_statistics.measure(manifest, settings.dataset, settings.seed)
    heads = Heads(settings, len(manifest.classes), statistics, 1 + max(fold_of.values()))
    heads.train(settings, manifest, fold_of)
    precisions = heads.precisions(settings, manifest, fold_of)
    strengths = heads.strengths
    chosen = strengths[nearest(precisions)]
    found = ", ".join(
        f"{strength:.3g}: {p:.4f}" for strength, p in zip(strengths, precisions.mean(axis=1), strict=True)
    )
    logging.info("--l2=%.3g is chosen, by MLRAP on held-out training recordings: %s", chosen, found)
    return chosen


def nearest(precisions: np.ndarray) -> int:
    """The row nearest to the factor 1 that is not clearly below the best, the stronger one of two; see `choose`.

    Args:
        precisions: [FACTORS, recordings].
    """
    lost = precisions[np.argmax(precisions.mean(axis=1))] - precisions
    error = lost.std(axis=1) / np.sqrt(max(1, precisions.shape[1] - 1))
    candidates = np.flatnonzero(lost.mean(axis=1) <= _CLEARLY * error)
    return int(min(candidates, key=lambda i: (round(abs(np.log(FACTORS[i])), 6), -FACTORS[i])))


def _folds(manifest: manifests.Manifest) -> dict[str, int]:
    """{recording_id: fold} of the training recordings; groups as in the conversion stay together."""
    known = recordings_table.read(manifest.directory, with_unused=True)  # some have chunks that do not train only
    recordings = [dataclasses.replace(r, split="") for r in known if r.split in manifest.training_splits]
    grouping = groups.GroupConfig(
        group_by=manifest.converter.get("group_by", "recording"),
        group_pattern=manifest.converter.get("group_pattern", ""),
    )
    num_groups = len(set(groups.assign(recordings, grouping).values()))
    if num_groups < 2:
        raise config.InputError(
            f"--tune_head: the training recordings of {manifest.directory} are of one {grouping.group_by}, so no "
            "folds can be made: convert with another --group_by, as recording, or train with --notune_head and an --l2 "
            "of your own"
        )
    return split.folds(recordings, min(_MOST_FOLDS, num_groups), split.SplitConfig(grouping=grouping))


class Heads:
    """A head for each fold and each strength. They are independent of each other, and trained in the same steps.

    Attributes:
        strengths: the --l2 of each of FACTORS.
    """

    def __init__(
        self,
        settings: training_flags.TrainConfig,
        num_classes: int,
        statistics: tuple[np.ndarray, np.ndarray],
        num_folds: int,
    ) -> None:
        """Makes heads that say what the backbone says. `statistics`: from `embedding_statistics.measure`."""
        self._num_folds, self._loss = num_folds, settings.loss
        self.strengths = [factor * settings.optimizer.l2 for factor in FACTORS]
        self._mean, self._variance = (values.astype(np.float32) for values in statistics)
        self._kernel = keras.Variable(np.zeros((len(self._mean), num_folds, len(FACTORS), num_classes), np.float32))
        self._bias = keras.Variable(np.zeros((num_folds, len(FACTORS), num_classes), np.float32))
        self._optimiser = keras.optimizers.Adam(settings.schedule.learning_rate)
        self._optimiser.build([self._kernel, self._bias])
        self._step = tf.function(self._descend, autograph=False)

    @property
    def kernel(self) -> np.ndarray:
        """[embedding_size, folds, strengths, classes] float32: how far the heads are from the backbone."""
        return np.asarray(self._kernel.numpy())

    def _logits(self, embeddings: tf.Tensor, answers: tf.Tensor) -> tf.Tensor:
        """[batch, folds, strengths, classes] float32."""
        own = head.own_logits(answers)
        standardised = head.standardised(embeddings, self._mean, self._variance)
        return own[:, None, None] + tf.tensordot(standardised, self._kernel.value, 1) + self._bias.value

    def _descend(self, batch: Mapping[str, tf.Tensor], fold: tf.Tensor) -> None:
        """One step: each head learns from the chunks outside its fold; `fold` is [batch] int32, -1 for noise."""
        with tf.GradientTape() as tape:
            logits, total = self._logits(*(batch[name] for name in _FEATURES)), tf.constant(0.0)
            for number in range(self._num_folds):
                weights = batch["weights"] * tf.cast(fold != number, tf.float32)[:, None]
                for i, strength in enumerate(self.strengths):
                    total += losses.loss(logits[:, number, i], batch["targets"], weights, self._loss)
                    total += strength * tf.reduce_sum(tf.square(self._kernel.value[:, number, i]))
        variables = [self._kernel, self._bias]
        self._optimiser.apply(tape.gradient(total, [variable.value for variable in variables]), variables)

    def train(
        self, settings: training_flags.TrainConfig, manifest: manifests.Manifest, fold_of: Mapping[str, int]
    ) -> None:
        """Trains for as many epochs as the head itself, without mixup, which would mix the folds."""
        steps = streams.steps_per_epoch(manifest, settings.dataset)
        batches = dataset.training(
            manifest, settings.dataset, augmentations.AugmentConfig(), settings.seed, features=_FEATURES
        )
        total = settings.epochs * steps
        with progress_bars.start(total, "step", "choosing --l2") as progress:
            for step, batch in enumerate(batches.take(total)):
                rate = schedules.learning_rate(settings.schedule, step / steps, settings.epochs)
                self._optimiser.learning_rate.assign(rate)
                fold = [fold_of.get(recording_id.decode(), -1) for recording_id in batch["recording_id"].numpy()]
                self._step(batch, tf.constant(fold))
                progress.update()

    def precisions(
        self, settings: training_flags.TrainConfig, manifest: manifests.Manifest, fold_of: Mapping[str, int]
    ) -> np.ndarray:
        """How well each strength ranks the species of the recordings of all folds, scored by heads that do not know it.

        Returns:
            [strengths, recordings] float64, the average precision of a recording's ranking; if the backbone has heard
            it in noise too, the mean of both.
        """
        in_noise = [name for name in (schema.IN_NOISE[name] for name in _FEATURES) if name in manifest.features]
        features = manifest.select(labelled.with_spectrogram((*_FEATURES, *in_noise), manifest), "--tune_head")
        parts = [shard_files.read(manifest, part, _BATCH, features) for part in ("train", "rest")
                 if manifest.paths(part)]  # fmt: skip
        pairs = [names for names in (_FEATURES, tuple(in_noise)) if names]

        def predict(batch: labelled.Batch) -> saved_model.Outputs:
            fold = [fold_of[recording_id.decode()] for recording_id in batch["recording_id"].numpy()]
            every = [self._logits(*(batch[name] for name in names)) for names in pairs]
            logits = tf.concat([tf.gather(logits, fold, batch_dims=1) for logits in every], axis=1)
            probabilities = losses.probabilities(tf.transpose(logits, [1, 0, 2]), self._loss.loss)
            return saved_model.without_embeddings(probabilities.numpy(), None)

        scored = labelled.score_batches(itertools.chain(*parts), manifest, predict)
        truth = metrics.truth(scored.labels, scored.backgrounds, len(manifest.classes))
        method = settings.pooling
        if method in ("", "auto"):
            method = pooling.default(len(manifest.classes))
        found = [
            metrics.ranking_precisions(
                pooling.pool_each([members[i] for members in scored.member_probabilities], method), truth
            )
            for i in range(len(pairs) * len(FACTORS))
        ]
        return np.mean(np.reshape(found, (len(pairs), len(FACTORS), -1)), axis=0)
