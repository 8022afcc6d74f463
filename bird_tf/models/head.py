"""The head: what a backbone says of a chunk, corrected by a linear layer on its embedding."""

from __future__ import annotations

from typing import Any

import numpy as np

from bird_tf import keras
from bird_tf.records import schema

# where the backbone does not know a class: rare until something is learnt of it
_UNKNOWN_LOGIT = -4.0
_EPSILON = 1e-6
_STANDARDISED = "standardised"


def own_logits(answers: Any) -> Any:
    """What the head begins with: the backbone's logits [batch, classes], a low one in place of NaN."""
    return keras.ops.where(keras.ops.isnan(answers), _UNKNOWN_LOGIT, answers)


def standardised(embeddings: Any, mean: Any, variance: Any) -> Any:
    """What the head learns from: each number of the embedding with mean 0 and variance 1 over the training chunks.

    Args:
        embeddings: [batch, embedding_size] of the backbone.
        mean, variance: [embedding_size] over the training chunks.
    """
    return (embeddings - mean) / keras.ops.sqrt(variance + _EPSILON)


def network(inputs: dict[str, Any], num_classes: int) -> dict[str, Any]:
    """The backbone's own logits, plus a correction that is zero at first.

    An l2 penalty on the kernel pulls towards the backbone's answer, not towards zero (L2-SP, Li et al. 2018). The
    statistics of the embeddings are weights that do not learn; `set_statistics` gives them.

    Args:
        inputs: "embedding" [batch, embedding_size]; "backbone_answers" [batch, num_classes] logits, NaN for classes
            that the backbone does not know.
        num_classes: number of classes.

    Returns:
        The outputs that `architectures.build` documents; the embeddings are those of the backbone.
    """
    embeddings = keras.layers.Activation("linear", dtype="float32", name="embeddings")(inputs[schema.EMBEDDING])
    answers = keras.layers.Activation("linear", dtype="float32", name="answers")(inputs[schema.BACKBONE_ANSWERS])
    normalisation = keras.layers.BatchNormalization(
        center=False, scale=False, epsilon=_EPSILON, trainable=False, dtype="float32", name=_STANDARDISED
    )
    correction = keras.layers.Dense(num_classes, dtype="float32", kernel_initializer="zeros", name="logits")
    return {"logits": own_logits(answers) + correction(normalisation(embeddings)), "embeddings": embeddings}


def set_statistics(network: keras.Model, mean: np.ndarray, variance: np.ndarray) -> None:
    """Tells a head the mean and the variance, [embedding_size], of the embeddings of the training chunks."""
    layer = network.get_layer(_STANDARDISED)
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(variance)
