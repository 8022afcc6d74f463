"""Architectures: features of a chunk → logits. `build` makes every network.

The loss, and how logits become probabilities, are in `losses`.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from bird_tf import config, keras, tf
from bird_tf.records import schema

OF_SPECTROGRAMS = ("baseline", "resnet", "pi", "attention", "application")
HEAD = "head"
APPLICATIONS = (
    *(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L")),
    *("MobileNetV2", "ResNet50V2", "ResNet101V2", "Xception"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The options of a network. The defaults are those of the 2018 baseline."""

    architecture: str = config.option(
        "resnet", "the network; head: a linear layer on the embedding of a backbone", choices=(*OF_SPECTROGRAMS, HEAD)
    )
    subtract_mean: bool = config.option(
        False, "first subtract the mean of each band over the chunk: removes steady noise and the microphone's response"
    )
    filters: tuple[int, ...] = config.option(
        (16, 32, 64, 128), "number of filters of each group or stack, comma-separated"
    )
    kernel_sizes: tuple[int, ...] = config.option(
        (3,), "side of the square convolution kernels in pixels, for each group or stack, or one value for all"
    )
    nonlinearity: str = config.option(
        "relu", "nonlinearity after each convolution", choices=("relu", "lrelu", "vlrelu", "elu", "identity")
    )
    batch_norm: bool = config.option(True, "batch normalisation (momentum 0.9, epsilon 1e-4, as in 2018)")
    max_pooling: bool = config.option(True, "halve the image by max-pooling; false: by strided convolutions")
    dropout: float = config.option(0.0, "dropout probability")
    dropout_type: str = config.option("pixel", "unit of the dropout", choices=("pixel", "location", "channel"))
    resnet_k: int = config.option(2, "resnet: widening factor of the filters")
    resnet_n: int = config.option(2, "resnet: blocks in each stack")
    groups: int = config.option(1, "groups of channels in each convolution; must divide --filters")
    application: str = config.option(
        "EfficientNetV2B0", "application: which network of keras.applications", choices=APPLICATIONS, was=("backbone",)
    )
    stage_convolutions: int = config.option(1, "attention: convolutions in each stage")
    dense_units: int = config.option(512, "pi: units in each of the two dense layers")

    def __post_init__(self) -> None:
        counts = ("resnet_k", "resnet_n", "stage_convolutions", "dense_units", "groups")
        if wrong := [name for name in counts if getattr(self, name) < 1]:
            raise config.InputError(f"--{wrong[0]}={getattr(self, wrong[0])}: must be at least 1")
        if not self.filters or min(self.filters) < 1:
            raise config.InputError(f"--filters={','.join(map(str, self.filters))}: each must be at least 1")
        if len(self.kernel_sizes) not in (1, len(self.filters)) or min(self.kernel_sizes) < 1:
            raise config.InputError(
                f"--kernel_sizes={','.join(map(str, self.kernel_sizes))}: need one number of at least 1, or one for "
                f"each of --filters={','.join(map(str, self.filters))}"
            )
        if any(filters % self.groups for filters in self.filters):
            raise config.InputError(
                f"--groups={self.groups}: must divide each of --filters={','.join(map(str, self.filters))}"
            )
        if not 0 <= self.dropout < 1:
            raise config.InputError(f"--dropout={self.dropout}: must be at least 0 and below 1")

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features of a chunk that the network takes."""
        return (schema.EMBEDDING, schema.BACKBONE_ANSWERS) if self.architecture == HEAD else (schema.SPECTROGRAM,)

    @property
    def needs_backbone(self) -> bool:
        """Whether a backbone makes some of these features."""
        return self.architecture == HEAD

    @property
    def has_attention(self) -> bool:
        """Whether the network gives attention logits."""
        return self.architecture == "attention"

    @property
    def stages(self) -> list[tuple[int, int]]:
        """Number of filters and kernel size of each group or stack."""
        sizes = self.kernel_sizes if len(self.kernel_sizes) > 1 else self.kernel_sizes * len(self.filters)
        return list(zip(self.filters, sizes, strict=True))


def build(model: ModelConfig, shapes: Mapping[str, Sequence[int]], num_classes: int) -> keras.Model:
    """Builds a network under the current Keras dtype policy.

    Args:
        model: its options.
        shapes: {name: shape} of the features that it takes, `model.features`.
        num_classes: number of outputs.

    Returns:
        A functional model; `call` applies it. Its outputs are {"logits": [batch, num_classes] float32, "embeddings":
        [batch, features] float32, the input of the last layer}. The attention network also gives "time_steps": [batch,
        time_steps, features] float32, whose sum over the time steps is the embeddings, and "attention_logits": [batch]
        float32, the logit of the chunk's weight among other chunks.

    Raises:
        InputError: the spectrogram is too small for the number of halvings.
    """
    inputs = {name: keras.Input(tuple(shapes[name]), name=name) for name in model.features}
    architecture = importlib.import_module(f"bird_tf.models.{model.architecture}")
    if model.architecture == HEAD:
        return keras.Model(inputs, architecture.network(inputs, num_classes), name=model.architecture)
    spectrograms = inputs[schema.SPECTROGRAM]
    outputs = architecture.network(_images(spectrograms, model), model, num_classes)
    return keras.Model(spectrograms, outputs, name=model.architecture)


def _images(spectrograms: Any, model: ModelConfig) -> Any:
    """[batch, bands, frames] in [0, 1] → [batch, bands, frames, 1], centred."""
    num_bands, num_frames = spectrograms.shape[1:]
    if min(num_bands, num_frames) < 2 ** len(model.filters):
        raise config.InputError(
            f"--filters={','.join(map(str, model.filters))}: {len(model.filters)} halvings are too many for "
            f"spectrograms of {num_bands} x {num_frames}"
        )
    if model.subtract_mean:
        # without the means the values span about a quarter of the range
        centred = (spectrograms - keras.ops.mean(spectrograms, axis=2, keepdims=True)) * 4.0
    else:
        centred = keras.layers.Rescaling(2.0, offset=-1.0, name="zero_centred")(spectrograms)
    return keras.layers.Reshape((num_bands, num_frames, 1))(centred)


def call(network: keras.Model, batch: Mapping[str, tf.Tensor], *, training: bool) -> dict[str, tf.Tensor]:
    """The outputs of a network.

    Args:
        network: from `build`.
        batch: {name: [batch, *shape] float32}; more features than the network takes are ignored. Spectrograms are in
            [0, 1]; the backbone's answers are logits, NaN for classes that it does not know.
        training: whether the network is being trained.
    """
    names = [node.name for node in network.inputs]
    inputs = {name: batch[name] for name in names} if len(names) > 1 else batch[names[0]]
    outputs: dict[str, tf.Tensor] = network(inputs, training=training)
    return outputs


def with_projection(network: keras.Model, size: int) -> keras.Model:
    """The same network with one more output, "projection" [batch, size] float32: a linear map of its embeddings."""
    projection = keras.layers.Dense(size, dtype="float32", name="projection")(network.output["embeddings"])
    return keras.Model(network.input, {**network.output, "projection": projection})


def forward_flops(network: keras.Model) -> int:
    """Floating-point operations for the logits of one chunk. A multiply-add counts as two."""
    inputs = {node.name: tf.TensorSpec([1, *node.shape[1:]], tf.float32) for node in network.inputs}
    logits = tf.function(lambda batch: call(network, batch, training=False)["logits"], autograph=False)
    graph = logits.get_concrete_function(inputs).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder(tf.compat.v1.profiler.ProfileOptionBuilder.float_operation())
    profile = tf.compat.v1.profiler.profile(graph, options=options.with_empty_output().build())
    return int(profile.total_float_ops)
