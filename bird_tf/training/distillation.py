"""Distillation: a network, the student, learns from the mean prediction of exported models, the teachers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from bird_tf import config, tf
from bird_tf.inference import saved_model
from bird_tf.models import losses
from bird_tf.records import manifests


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """The teachers, and their share of the loss."""

    teacher: tuple[str, ...] = config.option((), "exported model to learn from; may be repeated: the mean of several")
    teacher_weight: float = config.option(
        0.9, "share of the teachers' predictions in the loss; the labels have the rest"
    )
    distil_temperature: float = config.option(
        2.0,
        "divides the logits of teachers and student; above 1, less probable classes count more",
        was=("temperature",),
    )

    def __post_init__(self) -> None:
        if not 0 <= self.teacher_weight <= 1 or self.distil_temperature <= 0:
            raise config.InputError(
                f"--teacher_weight={self.teacher_weight} --distil_temperature={self.distil_temperature}: need a share "
                "in [0, 1] and a temperature above 0"
            )


class TeacherEnsemble:
    """The teachers of one training."""

    def __init__(self, settings: DistillationConfig, manifest: manifests.Manifest, loss: str) -> None:
        """Loads the teachers.

        Args:
            settings: the teachers, and their share of the loss.
            manifest: the student's records.
            loss: of the student; decides how logits become probabilities.

        Raises:
            InputError: not an exported model, or one with another front-end or without some of the classes.
        """
        self._settings, self._loss, self._classes = settings, loss, manifest.classes
        self._members = []
        for path in settings.teacher:
            model = saved_model.Model(path)
            model.check_records(manifest)
            classes = manifest.classes
            if missing := sorted(set(classes.class_ids) - set(model.classes.class_ids)):
                raise config.InputError(
                    f"--teacher={path} does not know {len(missing)} classes: {', '.join(missing[:5])}"
                )
            self._members.append((model, [model.classes.index(class_id) for class_id in classes.class_ids]))

    def targets(self, batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Mean of the teachers' probabilities at T, [batch, classes] in [0, 1], for a batch with their features."""
        predictions = []
        for model, order in self._members:
            logits = tf.gather(model.logits(model.from_records(batch, self._classes)), order, axis=1)
            predictions.append(losses.probabilities(logits / self._settings.distil_temperature, self._loss))
        return tf.add_n(predictions) / len(predictions)

    def loss_and_weight(
        self, logits: tf.Tensor, targets: tf.Tensor, settings: losses.LossConfig
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of logits / T against the teachers, as `losses.loss_and_weight`.

        Args:
            logits: [batch, classes] of the student.
            targets: [batch, classes] from `targets`.
            settings: the student's loss.
        """
        plain = dataclasses.replace(settings, label_smoothing=0.0)
        return losses.loss_and_weight(logits / self._settings.distil_temperature, targets, tf.ones_like(targets), plain)

    def mix(self, loss: tf.Tensor, soft_loss: tf.Tensor) -> tf.Tensor:
        """The loss with the teachers' share: (1 - weight) · loss + weight · T² · soft_loss.

        Hinton et al. 2015; T² keeps the size of the gradient. Both losses are scalars: against the labels, and against
        the teachers.
        """
        temperature, weight = self._settings.distil_temperature, self._settings.teacher_weight
        return (1.0 - weight) * loss + weight * temperature**2 * soft_loss
