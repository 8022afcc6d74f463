"""The loss of a training, and how logits become probabilities."""

from __future__ import annotations

import dataclasses

from bird_tf import config, tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The loss."""

    loss: str = config.option(
        "softmax",
        "softmax: one species in a chunk, as in 2018; sigmoid: any number; focal: sigmoid, hard examples weigh more; "
        "sigmoid_auc: sigmoid, and chunks with the species shall score above those without it",
        choices=("softmax", "sigmoid", "focal", "sigmoid_auc"),
    )
    focal_gamma: float = config.option(2.0, "focal: each class is weighted by |target - probability| to this power")
    label_smoothing: float = config.option(0.0, "share of the target that is spread over all classes")

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1 or self.focal_gamma < 0:
            raise config.InputError(
                f"--label_smoothing={self.label_smoothing} --focal_gamma={self.focal_gamma}: need a share in [0, 1) "
                "and a power of at least 0"
            )


def probabilities(logits: tf.Tensor, loss: str) -> tf.Tensor:
    """Probabilities: softmax over the classes, or sigmoid of each class.

    Args:
        logits: [batch, classes] float32.
        loss: "softmax", or a loss with a sigmoid for each class.

    Returns:
        [batch, classes] float32 in [0, 1].
    """
    return tf.nn.softmax(logits) if loss == "softmax" else tf.nn.sigmoid(logits)


def logits_for(logits: tf.Tensor, taught_with: str, loss: str) -> tf.Tensor:
    """Logits of a network that was trained with one loss, as a network with another loss would say the same.

    Logits of softmax mean something only relative to each other; to a loss with a sigmoid for each class they are
    log(p / (1 - p)) of the probabilities p. The other way nothing is to be done: the softmax of logits of independent
    classes is the probability that a class is present if exactly one is.

    Args:
        logits: [batch, classes] float32, all classes of the network.
        taught_with: the loss of the network.
        loss: the other loss.

    Returns:
        [batch, classes] float32.
    """
    if taught_with != "softmax" or loss == "softmax":
        return logits
    log_p = tf.minimum(tf.nn.log_softmax(logits), -1e-7)  # below 0: p = 1 has no logit
    return log_p - tf.math.log(-tf.math.expm1(log_p))


def cosine_distance(projections: tf.Tensor, embeddings: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Sum of 1 - cosine over the chunks of a batch, and their number; chunks whose embedding is NaN do not count.

    Args:
        projections, embeddings: [batch, size] float32.

    Returns:
        Two scalars float32.
    """
    counts = tf.reduce_all(tf.math.is_finite(embeddings), axis=1)
    known = tf.where(counts[:, None], embeddings, 0.0)
    cosines = tf.reduce_sum(tf.nn.l2_normalize(projections, axis=1) * tf.nn.l2_normalize(known, axis=1), axis=1)
    return tf.reduce_sum(tf.where(counts, 1.0 - cosines, 0.0)), tf.reduce_sum(tf.cast(counts, tf.float32))


def loss(logits: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, settings: LossConfig) -> tf.Tensor:
    """Mean loss of a batch, scalar float32; 0 if nothing counts. Arguments as for `loss_and_weight`."""
    return tf.math.divide_no_nan(*loss_and_weight(logits, targets, weights, settings))


def loss_and_weight(
    logits: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, settings: LossConfig
) -> tuple[tf.Tensor, tf.Tensor]:
    """Sum of the losses of a batch, and the sum of what counts in it.

    The mean over several batches is the quotient of the two totals; a mean of means would depend on how chunks are
    divided among devices.

    Args:
        logits: [batch, classes] float32.
        targets: [batch, classes] float32 in [0, 1], 1 if the class is present.
        weights: [batch, classes] float32, 0 where it is not known whether the class is present. Softmax leaves such
            classes out of its sum. For a chunk without any class (no-call) its targets are equal probabilities. A chunk
            counts only if at least two of its classes are known, and a class that is present is among them if there is
            one.
        settings: which loss.

    Returns:
        Two scalars float32. Softmax counts chunks, the other losses count the weights. The pairs of sigmoid_auc are
        those of this batch, or of this device's part of it.
    """
    if settings.loss == "softmax":
        known = tf.cast(weights > 0, tf.float32)
        known_targets = targets * known
        present = tf.reduce_sum(known_targets, axis=1, keepdims=True)
        has_hidden_class = tf.logical_and(present[:, 0] <= 0, tf.reduce_max(targets, axis=1) > 0)
        counts = tf.logical_and(tf.reduce_sum(known, axis=1) >= 2, tf.logical_not(has_hidden_class))
        spread = tf.math.divide_no_nan(known, tf.reduce_sum(known, axis=1, keepdims=True))
        targets = tf.where(present > 0, tf.math.divide_no_nan(known_targets, present), spread)
        targets += settings.label_smoothing * (spread - targets)
        # -1e9 takes a class of weight 0 out of the softmax
        each = tf.nn.softmax_cross_entropy_with_logits(targets, logits + tf.where(weights > 0, 0.0, -1e9))
        return tf.reduce_sum(tf.where(counts, each, 0.0)), tf.reduce_sum(tf.cast(counts, tf.float32))
    targets += settings.label_smoothing * (0.5 - targets)
    each = tf.nn.sigmoid_cross_entropy_with_logits(targets, logits)
    if settings.loss == "focal":
        # Lin et al. 2017: (1 - p_t)^gamma. |target - p| equals 1 - p_t for targets of 0 and 1, and is defined between
        # them too. The lower limit keeps the gradient finite where p equals the target.
        each *= tf.maximum(tf.abs(targets - tf.sigmoid(logits)), 1e-7) ** settings.focal_gamma
    total, weight = tf.reduce_sum(each * weights), tf.reduce_sum(weights)
    if settings.loss == "sigmoid_auc":
        total += weight * soft_auc_loss(logits, targets, weights)
    return total, weight


def soft_auc_loss(logits: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """A smooth form of 1 - AUROC: for two chunks and a class, log(1 + exp(-difference of their logits)).

    A pair counts by how far its targets lie apart, so that soft targets, as pseudo-labels, have their share; the chunk
    with the greater target should have the greater logit. It needs batch² × classes numbers of memory.

    Args:
        logits: [batch, classes] float32.
        targets: [batch, classes] float32 in [0, 1].
        weights: [batch, classes] float32; a pair counts by the product of its weights.

    Returns:
        The mean over all pairs and classes, scalar float32; 0 if all targets are equal.
    """
    apart = tf.nn.relu(targets[:, None] - targets[None, :]) * weights[:, None] * weights[None, :]
    # [batch, batch, classes]: the first chunk is the one with the greater target
    each = tf.nn.softplus(logits[None, :] - logits[:, None])
    return tf.math.divide_no_nan(tf.reduce_sum(apart * each), tf.reduce_sum(apart))
