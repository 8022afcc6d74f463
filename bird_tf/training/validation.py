"""How well a network in training does on the validation recordings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from bird_tf import keras, tf
from bird_tf.input import dataset
from bird_tf.models import losses
from bird_tf.records import manifests, verify
from bird_tf.scores import decisions, metrics, pooling


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValidationResult:
    """One validation.

    Attributes:
        metrics: `metrics.headline` and the loss.
        scores: [recordings, classes] float64, pooled.
        truth: [recordings, classes] bool, background included.
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
) -> Callable[[], ValidationResult]:
    """Makes the function that scores the validation recordings with the network as it is then.

    Args:
        network: what is judged.
        manifest: the records.
        settings: what the loss takes as target.
        loss: of the training.
        method: of pooling; "auto": each time the one with the best MLRAP.
    """
    batches = dataset.evaluation(manifest, settings)

    @tf.function(reduce_retracing=True)
    def answer(batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor | None, tf.Tensor]:
        outputs = network(batch["spectrogram"], training=False)
        logits = outputs["logits"]
        batch_loss = losses.loss(logits, batch["targets"], batch["weights"], loss)
        return losses.probabilities(logits, loss.loss), outputs.get("attention"), batch_loss

    def validate() -> ValidationResult:
        scores, claims, ids, total = [], [], [], 0.0
        labels: dict[str, int] = {}
        backgrounds: dict[str, list[int]] = {}
        for batch in verify.naming_damage(batches, manifest):
            probabilities, claimed, batch_loss = answer(batch)
            scores.append(probabilities.numpy())
            if claimed is not None:
                claims.append(claimed.numpy())
            total += float(batch_loss) * len(scores[-1])
            batch_ids = [i.decode() for i in batch["recording_id"].numpy()]
            ids += batch_ids
            labels.update(zip(batch_ids, batch["label"].numpy().tolist(), strict=True))
            backgrounds.update(zip(batch_ids, batch["background"].numpy().tolist(), strict=True))
        recordings, chunks = pooling.by_recording(ids, np.concatenate(scores))
        indices = np.array([labels[r] for r in recordings])
        truth = metrics.truth(indices, [backgrounds[r] for r in recordings], len(manifest.classes))
        attention = pooling.by_recording(ids, np.concatenate(claims))[1] if claims else None
        chosen = decisions.choose_pooling(chunks, truth, attention)[0] if method == "auto" else method
        pooled = pooling.pool_each(chunks, chosen, attention)
        headline = {**metrics.headline(pooled, truth, indices), "loss": total / len(ids)}
        return ValidationResult(metrics=headline, scores=pooled, truth=truth, labels=indices, pooling=chosen)

    return validate
