"""Parts that the architectures share: convolution and its initialisation, normalisation, nonlinearity, dropout.

Inputs and outputs are symbolic tensors [batch, height, width, channels].
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from bird_tf import keras, tf
from bird_tf.models import architectures

# slopes of the leaky rectifiers below zero, as Lasagne defines them
_SLOPES = {"relu": 0.0, "lrelu": 0.01, "vlrelu": 0.33}


def initialiser(nonlinearity: str) -> Any:
    """He's normal initialisation with the gain of the nonlinearity (√2 for identity too, as in 2018)."""
    scale = 1.0 if nonlinearity == "elu" else 2.0 / (1.0 + _SLOPES.get(nonlinearity, 0.0) ** 2)
    return keras.initializers.VarianceScaling(scale, mode="fan_in", distribution="untruncated_normal")


def nonlinearity(x: Any, name: str) -> Any:
    """Applies a nonlinearity by name."""
    if name == "identity":
        return x
    if name == "elu":
        return keras.layers.ELU()(x)
    return keras.layers.LeakyReLU(negative_slope=_SLOPES[name])(x) if _SLOPES[name] else keras.layers.ReLU()(x)


def normalise(x: Any, model: architectures.ModelConfig) -> Any:
    """Batch normalisation as in 2018, if the model has it. Keras's momentum of 0.99 is too slow for short trainings."""
    return _one_pass_normalisation()(momentum=0.9, epsilon=1e-4)(x) if model.batch_norm else x


@functools.cache
def _one_pass_normalisation() -> Any:
    """A subclass of Keras's BatchNormalization with TensorFlow's fused operation, [batch, height, width, channels].

    Keras's own uses elementwise operations, with which the resnet trains a third slower.
    """

    class Normalisation(keras.layers.BatchNormalization):
        def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
            affine = {"scale": self.gamma.value, "offset": self.beta.value, "epsilon": self.epsilon}
            if not (training and self.trainable):
                moving = {"mean": self.moving_mean.value, "variance": self.moving_variance.value}
                return tf.raw_ops.FusedBatchNormV3(x=inputs, **affine, **moving, is_training=False).y
            unused = tf.zeros([0])
            fused = tf.raw_ops.FusedBatchNormV3(x=inputs, **affine, mean=unused, variance=unused, is_training=True)
            # the operation returns the unbiased variance; Keras averages the biased one
            count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
            statistics = fused.batch_mean, fused.batch_variance * (count - 1) / count
            for moving, value in zip((self.moving_mean, self.moving_variance), statistics, strict=True):
                moving.assign(moving * self.momentum + value * (1 - self.momentum))
            return fused.y

    return Normalisation


def convolve(x: Any, filters: int, size: int, *, init: str, stride: int = 1, bias: bool = True, groups: int = 1) -> Any:
    """Convolution, initialised for the nonlinearity `init`. Groups are not used on the spectrogram's single channel."""
    return keras.layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding="same",
        use_bias=bias,
        groups=groups if x.shape[-1] > 1 else 1,
        kernel_initializer=initialiser(init),
    )(x)


def convolve_normalised(x: Any, filters: int, size: int, model: architectures.ModelConfig, *, stride: int = 1) -> Any:
    """Convolution, normalisation, nonlinearity. Without bias if a normalisation follows, which would cancel it."""
    x = convolve(
        x, filters, size, init=model.nonlinearity, stride=stride, bias=not model.batch_norm,
        groups=model.groups,
    )  # fmt: skip
    return nonlinearity(normalise(x, model), model.nonlinearity)


def drop(x: Any, model: architectures.ModelConfig) -> Any:
    """Dropout of single pixels, of all channels at a location, or of whole channels, if the model has it."""
    if not model.dropout:
        return x
    kinds: dict[str, Callable[[], Any]] = {
        "pixel": lambda: keras.layers.Dropout(model.dropout),
        "location": lambda: keras.layers.Dropout(model.dropout, noise_shape=(None, *x.shape[1:-1], 1)),
        "channel": lambda: keras.layers.SpatialDropout2D(model.dropout),
    }
    return kinds[model.dropout_type]()(x)


def classify(features: Any, num_classes: int) -> dict[str, Any]:
    """The last layer, in float32 under any policy: [batch, features] → logits and embeddings."""
    features = keras.layers.Activation("linear", dtype="float32", name="embeddings")(features)
    logits = keras.layers.Dense(
        num_classes, dtype="float32", kernel_initializer=initialiser("identity"), name="logits"
    )(features)
    return {"logits": logits, "embeddings": features}
