"""Metrics of a network in training, on the validation recordings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from bird_tf import keras, tf
from bird_tf.inference import labelled, saved_model
from bird_tf.input import dataset
from bird_tf.models import architectures, losses
from bird_tf.records import manifests, schema
from bird_tf.scores import decisions, metrics, pooling


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValidationResult:
    """The result of one validation.

    Attributes:
        metrics: `metrics.headline` and the loss; those that are not defined are left out.
        scores: [recordings, labelled classes] float64, pooled.
        truth: [recordings, labelled classes] bool, background included.
        labels: [recordings] index of the foreground species.
        pooling: the method that was used.
    """

    metrics: dict[str, float]
    scores: np.ndarray
    truth: np.ndarray
    labels: np.ndarray
    pooling: str


def validator(
    network: keras.Model,
    manifest: manifests.Manifest,
    settings: dataset.DatasetConfig,
    loss: losses.LossConfig,
    method: str,
    features: Sequence[str] = (schema.SPECTROGRAM,),
) -> Callable[[], ValidationResult]:
    """Makes the function that scores the validation recordings with the present weights of the network.

    Only the classes that labels can name are ranked.

    Args:
        network: the network.
        manifest: the records.
        settings: the targets of the loss.
        loss: of the training.
        method: of pooling; "auto": each time the one with the best MLRAP.
        features: the features that the network takes.
    """
    batches = dataset.evaluation(manifest, settings, labelled.with_spectrogram(features, manifest))
    num_ranked = len(manifest.labelled_classes)

    @tf.function(reduce_retracing=True, autograph=False)
    def apply(batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor | None, tf.Tensor]:
        outputs = architectures.call(network, batch, training=False)
        logits = outputs["logits"]
        batch_loss = losses.loss(logits, batch["targets"], batch["weights"], loss)
        return losses.probabilities(logits, loss.loss)[:, :num_ranked], outputs.get("attention_logits"), batch_loss

    def validate() -> ValidationResult:
        total_loss, num_chunks, has_attention = 0.0, 0, False

        def predict(batch: labelled.Batch) -> saved_model.Outputs:
            nonlocal total_loss, num_chunks, has_attention
            probabilities, attention_logits, batch_loss = apply(batch)
            total_loss += float(batch_loss) * len(probabilities)
            num_chunks += len(probabilities)
            has_attention = attention_logits is not None
            return saved_model.without_embeddings(
                probabilities.numpy()[None], attention_logits.numpy()[None] if has_attention else None
            )

        scored = labelled.score_batches(batches, manifest, predict)
        truth = metrics.truth(scored.labels, scored.backgrounds, num_ranked)
        chunks = [members[0] for members in scored.member_probabilities]
        attention_logits = [members[0] for members in scored.member_attention_logits] if has_attention else None
        chosen = decisions.choose_pooling(chunks, truth, attention_logits)[0] if method == "auto" else method
        pooled = pooling.pool_each(chunks, chosen, attention_logits)
        every = {**metrics.headline(pooled, truth, scored.labels), "loss": total_loss / num_chunks}
        headline = {name: value for name, value in every.items() if value == value}
        return ValidationResult(metrics=headline, scores=pooled, truth=truth, labels=scored.labels, pooling=chosen)

    return validate
