"""The head: what a backbone says of a chunk, corrected by a linear layer on its embedding."""

from __future__ import annotations

from typing import Any

from bird_tf import keras
from bird_tf.records import schema

# where the backbone does not know a class: rare until something is learnt of it
_UNKNOWN_LOGIT = -4.0
_EPSILON = 1e-6


def starting_point(answers: Any, embeddings: Any) -> tuple[Any, Any]:
    """What the head begins with, and what it learns from.

    Args:
        answers: [batch, classes] logits of the backbone, NaN for classes that it does not know.
        embeddings: [batch, embedding_size] of the backbone.

    Returns:
        Logits [batch, classes], and the embeddings, each standardised to mean 0 and variance 1: backbones differ in the
        size of their numbers, and this needs nothing from the records.
    """
    own = keras.ops.where(keras.ops.isnan(answers), _UNKNOWN_LOGIT, answers)
    mean, variance = keras.ops.moments(embeddings, axes=[1], keepdims=True)
    return own, (embeddings - mean) / keras.ops.sqrt(variance + _EPSILON)


def network(inputs: dict[str, Any], num_classes: int) -> dict[str, Any]:
    """The backbone's own logits, plus a correction that is zero at first.

    An l2 penalty on the kernel pulls towards the backbone's answer, not towards zero (L2-SP, Li et al. 2018).

    Args:
        inputs: "embedding" [batch, embedding_size]; "backbone_answers" [batch, num_classes] logits, NaN for classes
            that the backbone does not know.
        num_classes: number of classes.

    Returns:
        The outputs that `architectures.build` documents; the embeddings are those of the backbone.
    """
    embeddings = keras.layers.Activation("linear", dtype="float32", name="embeddings")(inputs[schema.EMBEDDING])
    answers = keras.layers.Activation("linear", dtype="float32", name="answers")(inputs[schema.BACKBONE_ANSWERS])
    own, standardised = starting_point(answers, embeddings)
    correction = keras.layers.Dense(num_classes, dtype="float32", kernel_initializer="zeros", name="logits")
    return {"logits": own + correction(standardised), "embeddings": embeddings}
