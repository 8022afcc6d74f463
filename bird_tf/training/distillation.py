"""Distillation: exported models whose mean prediction on a batch a network learns to repeat."""

from __future__ import annotations

import dataclasses

from bird_tf import config, tf
from bird_tf.audio import frontend
from bird_tf.inference import saved_model
from bird_tf.labels import taxonomy
from bird_tf.models import losses


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """Who teaches, and how much of the lesson counts."""

    teacher: tuple[str, ...] = config.option((), "exported model to learn from; repeated: the mean of several")
    teacher_weight: float = config.option(0.9, "share of the teachers' answers in the loss; true labels have the rest")
    temperature: float = config.option(2.0, "divides the logits of teacher and pupil: above 1 it shows also-rans")

    def __post_init__(self) -> None:
        if not 0 <= self.teacher_weight <= 1 or self.temperature <= 0:
            raise config.InputError(
                f"--teacher_weight={self.teacher_weight} --temperature={self.temperature}: need a share in [0, 1] and "
                "a temperature above 0"
            )


class TeacherEnsemble:
    """The teachers of one training."""

    def __init__(
        self, settings: DistillationConfig, front_end: frontend.FrontendConfig, classes: taxonomy.Taxonomy, loss: str
    ) -> None:
        """Loads them.

        Args:
            settings: which, and how much they count.
            front_end: of the pupil's records.
            classes: the pupil's.
            loss: the pupil's: decides how logits become answers.

        Raises:
            InputError: not an exported model, or one with another front-end or without some of the classes.
        """
        self._settings, self._loss = settings, loss
        self._members = []
        for path in settings.teacher:
            model = saved_model.Model(path)
            model.check_front_end(front_end, "the records")
            if missing := sorted(set(classes.class_ids) - set(model.classes.class_ids)):
                raise config.InputError(
                    f"--teacher={path} does not know {len(missing)} classes: {', '.join(missing[:5])}"
                )
            self._members.append((model, [model.classes.index(class_id) for class_id in classes.class_ids]))

    def targets(self, spectrograms: tf.Tensor) -> tf.Tensor:
        """Mean of the teachers' answers at the temperature: [batch, bands, frames] → [batch, classes] in [0, 1]."""
        answers = []
        for model, order in self._members:
            logits = tf.gather(model.logits(spectrograms), order, axis=1)
            answers.append(losses.probabilities(logits / self._settings.temperature, self._loss))
        return tf.add_n(answers) / len(answers)

    def mix(self, loss: tf.Tensor, logits: tf.Tensor, targets: tf.Tensor, settings: losses.LossConfig) -> tf.Tensor:
        """The loss with the teachers' part.

        Args:
            loss: scalar, against the true labels.
            logits: [batch, classes] of the pupil.
            targets: [batch, classes] from `targets`.
            settings: the pupil's loss.

        Returns:
            (1 - weight) · loss + weight · T² · loss of logits / T against `targets` (Hinton et al. 2015: T² keeps the
            size of the gradient), scalar.
        """
        temperature, weight = self._settings.temperature, self._settings.teacher_weight
        plain = dataclasses.replace(settings, label_smoothing=0.0)
        soft = losses.loss(logits / temperature, targets, tf.ones_like(targets), plain)
        return (1.0 - weight) * loss + weight * temperature**2 * soft
