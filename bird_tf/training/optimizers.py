"""The optimiser, and the moving average of the weights.

The loss is in `losses`, the learning rate over time in `schedules`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Any

from bird_tf import config, keras, tf
from bird_tf.training import weights

_WEIGHT_DECAY = 0.004  # Keras's default


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """The optimiser and its options."""

    optimizer: str = config.option("adam", "the optimiser", choices=("adam", "adamw", "sgd", "nesterov"))
    l2: float = config.option(0.0, "weight of the sum of the squared kernels in the loss")
    weight_decay: float = config.option(
        _WEIGHT_DECAY, "adamw: all weights shrink in each step by this share of the learning rate"
    )
    clip_norm: float = config.option(
        0.0, "scale down gradients whose norm over all weights is larger than this; 0: never"
    )
    ema: float = config.option(
        0.0, "decay of a moving average of the weights, which is validated and exported instead, as 0.999; 0: none"
    )

    def __post_init__(self) -> None:
        if min(self.l2, self.weight_decay, self.clip_norm) < 0 or not 0 <= self.ema < 1:
            raise config.InputError(
                f"--l2={self.l2} --weight_decay={self.weight_decay} --clip_norm={self.clip_norm} --ema={self.ema}: "
                "none may be negative, ema is below 1"
            )
        without_effect = self.weight_decay != _WEIGHT_DECAY and self.optimizer != "adamw"
        config.refuse_without_effect({"--weight_decay without --optimizer=adamw": without_effect})


def build(settings: OptimizerConfig, learning_rate: float, *, scale_loss: bool) -> Any:
    """Makes the optimiser.

    Args:
        settings: its options.
        learning_rate: at the start.
        scale_loss: whether gradients are computed in float16: a scaled loss keeps small gradients from becoming zero.
    """
    arguments: dict[str, Any] = {"learning_rate": learning_rate, "global_clipnorm": settings.clip_norm or None}
    makers: dict[str, Callable[[], Any]] = {
        "adam": lambda: keras.optimizers.Adam(**arguments),
        "adamw": lambda: keras.optimizers.AdamW(**arguments, weight_decay=settings.weight_decay),
        "sgd": lambda: keras.optimizers.SGD(**arguments),
        "nesterov": lambda: keras.optimizers.SGD(**arguments, momentum=0.9, nesterov=True),
    }
    optimiser = makers[settings.optimizer]()
    return keras.optimizers.LossScaleOptimizer(optimiser) if scale_loss else optimiser


def variables(optimiser: Any, network: keras.Model) -> dict[str, Any]:
    """{name: variable} of an optimiser's state.

    Keras derives a name from the path of the weight, as "adam/conv2d_7_kernel_momentum" from "conv2d_7/kernel". Here
    the path is replaced by the name in `weights`, which does not count the layers of other networks.
    """
    slots = {weight.path.replace("/", "_") + "_": name for name, weight in weights.by_name(network).items()}
    found = {}
    for variable in optimiser.variables:
        kind, _, name = variable.path.rpartition("/")
        for prefix, weight_name in slots.items():
            if name.startswith(prefix):
                name = f"{weight_name}/{name.removeprefix(prefix)}"
                break
        found[f"{re.sub(r'_[0-9]+$', '', kind)}/{name}"] = variable
    return found


class MovingAverage:
    """Exponential moving average of a network's weights, including the statistics of batch normalisation.

    Keras's own (`use_ema`) leaves those statistics out: averaged kernels would have the statistics of the newest ones.

    Attributes:
        variables: {name: variable} of its state, for checkpoints.
    """

    def __init__(self, network: keras.Model, decay: float) -> None:
        self._network, self._decay = network, decay
        named = weights.by_name(network)
        self._weights = list(named.values())
        self._averages = [tf.Variable(weight.numpy(), trainable=False) for weight in self._weights]
        self._updates = tf.Variable(0.0, trainable=False)
        self.variables = {**dict(zip(named, self._averages, strict=True)), "updates": self._updates}

    def update(self) -> None:
        """Adds the current weights. The decay is lower at first, so that the initial weights are soon forgotten."""
        decay = tf.minimum(self._decay, (1.0 + self._updates) / (10.0 + self._updates))
        for average, weight in zip(self._averages, self._weights, strict=True):
            average.assign_add((1.0 - decay) * (tf.convert_to_tensor(weight.value) - average))
        self._updates.assign_add(1.0)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside the block the network has the averaged weights."""
        trained = self._network.get_weights()
        for weight, average in zip(self._weights, self._averages, strict=True):
            weight.assign(average.numpy())
        try:
            yield
        finally:
            self._network.set_weights(trained)
