"""A convolution network that trains fast on a CPU: a coarse stem, stages of convolutions, attention over time.

The stem keeps one sixteenth of the pixels, so the stages are cheap; the 2018 networks convolve whole spectrograms.
Attention weights the time steps of a chunk, because a call fills only some of them.
"""

from __future__ import annotations

import math
from typing import Any

from bird_tf import keras
from bird_tf.models import architectures, layers

_STEM_SIZE, _STEM_STRIDE = 5, 4


def network(images: Any, model: architectures.ModelConfig, num_classes: int) -> dict[str, Any]:
    """[batch, num_bands, num_frames, 1] → the outputs that `architectures.build` documents."""
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
    weighted, attention_logits = _attend(keras.ops.mean(x, axis=1))  # mean over the bands
    return {
        **layers.classify(keras.ops.sum(weighted, axis=1), num_classes),
        "time_steps": weighted,
        "attention_logits": attention_logits,
    }


def _attend(time_steps: Any) -> tuple[Any, Any]:
    """Attention over time, with weights of its own for each channel.

    Args:
        time_steps: [batch, time_steps, channels].

    Returns:
        [batch, time_steps, channels] float32, the input times weights that sum to 1 over time; and [batch] float32, the
        attention logit of the chunk: log(mean over time of exp(scores)), then the mean over channels.
    """
    _, num_time_steps, channels = time_steps.shape
    dense = keras.layers.Dense(channels, kernel_initializer="zeros", dtype="float32", name="attention")
    # over two axes: beside TensorFlow 2.21, tf2onnx 1.17 mistakes the channels of a dense layer over three axes
    scores = dense(keras.ops.reshape(time_steps, (-1, channels)))
    scores = keras.ops.reshape(scores, (-1, num_time_steps, channels))
    weights = keras.ops.softmax(scores, axis=1)
    logits = keras.ops.logsumexp(scores, axis=1) - math.log(scores.shape[1])  # [batch, channels]
    return weights * keras.ops.cast(time_steps, "float32"), keras.ops.mean(logits, axis=1)
