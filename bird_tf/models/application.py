"""A network of keras.applications: the spectrogram in three equal channels, average pooling over the image.

Only networks whose input range is [-1, 1], as in our other architectures, can be chosen.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bird_tf import config, keras
from bird_tf.models import architectures, layers


def network(images: Any, model: architectures.ModelConfig, num_classes: int) -> dict[str, Any]:
    """[batch, num_bands, num_frames, 1] → logits and embeddings."""
    body = _body(model, None, input_tensor=keras.ops.repeat(images, 3, axis=-1))
    for layer in body.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # the default, 0.99, is too slow for short trainings
    x = keras.layers.GlobalAveragePooling2D()(body.output)
    if model.dropout:
        x = keras.layers.Dropout(model.dropout)(x)
    return layers.classify(x, num_classes)


def imagenet_weights(model: architectures.ModelConfig) -> list[np.ndarray]:
    """ImageNet weights of all layers but the last, in the order of the network's weights. Keras keeps the download.

    Raises:
        InputError: the download fails.
    """
    try:
        return list(_body(model, "imagenet").get_weights())
    except Exception as error:
        raise config.InputError(
            f"--pretrained=imagenet: the weights of {model.application} cannot be downloaded ({error}); check the "
            "connection, copy them to ~/.keras/models, or train without them"
        ) from error


def _body(model: architectures.ModelConfig, weights: str | None, **inputs: Any) -> keras.Model:
    # by default this family expects pixels in [0, 255] and scales them
    scaling = {"include_preprocessing": False} if model.application.startswith("EfficientNetV2") else {}
    return getattr(keras.applications, model.application)(include_top=False, weights=weights, **inputs, **scaling)
