"""The 2018 network for a Raspberry Pi: strided convolutions and two dense layers."""

from __future__ import annotations

from typing import Any

from bird_tf import keras
from bird_tf.models import architectures, layers


def network(images: Any, model: architectures.ModelConfig, num_classes: int) -> dict[str, Any]:
    """[batch, num_bands, num_frames, 1] → logits and embeddings."""
    x = images
    for filters, size in model.stages:
        x = layers.convolve_normalised(x, filters, size, model, stride=2)
    x = keras.layers.Flatten()(x)
    for _ in range(2):
        x = keras.layers.Dense(model.dense_units, kernel_initializer=layers.initialiser(model.nonlinearity))(x)
        x = keras.layers.Dropout(model.dropout)(layers.nonlinearity(x, model.nonlinearity))
    return layers.classify(x, num_classes)
