"""One training step: a batch → new weights, on one device or several, in any precision; and the state it changes.

Batches, learning rate and the end of the training are chosen in `train`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from bird_tf import keras, tf
from bird_tf.models import architectures, losses
from bird_tf.records import schema
from bird_tf.training import optimizers, weights


class SoftTargets(Protocol):
    """What other networks say of the chunks of a batch: a training learns it beside the labels."""

    def targets(self, batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Their probabilities, [batch, classes that they are asked about] in [0, 1]."""

    def loss_and_weight(self, logits: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of [batch, classes] logits against `targets`, as `losses.loss_and_weight`."""

    def mix(self, loss: tf.Tensor, soft_loss: tf.Tensor) -> tf.Tensor:
        """The loss with their share in it. Both losses are scalars: so far, and against `targets`."""


class TrainState:
    """A network, and everything else that a training step changes. Make it inside the strategy's scope.

    `jit_compile` compiles the step by XLA, for a GPU: uncompiled, each small operation is started by itself. On a
    processor, XLA's convolutions are slower than TensorFlow's.

    Attributes:
        network: the network.
        optimiser: the Keras optimiser.
        average: the moving average of the weights, or None.
    """

    def __init__(
        self,
        network: keras.Model,
        optimizer: optimizers.OptimizerConfig,
        loss: losses.LossConfig,
        learning_rate: float,
        *,
        scale_loss: bool = False,
        soft: Sequence[SoftTargets] = (),
        embedding_weight: float = 0.0,
        embedding_size: int = 0,
        jit_compile: bool = False,
    ) -> None:
        self.network = network
        # what is trained beside the network itself is not exported
        trained = architectures.with_projection(network, embedding_size) if embedding_weight else network
        self.optimiser = optimizers.build(optimizer, learning_rate, scale_loss=scale_loss)
        self.optimiser.build(trained.trainable_variables)
        self.average = optimizers.MovingAverage(trained, optimizer.ema) if optimizer.ema else None
        self._loss, self._l2, self._soft = loss, optimizer.l2, soft
        self._trained, self._embedding_weight = trained, embedding_weight
        self._strategy = tf.distribute.get_strategy()
        self._update: Callable[..., tuple[tf.Tensor, tf.Tensor]] = self._update_weights
        if jit_compile:  # without the answers of other networks: what a SavedModel holds may not be compiled
            self._update = tf.function(self._update_weights, autograph=False, jit_compile=True)
        self._graph = tf.function(self._step, reduce_retracing=True, autograph=False)
        parts = {
            "network": weights.variables(trained),
            "optimiser": optimizers.variables(self.optimiser, trained),
            "average": self.average.variables if self.average else {},
        }
        self._variables = {f"{part}/{name}": value for part, named in parts.items() for name, value in named.items()}

    def step(self, batch: Any) -> tuple[float, float]:
        """Trains on one batch.

        Args:
            batch: from `dataset.training`, divided by `distribution.distribute_batches`.

        Returns:
            The loss, and the norm of its gradient before clipping.
        """
        loss, norm = self._graph(batch)
        return float(loss), float(norm)

    def _step(self, batch: Any) -> tuple[tf.Tensor, tf.Tensor]:
        answers = self._strategy.run(lambda part: [soft.targets(part) for soft in self._soft], args=(batch,))
        return self._update(batch, answers)

    def _update_weights(self, batch: Any, answers: Any) -> tuple[tf.Tensor, tf.Tensor]:
        loss, gradients, statistics = self._strategy.run(self._gradients, args=(batch, answers))
        loss = self._strategy.reduce("SUM", loss, axis=None)
        # all devices have the same gradients now; the optimiser gets one copy, or it would clip before the sum
        gradients = [self._strategy.experimental_local_results(g)[0] for g in gradients]
        norm = tf.linalg.global_norm(gradients) / self.optimiser.scale_loss(1.0)
        self.optimiser.apply(gradients, self._trained.trainable_variables)
        # Each device has the statistics of its own part of the batch. With their mean all devices stay equal, and so
        # all workers stop at the same epoch.
        for weight, mean in zip(self._trained.non_trainable_weights, statistics, strict=False):
            weight.assign(self._strategy.experimental_local_results(mean)[0])
        if self.average:
            self.average.update()
        return loss, norm

    def _gradients(
        self, batch: dict[str, tf.Tensor], answers: list[tf.Tensor]
    ) -> tuple[tf.Tensor, list[tf.Tensor], list[tf.Tensor]]:
        """This device's part of the loss, gradients of the whole loss, and the mean statistics of several devices."""
        variables = self._trained.trainable_variables
        with tf.GradientTape() as tape:
            outputs = architectures.call(self._trained, batch, training=True)
            logits = outputs["logits"]
            # this device's part of the mean over the whole batch: the parts of all devices add up to it
            total, weight = losses.loss_and_weight(logits, batch["targets"], batch["weights"], self._loss)
            loss = tf.math.divide_no_nan(total, self._sum_over_devices(weight))
            for soft, wanted in zip(self._soft, answers, strict=True):
                total, weight = soft.loss_and_weight(logits, wanted)
                loss = soft.mix(loss, total / self._sum_over_devices(weight))
            if self._embedding_weight:
                total, count = losses.cosine_distance(outputs["projection"], batch[schema.EMBEDDING])
                loss += self._embedding_weight * tf.math.divide_no_nan(total, self._sum_over_devices(count))
            if self._l2:
                # those of separable convolutions are called depthwise_kernel and pointwise_kernel
                kernels = [tf.cast(v, tf.float32) for v in variables if v.name.endswith("kernel")]
                penalty = self._l2 * tf.add_n([tf.reduce_sum(tf.square(kernel)) for kernel in kernels])
                loss += penalty / self._strategy.num_replicas_in_sync
            scaled = self.optimiser.scale_loss(loss)
        gradients = tape.gradient(scaled, [v.value for v in variables])
        if self._strategy.num_replicas_in_sync == 1:
            return loss, gradients, []
        context = tf.distribute.get_replica_context()
        # the reduction needs a copy on this device
        statistics = [tf.identity(weight.value) for weight in self._trained.non_trainable_weights]
        statistics = context.all_reduce("MEAN", statistics) if statistics else []
        return loss, context.all_reduce("SUM", gradients), statistics

    def _sum_over_devices(self, value: tf.Tensor) -> tf.Tensor:
        if self._strategy.num_replicas_in_sync == 1:
            return value
        return tf.distribute.get_replica_context().all_reduce("SUM", value)

    def arrays(self) -> dict[str, np.ndarray]:
        """{name: array} of everything that a step changes, the state of random numbers included."""
        return weights.arrays(self._variables)

    def restore(self, arrays: Mapping[str, np.ndarray], source: str) -> None:
        """Goes back to the state that `arrays` returned.

        Args:
            arrays: {name: array}.
            source: where they come from, for messages.

        Raises:
            InputError: they are not the state of such a network and optimiser.
        """
        weights.assign(self._variables, arrays, source)
