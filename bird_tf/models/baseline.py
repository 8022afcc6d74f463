"""The 2018 baseline network: groups that each halve the image; a 1 × 1 convolution; average pooling."""

from __future__ import annotations

from typing import Any

from bird_tf import keras
from bird_tf.models import architectures, layers


def network(images: Any, model: architectures.ModelConfig, num_classes: int) -> dict[str, Any]:
    """[batch, num_bands, num_frames, 1] → logits and embeddings."""
    x = images
    for filters, size in model.stages:
        x = layers.convolve_normalised(x, filters, size, model, stride=1 if model.max_pooling else 2)
        if model.max_pooling:
            x = keras.layers.MaxPooling2D(2)(x)
        x = layers.drop(x, model)
    x = layers.convolve(x, model.filters[-1] * 2, 1, init="identity", bias=not model.batch_norm)
    x = keras.layers.GlobalAveragePooling2D()(layers.normalise(x, model))
    return layers.classify(x, num_classes)
