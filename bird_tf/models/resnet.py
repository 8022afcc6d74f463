"""The 2018 resnet: stacks of pre-activated wide residual blocks; each stack halves the image; average pooling."""

from __future__ import annotations

from typing import Any

from bird_tf import keras
from bird_tf.models import architectures, layers


def network(images: Any, model: architectures.ModelConfig, num_classes: int) -> dict[str, Any]:
    """[batch, num_bands, num_frames, 1] → logits and embeddings."""
    # no bias: the first block begins with a normalisation
    x = layers.convolve(images, *model.stages[0], init=model.nonlinearity, bias=not model.batch_norm)
    for filters, size in model.stages:
        x = _block(x, filters * model.resnet_k, size, model, stride=2, first=True)
        for _ in range(1, model.resnet_n):
            x = _block(x, filters * model.resnet_k, size, model, stride=1, first=False)
    x = layers.nonlinearity(layers.normalise(x, model), model.nonlinearity)
    return layers.classify(keras.layers.GlobalAveragePooling2D()(x), num_classes)


def _block(x: Any, filters: int, size: int, model: architectures.ModelConfig, *, stride: int, first: bool) -> Any:
    """Two convolutions around a shortcut; in the first block of a stack the shortcut is activated too."""
    activated = layers.nonlinearity(layers.normalise(x, model), model.nonlinearity)
    shortcut = activated if first else x
    convolution_stride = 1 if model.max_pooling else stride
    pooled = model.max_pooling and stride > 1

    y = layers.convolve_normalised(activated, filters, size, model, stride=convolution_stride)
    if pooled:
        y = keras.layers.MaxPooling2D(stride)(y)
    y = layers.drop(y, model)
    y = layers.convolve(y, filters, size, init=model.nonlinearity, groups=model.groups)
    if y.shape != shortcut.shape:
        shortcut = layers.convolve(shortcut, filters, 1, init=model.nonlinearity, stride=convolution_stride, bias=False)
        if pooled:
            shortcut = keras.layers.MaxPooling2D(stride)(shortcut)
    return keras.layers.Add()([y, shortcut])
