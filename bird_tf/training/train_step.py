"""One step of learning: a batch → new weights, on one device or many, in any precision; and its whole state.

Which batches come, how fast to learn and when to stop belongs to `train`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bird_tf import keras, tf
from bird_tf.models import losses
from bird_tf.training import distillation, optimizers


class TrainState:
    """A network with all that a step changes. Make it inside the strategy's scope.

    Attributes:
        network: what learns.
        optimiser: how.
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
        teachers: distillation.TeacherEnsemble | None = None,
    ) -> None:
        self.network = network
        self.optimiser = optimizers.build(optimizer, learning_rate, scale_loss=scale_loss)
        self.optimiser.build(network.trainable_variables)
        self.average = optimizers.MovingAverage(network, optimizer.ema) if optimizer.ema else None
        self._loss, self._l2, self._teachers = loss, optimizer.l2, teachers
        self._strategy = tf.distribute.get_strategy()
        self._graph = tf.function(self._step, reduce_retracing=True)

    def step(self, batch: Any) -> tuple[float, float]:
        """Learns from one batch.

        Args:
            batch: what `dataset.training` yields, cut up by `distribution.share_out`.

        Returns:
            The loss, and the norm of its gradient before clipping.
        """
        loss, norm = self._graph(batch)
        return float(loss), float(norm)

    def _step(self, batch: Any) -> tuple[tf.Tensor, tf.Tensor]:
        loss, gradients, statistics = self._strategy.run(self._gradients, args=(batch,))
        loss = self._strategy.reduce("SUM", loss, axis=None)
        # the same on every device by now: the optimiser, which would otherwise clip before it sums, takes one of them
        gradients = [self._strategy.experimental_local_results(g)[0] for g in gradients]
        norm = tf.linalg.global_norm(gradients) / self.optimiser.scale_loss(1.0)
        self.optimiser.apply(gradients, self.network.trainable_variables)
        # each device saw its own part: their mean keeps the network one, and workers of one mind when to stop
        for weight, mean in zip(self.network.non_trainable_weights, statistics, strict=False):
            weight.assign(self._strategy.experimental_local_results(mean)[0])
        if self.average:
            self.average.update()
        return loss, norm

    def _gradients(self, batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor], list[tf.Tensor]]:
        """This device's share of the loss, the gradients of the whole, and, of several devices, the mean statistics."""
        variables = self.network.trainable_variables
        soft = self._teachers.targets(batch["spectrogram"]) if self._teachers else None
        with tf.GradientTape() as tape:
            logits = self.network(batch["spectrogram"], training=True)["logits"]
            loss = losses.loss(logits, batch["targets"], batch["weights"], self._loss)
            if self._teachers:
                loss = self._teachers.mix(loss, logits, soft, self._loss)
            if self._l2:
                kernels = [tf.cast(v, tf.float32) for v in variables if v.name == "kernel"]
                loss += self._l2 * tf.add_n([tf.reduce_sum(tf.square(kernel)) for kernel in kernels])
            loss /= self._strategy.num_replicas_in_sync
            scaled = self.optimiser.scale_loss(loss)
        gradients = tape.gradient(scaled, [v.value for v in variables])
        if self._strategy.num_replicas_in_sync == 1:
            return loss, gradients, []
        context = tf.distribute.get_replica_context()
        # the copy lies on this device, which the reduction has to know
        statistics = [tf.identity(weight.value) for weight in self.network.non_trainable_weights]
        statistics = context.all_reduce("MEAN", statistics) if statistics else []
        return loss, context.all_reduce("SUM", gradients), statistics

    @property
    def _variables(self) -> list[Any]:
        averages = self.average.variables if self.average else []
        return [*self.network.variables, *self.optimiser.variables, *averages]

    def arrays(self) -> list[np.ndarray]:
        """Everything that a step changes, the state of random numbers included, in an order that `restore` knows."""
        return [np.asarray(variable.numpy()) for variable in self._variables]

    def restore(self, state: Sequence[np.ndarray]) -> None:
        """Goes back to what `arrays` returned."""
        for variable, value in zip(self._variables, state, strict=True):
            variable.assign(value)
