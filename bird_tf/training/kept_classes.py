"""--keep_classes: a training on other records that keeps the classes of the run from which it starts.

The classes are those of the records, then the kept ones: those of the run that the records lack. The labels say nothing
of them. A head leaves their outputs as they are; a network of spectrograms learns what the run says of each chunk.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from bird_tf import config, keras, tf
from bird_tf.inference import model_files
from bird_tf.labels import taxonomy
from bird_tf.models import architectures, losses
from bird_tf.records import manifests, recordings_table
from bird_tf.scores import prior
from bird_tf.training import pretrained, run_directory

# T = 2 as in Li and Hoiem 2017, Learning without Forgetting
_TEMPERATURE = 2.0
_PLAIN = losses.LossConfig(loss="sigmoid")


def with_kept_classes(
    manifest: manifests.Manifest, settings: pretrained.PretrainedConfig, loss: str
) -> manifests.Manifest:
    """The records with the classes of the earlier run that they lack; without --keep_classes as they are.

    Args:
        manifest: the records.
        settings: the earlier run.
        loss: of the new training.

    Raises:
        InputError: one of the two losses is softmax; the records have other features than the run takes; or there is
            no finished run.
    """
    if not settings.keep_classes:
        return manifest
    run = run_directory.load_description(settings.pretrained)
    if "softmax" in (loss, run.loss):
        raise config.InputError(
            f"--keep_classes: --loss={run.loss} in {settings.pretrained}, --loss={loss} here; both must be sigmoid or "
            "focal, since the probabilities of softmax change with every class that is added"
        )
    model_files.check_features(settings.pretrained, run.taken, run.front_end, run.backbone, manifest)
    shared = set(pretrained.shared_classes(manifest.classes, run.classes).values())
    kept = run.classes.subset(index for index in range(len(run.classes)) if index not in shared)
    logging.info(
        "keeps %d of the %d classes of %s; the records have the others", len(kept), len(run.classes),
        settings.pretrained,
    )  # fmt: skip
    known = (run.backbone or {}).get("classes", ())
    return manifest.with_further_classes(kept, [class_id for class_id in kept.class_ids if class_id in known])


def fit_prior(manifest: manifests.Manifest, settings: pretrained.PretrainedConfig) -> prior.Prior:
    """The prior of the training recordings; kept classes have that of the earlier run.

    Args:
        manifest: from `with_kept_classes`.
        settings: the earlier run.
    """
    fitted = prior.fit(recordings_table.training(manifest), manifest.labelled_classes)
    if not manifest.num_further:
        return fitted
    run = run_directory.load_description(settings.pretrained)
    shared = pretrained.shared_classes(manifest.labelled_classes, run.classes)
    renamed = list(run.prior.class_ids)
    for ours, theirs in shared.items():
        renamed[theirs] = manifest.classes.class_ids[ours]
    return prior.joined([fitted, dataclasses.replace(run.prior, class_ids=tuple(renamed))])


@functools.cache
def _held() -> Any:
    """A Keras constraint: some columns of a weight [..., classes] never change, whatever the optimiser does."""

    class Held(keras.constraints.Constraint):
        def __init__(self, start: np.ndarray, first: int) -> None:
            self._start, self._held = start, np.arange(start.shape[-1]) >= first

        def __call__(self, weight: tf.Tensor) -> tf.Tensor:
            return keras.ops.where(self._held, self._start, weight)

    return Held


class EarlierAnswers:
    """What the earlier run, a network of spectrograms, says of the kept classes."""

    def __init__(self, network: keras.Model, known: taxonomy.Taxonomy, manifest: manifests.Manifest) -> None:
        """Arguments: the earlier network, its classes, and the records, from `with_kept_classes`."""
        self._network, self._first = network, len(manifest.labelled_classes)
        self._columns = [known.index(class_id) for class_id in manifest.classes.class_ids[self._first :]]
        self._share = manifest.num_further / len(manifest.classes)

    def targets(self, batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The run's probabilities at T, [batch, kept classes] in [0, 1], for a batch with spectrograms."""
        logits = architectures.call(self._network, batch, training=False)["logits"]
        return tf.sigmoid(tf.gather(logits, self._columns, axis=1) / _TEMPERATURE)

    def loss_and_weight(self, logits: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of [batch, classes] logits / T against `targets`, as `losses.loss_and_weight`."""
        kept = logits[:, self._first :] / _TEMPERATURE
        return losses.loss_and_weight(kept, targets, tf.ones_like(targets), _PLAIN)

    def mix(self, loss: tf.Tensor, soft_loss: tf.Tensor) -> tf.Tensor:
        """The mean of both scalars, weighted by their numbers of classes; T² keeps the size of the gradient."""
        return (1.0 - self._share) * loss + self._share * _TEMPERATURE**2 * soft_loss


def keep(
    network: keras.Model,
    model: architectures.ModelConfig,
    manifest: manifests.Manifest,
    settings: pretrained.PretrainedConfig,
) -> EarlierAnswers | None:
    """Makes a training keep the kept classes.

    Args:
        network: with the weights of `pretrained.start`. The outputs of a head are held from now on.
        model: its options.
        manifest: from `with_kept_classes`.
        settings: the earlier run.

    Returns:
        What the training must learn beside the labels; None for a head, or if there is nothing to keep.
    """
    if not manifest.num_further:
        return None
    if model.architecture == architectures.HEAD:
        layer = network.get_layer("logits")
        for weight in (layer.kernel, layer.bias):
            weight.constraint = _held()(weight.numpy(), len(manifest.labelled_classes))
        return None
    run, earlier = run_directory.load(settings.pretrained)
    return EarlierAnswers(earlier, run.classes, manifest)
