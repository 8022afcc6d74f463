"""A plain convolution network that learns much a CPU-second: coarse stem, stages of convolutions, attention over time.

The stem leaves a sixteenth of the pixels, so that the stages, where the 2018 networks spend most of their time on
whole pictures, cost little; attention weighs the moments of a chunk, of which a call fills only some.
"""

from __future__ import annotations

import math
from typing import Any

from bird_tf import keras
from bird_tf.models import architectures, layers

_STEM_SIZE, _STEM_STRIDE = 5, 4


def network(images: Any, model: architectures.ModelConfig, num_classes: int) -> dict[str, Any]:
    """[batch, num_bands, num_frames, 1] → what `architectures.build` promises."""
    x = layers.convolve(
        images, model.filters[0], _STEM_SIZE, init=model.nonlinearity, stride=_STEM_STRIDE, bias=not model.batch_norm
    )
    x = layers.nonlinearity(layers.normalise(x, model), model.nonlinearity)
    for stage, (filters, size) in enumerate(model.stages):
        halving = stage > 0
        x = layers.convolve_normalised(x, filters, size, model, stride=2 if halving and not model.max_pooling else 1)
        for _ in range(1, model.stage_convolutions):
            x = layers.convolve_normalised(x, filters, size, model)
        if halving and model.max_pooling:
            x = keras.layers.MaxPooling2D(2, padding="same")(x)
        x = layers.drop(x, model)
    moments = keras.ops.mean(x, axis=1)  # [batch, moments, channels]
    weighted, attention = _attend(moments)
    return {
        **layers.classify(keras.ops.sum(weighted, axis=1), num_classes), "moments": weighted, "attention": attention,
    }  # fmt: skip


def _attend(moments: Any) -> tuple[Any, Any]:
    """Each channel weighted by what all channels say of each moment; the weights, float32, sum to 1 over time.

    [batch, moments, channels] → the same shape; and the attention that the chunk claims, [batch] float32: the log of
    the mean over moments of what the weights are before they are made to sum to 1, mean over channels.
    """
    scores = keras.layers.Dense(moments.shape[-1], kernel_initializer="zeros", dtype="float32", name="attention")(
        moments
    )
    weights = keras.ops.softmax(scores, axis=1)
    claimed = keras.ops.logsumexp(scores, axis=1) - math.log(scores.shape[1])  # [batch, channels]
    return weights * keras.ops.cast(moments, "float32"), keras.ops.mean(claimed, axis=1)
