"""One experiment: the objects that the steps of a training need, its progress, and its checkpoints.

The order of events is in `train`.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import random
from typing import Any

from absl import logging

from bird_tf import config, keras, tf
from bird_tf.input import dataset, pseudo_labels, streams
from bird_tf.models import architectures, head
from bird_tf.records import manifests, schema
from bird_tf.scores import pooling
from bird_tf.training import (
    checkpoints,
    clocks,
    distillation,
    distribution,
    embedding_statistics,
    kept_classes,
    origins,
    pretrained,
    run_directory,
    tensorboard,
    train_step,
    training_flags,
    validation,
)

CHECKPOINT_SECONDS = 120.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValidationSummary:
    """What a run stores of a validation.

    Attributes:
        metrics: as in `validation.ValidationResult`; empty without validation recordings.
        pooling: the method to pool chunk scores.
    """

    metrics: dict[str, float]
    pooling: str


class Experiment:
    """All objects of a training, and its progress."""

    def __init__(
        self,
        settings: training_flags.TrainConfig,
        manifest: manifests.Manifest,
        strategy: tf.distribute.Strategy,
        first_validation: ValidationSummary | None = None,
        *,
        replaces: bool = False,
    ) -> None:
        """Builds everything, and loads the last checkpoint if there is one. Nothing is written.

        Args:
            settings: the flags.
            manifest: the records.
            strategy: the devices.
            first_validation: of the first training, for the second one of --refit, which has no validation recordings.
            replaces: whether a checkpoint that is there belongs to an earlier training, which this one will replace.
        """
        self.settings, self.manifest, self.strategy = settings, manifest, strategy
        self.is_chief = distribution.is_chief(strategy)
        self.num_steps = streams.steps_per_epoch(manifest, settings.dataset)
        method = settings.pooling or pooling.default(len(manifest.classes))
        keras.config.set_dtype_policy(settings.dtype_policy)
        random.seed(settings.seed)  # Keras draws the seeds of initialisers and dropout from it; its import draws too
        with strategy.scope():
            self.state = self._build_state()
        self.first_validation = first_validation or ValidationSummary(metrics={}, pooling=method)
        self.validate = None
        if manifest.num_chunks("val"):
            network = self.state.network
            self.validate = validation.validator(
                network, manifest, settings.dataset, settings.loss, method, settings.model.features
            )
        self.progress = checkpoints.Progress()
        if not replaces and (stored := checkpoints.load(settings.run_dir)):
            self.progress, state = stored
            self.state.restore(state, os.path.join(settings.run_dir, checkpoints.CHECKPOINT))
            logging.info("%s goes on after step %d of epoch %d", settings.run_dir, *self.step_and_epoch())
        self.clock = clocks.Clock(settings, self.num_steps, self.progress)
        self.prior = kept_classes.fit_prior(manifest, settings.pretrained)
        self._saved_at = self.clock.elapsed

    @functools.cached_property
    def events(self) -> tensorboard.EventWriter:
        """The events for TensorBoard. Asking for them makes their file."""
        return tensorboard.EventWriter(self.settings.run_dir, self.settings.profile_steps, active=self.is_chief)

    @property
    def is_compiled(self) -> bool:
        """Whether XLA compiles the training step. Its bits are not known to be equal each time."""
        asked = self.settings.jit_compile and not self.settings.deterministic
        return asked and distribution.is_one_gpu(self.strategy)

    def _build_state(self) -> train_step.TrainState:
        settings, manifest = self.settings, self.manifest
        shapes = {feature.name: feature.shape for feature in self._features()}
        network = architectures.build(settings.model, shapes, len(manifest.classes))
        if settings.model.needs_backbone and not settings.pretrained.pretrained:
            head.set_statistics(network, *embedding_statistics.measure(manifest, settings.dataset, settings.seed))
        pretrained.check_records(settings.pretrained, settings.model, manifest)
        pretrained.start(network, settings.model, manifest.classes, settings.pretrained)
        earlier = kept_classes.keep(network, settings.model, manifest, settings.pretrained)
        models, teachers = distillation.load(settings.teachers, manifest, settings.model.features), None
        self._answers = distillation.stored_answers(models, settings.teachers, manifest)
        both = bool(self._answers and settings.dataset.backbone_weight)
        config.refuse_without_effect({"--backbone_weight beside a head as --teacher": both})
        if models and not self._answers:
            teachers = distillation.TeacherEnsemble(settings.teachers, models, manifest.labelled_classes, settings.loss)
        embedding_size = 0
        if settings.teachers.embedding_weight:
            wanted_by = f"--embedding_weight={settings.teachers.embedding_weight}"
            [embedding_size] = manifest.select([schema.EMBEDDING], wanted_by)[0].shape
        return train_step.TrainState(
            network,
            settings.optimizer,
            settings.loss,
            settings.schedule.learning_rate,
            scale_loss=settings.dtype_policy == "mixed_float16",
            soft=[asked for asked in (teachers, earlier) if asked],
            embedding_weight=settings.teachers.embedding_weight,
            embedding_size=embedding_size,
            jit_compile=self.is_compiled,
        )

    def _features(self) -> tuple[schema.Feature, ...]:
        """The features that the network takes."""
        wanted_by = f"--architecture={self.settings.model.architecture}"
        return tuple(f.parsed for f in self.manifest.select(self.settings.model.features, wanted_by))

    def step_and_epoch(self) -> tuple[int, int]:
        """The number of steps done in the current epoch, and the number of that epoch, from 1."""
        return max(0, self.progress.steps - self.progress.epochs * self.num_steps), self.progress.epochs + 1

    def batches(self) -> Any:
        """Training batches from the current step on, divided among the devices."""
        names = (*self._batch_features, "targets", "weights")
        stream = self._stream().map(lambda batch: {name: batch[name] for name in names})
        return distribution.distribute_batches(self.strategy, stream)

    def recordings_of_batch(self) -> list[str]:
        """Ids of the labelled recordings in the batch of the current step."""
        found = next(iter(self._stream()))["recording_id"].numpy()
        return sorted({recording_id.decode() for recording_id in found if recording_id})

    @property
    def _batch_features(self) -> tuple[str, ...]:
        embedding = (schema.EMBEDDING,) if self.settings.teachers.embedding_weight else ()
        return (*self.settings.model.features, *embedding)

    def _stream(self) -> tf.data.Dataset:
        """What `dataset.training` gives from the current step on."""
        done, epoch = self.step_and_epoch()
        settings = self.settings
        return dataset.training(
            self.manifest, settings.dataset, settings.augmentation, settings.seed,
            streams.Start(epoch=epoch - 1, step=done), self._batch_features,
            dataset.Taught(answers=self._answers, pseudo=settings.pseudo),
        )  # fmt: skip

    @property
    def sources(self) -> tuple[manifests.Manifest, ...]:
        """The records that the batches are read from."""
        folder = self.settings.pseudo.pseudo_labels
        unlabelled = (manifests.load(pseudo_labels.load(folder).directory),) if folder else ()
        return (self.manifest, *unlabelled)

    def has_next_epoch(self) -> bool:
        """Whether there is another epoch: neither --epochs, the time nor --patience is used up."""
        patient = self.progress.epochs - self.progress.best_epoch < self.settings.patience
        return patient and self.clock.position() < self.settings.epochs

    def save(self) -> None:
        """Writes a checkpoint. Only the chief does."""
        if self.is_chief:
            self.progress.elapsed_seconds = self.clock.elapsed
            checkpoints.save(self.settings.run_dir, self.progress, self.state.arrays())
        self._saved_at = self.clock.elapsed

    def save_if_due(self) -> None:
        """Writes a checkpoint if the last one is old enough."""
        if self.clock.elapsed - self._saved_at >= CHECKPOINT_SECONDS:
            self.save()

    def describe(self, validated: ValidationSummary) -> run_directory.Run:
        """The description of the network in a run directory, with the validation of its weights."""
        return run_directory.Run(
            model=self.settings.model,
            loss=self.settings.loss.loss,
            pooling=validated.pooling,
            front_end=self.manifest.front_end,
            classes=self.manifest.classes,
            prior=self.prior,
            training=config.to_mapping(self.settings),
            metrics=validated.metrics,
            versions=manifests.versions(),
            learnt=origins.learnt_from(self.settings, self.manifest),
            backbones=origins.backbones(self.settings, self.manifest),
            features=self._features(),
            backbone=self.manifest.backbone if self.settings.model.needs_backbone else None,
            channel=self.manifest.channel,
            records=self.manifest.origin,
        )
