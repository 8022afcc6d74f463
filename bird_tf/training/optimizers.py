"""How a step changes the weights: the optimiser, and the moving average of what it leaves.

What is minimised belongs to `losses`, the learning rate over time to `schedules`.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from bird_tf import config, keras, tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """How gradients become weights."""

    optimizer: str = config.option("adam", "the optimiser", choices=("adam", "adamw", "sgd", "nesterov"))
    l2: float = config.option(0.0, "weight of the squared kernels in the loss")
    clip_norm: float = config.option(
        0.0, "gradients whose norm, all weights together, is larger are scaled to it; 0: no"
    )
    ema: float = config.option(
        0.0, "decay of a moving average of the weights, validated and exported in their place, as 0.999; 0: none"
    )

    def __post_init__(self) -> None:
        if self.l2 < 0 or self.clip_norm < 0 or not 0 <= self.ema < 1:
            raise config.InputError(
                f"--l2={self.l2} --clip_norm={self.clip_norm} --ema={self.ema}: none may be negative, ema is below 1"
            )


def build(settings: OptimizerConfig, learning_rate: float, *, scale_loss: bool) -> Any:
    """Makes the optimiser.

    Args:
        settings: which one.
        learning_rate: at the start.
        scale_loss: whether gradients are computed in float16, whose smallest numbers a scaled loss keeps from zero.
    """
    arguments: dict[str, Any] = {"learning_rate": learning_rate, "global_clipnorm": settings.clip_norm or None}
    makers: dict[str, Callable[[], Any]] = {
        "adam": lambda: keras.optimizers.Adam(**arguments),
        "adamw": lambda: keras.optimizers.AdamW(**arguments),
        "sgd": lambda: keras.optimizers.SGD(**arguments),
        "nesterov": lambda: keras.optimizers.SGD(**arguments, momentum=0.9, nesterov=True),
    }
    optimiser = makers[settings.optimizer]()
    return keras.optimizers.LossScaleOptimizer(optimiser) if scale_loss else optimiser


class MovingAverage:
    """Exponential moving average of a network's weights, the statistics of batch normalisation among them.

    Keras's own (`use_ema`) leaves those statistics out: they would follow the newest weights beside averaged ones.

    Attributes:
        variables: its state, for checkpoints.
    """

    def __init__(self, network: keras.Model, decay: float) -> None:
        self._network, self._decay = network, decay
        self._averages = [tf.Variable(weight.numpy(), trainable=False) for weight in network.weights]
        self._updates = tf.Variable(0.0, trainable=False)
        self.variables = [*self._averages, self._updates]

    def update(self) -> None:
        """Takes in the weights of the moment; early ones weigh less, so that the start is soon forgotten."""
        decay = tf.minimum(self._decay, (1.0 + self._updates) / (10.0 + self._updates))
        for average, weight in zip(self._averages, self._network.weights, strict=True):
            average.assign_add((1.0 - decay) * (tf.convert_to_tensor(weight.value) - average))
        self._updates.assign_add(1.0)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside the block the network has the averages for weights."""
        trained = self._network.get_weights()
        self._network.set_weights([average.numpy() for average in self._averages])
        try:
            yield
        finally:
            self._network.set_weights(trained)
