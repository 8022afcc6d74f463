"""Distillation: a network, the student, learns from the mean prediction of exported models, the teachers."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from bird_tf import config, tf
from bird_tf.inference import model_files, saved_model, serving
from bird_tf.input import targets
from bird_tf.labels import taxonomy
from bird_tf.models import losses
from bird_tf.records import manifests, schema


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """The teachers, and their share of the loss."""

    teacher: tuple[str, ...] = config.option((), "exported model to learn from; may be repeated: the mean of several")
    teacher_weight: float = config.option(
        0.9, "share of the teachers' predictions in the loss; the labels have the rest"
    )
    distil_temperature: float = config.option(
        2.0,
        "divides the logits of teachers and student; above 1, less probable classes count more; without effect on "
        "heads, which answer from the features in the records",
        was=("temperature",),
    )
    embedding_weight: float = config.option(
        0.0,
        "weight of the cosine distance between a linear map of the network's features and the embedding of the "
        "backbone in the records; the map is not exported",
    )

    def __post_init__(self) -> None:
        if not 0 <= self.teacher_weight <= 1 or self.distil_temperature <= 0:
            raise config.InputError(
                f"--teacher_weight={self.teacher_weight} --distil_temperature={self.distil_temperature}: need a share "
                "in [0, 1] and a temperature above 0"
            )
        if self.embedding_weight < 0:
            raise config.InputError(f"--embedding_weight={self.embedding_weight}: may not be negative")


def load(
    settings: DistillationConfig, manifest: manifests.Manifest, student: Collection[str] = (schema.SPECTROGRAM,)
) -> list[saved_model.Model]:
    """The teachers of a training.

    Args:
        settings: which ones.
        manifest: the records of the student.
        student: names of the features that it takes.

    Raises:
        InputError: not an exported model; one that needs other features than the records have, or lacks some of the
            classes; heads beside networks of spectrograms; or one of these beside a student that takes none.
    """
    models = [saved_model.Model(path) for path in settings.teacher]
    for model in models:
        model.check_records(manifest)
        if missing := sorted(set(manifest.labelled_classes.class_ids) - set(model.classes.class_ids)):
            raise config.InputError(
                f"--teacher={model.path} does not know {len(missing)} classes: {', '.join(missing[:5])}"
            )
        if not model_files.is_head(model.features) and schema.SPECTROGRAM not in student:
            raise config.InputError(
                f"--teacher={model.path} hears spectrograms, and the network takes {' and '.join(student)}: name "
                "heads, or train a network of spectrograms"
            )
    if len({model_files.is_head(model.features) for model in models}) > 1:
        raise config.InputError("--teacher: name heads, or networks of spectrograms, but not both in one training")
    return models


def digest(path: str) -> str:
    """A digest of a teacher, whatever its calibration; empty if it cannot be read, of which `load` tells more."""
    try:
        return serving.digest(path)
    except (tf.errors.OpError, OSError, ValueError):
        return ""


def _columns(model: saved_model.Model, classes: taxonomy.Taxonomy) -> list[int]:
    return [model.classes.index(class_id) for class_id in classes.class_ids]


def stored_answers(
    models: Sequence[saved_model.Model], settings: DistillationConfig, manifest: manifests.Manifest
) -> targets.StoredAnswers | None:
    """The mean probabilities of heads from the features in the records; None if there are none.

    Heads answer before chunks are mixed; teachers that hear spectrograms are asked in each step.

    Args:
        models: from `load`.
        settings: their share in the targets.
        manifest: the records of the student.
    """
    heads = [model for model in models if model_files.is_head(model.features)]
    if not heads:
        return None

    def probabilities(found: dict[str, tf.Tensor]) -> tf.Tensor:
        answers = [
            tf.gather(
                losses.probabilities(model.logits(model.from_records(found, manifest.classes)), model.description.loss),
                _columns(model, manifest.labelled_classes),
                axis=1,
            )
            for model in heads
        ]
        mean = tf.add_n(answers) / len(answers)
        return tf.pad(mean, [[0, 0], [0, manifest.num_further]], constant_values=np.nan)

    names = dict.fromkeys(feature.name for model in heads for feature in model.features)
    return targets.StoredAnswers(features=tuple(names), probabilities=probabilities, weight=settings.teacher_weight)


class TeacherEnsemble:
    """The teachers of one training that hear spectrograms."""

    def __init__(
        self,
        settings: DistillationConfig,
        models: Sequence[saved_model.Model],
        classes: taxonomy.Taxonomy,
        loss: losses.LossConfig,
    ) -> None:
        """Makes an ensemble.

        Args:
            settings: the teachers' share of the loss.
            models: from `load`.
            classes: the first ones of the student, those that the teachers are asked about.
            loss: of the student. A teacher with another one is asked for the same probabilities; one that does not say
                its loss counts as having the student's.
        """
        self._settings, self._classes = settings, classes
        self._loss = dataclasses.replace(loss, label_smoothing=0.0)
        self._members = [(model, _columns(model, classes)) for model in models]

    def targets(self, batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Mean of the teachers' probabilities at T, [batch, classes] in [0, 1], for a batch with their features."""
        predictions = []
        for model, order in self._members:
            answers = model.logits(model.from_records(batch, self._classes))
            meant = losses.logits_for(answers, model.description.loss or self._loss.loss, self._loss.loss)
            logits = tf.gather(meant, order, axis=1)
            predictions.append(losses.probabilities(logits / self._settings.distil_temperature, self._loss.loss))
        return tf.add_n(predictions) / len(predictions)

    def loss_and_weight(self, logits: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of [batch, classes or more] logits / T against `targets`, as `losses.loss_and_weight`."""
        asked = logits[:, : len(self._classes)] / self._settings.distil_temperature
        return losses.loss_and_weight(asked, targets, tf.ones_like(targets), self._loss)

    def mix(self, loss: tf.Tensor, soft_loss: tf.Tensor) -> tf.Tensor:
        """The loss with the teachers' share: (1 - weight) · loss + weight · T² · soft_loss.

        Hinton et al. 2015; T² keeps the size of the gradient. Both losses are scalars: against the labels, and against
        the teachers.
        """
        temperature, weight = self._settings.distil_temperature, self._settings.teacher_weight
        return (1.0 - weight) * loss + weight * temperature**2 * soft_loss
