"""A backbone of keras.applications by name, spectrograms in three equal channels, average pooling.

Only those that take pictures in [-1, 1], as the other networks here do, are offered.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bird_tf import config, keras
from bird_tf.models import architectures, layers


def network(images: Any, model: architectures.ModelConfig, num_classes: int) -> dict[str, Any]:
    """[batch, num_bands, num_frames, 1] → logits and embeddings."""
    backbone = _backbone(model, None, input_tensor=keras.ops.repeat(images, 3, axis=-1))
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # Keras's lags far behind short trainings
    x = keras.layers.GlobalAveragePooling2D()(backbone.output)
    if model.dropout:
        x = keras.layers.Dropout(model.dropout)(x)
    return layers.classify(x, num_classes)


def imagenet_weights(model: architectures.ModelConfig) -> list[np.ndarray]:
    """Weights of the backbone as learnt from ImageNet, in the order of the network's; downloaded once and kept.

    Raises:
        InputError: they cannot be downloaded.
    """
    try:
        return list(_backbone(model, "imagenet").get_weights())
    except Exception as error:
        raise config.InputError(
            f"--pretrained=imagenet: the weights of {model.backbone} cannot be had ({error}); they are downloaded to "
            "~/.keras/models: check the network, copy them there, or train without"
        ) from error


def _backbone(model: architectures.ModelConfig, weights: str | None, **inputs: Any) -> keras.Model:
    # the later families would otherwise scale pictures themselves, from [0, 255]
    scaling = {"include_preprocessing": False} if model.backbone.startswith("EfficientNetV2") else {}
    return getattr(keras.applications, model.backbone)(include_top=False, weights=weights, **inputs, **scaling)
