"""One experiment: its flags, the objects that its steps need, its progress, and its checkpoints.

The order of events is in `train`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import random
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from absl import logging

from bird_tf import config, files, keras, resume, tf
from bird_tf.backbones import sources
from bird_tf.inference import leaks, model_files
from bird_tf.input import dataset, pseudo_labels, streams
from bird_tf.input.augment import augmentations
from bird_tf.models import architectures, head, losses
from bird_tf.records import learnt, manifests, schema
from bird_tf.scores import pooling
from bird_tf.training import (
    checkpoints,
    distillation,
    distribution,
    embedding_statistics,
    kept_classes,
    optimizers,
    pretrained,
    run_directory,
    schedules,
    tensorboard,
    train_step,
    validation,
)

CHECKPOINT_SECONDS = 120.0
_EXPORT_SECONDS = 20.0
_WITHOUT_EFFECT = frozenset({"run_dir", "overwrite", "records_recipe", "dry_run", "profile_steps"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Flags of a training."""

    DEFAULT_FLAGFILE: ClassVar[str] = "recommended.flags"

    records: str = config.option("", "records directory, as tfrecords/NAME", required=True)
    run_dir: str = config.option("", "run directory, as runs/NAME; an unfinished run in it is continued", required=True)
    overwrite: bool = config.option(False, "replace the content of --run_dir")
    records_recipe: str = config.option(
        "", "the converter's flagfile for which this recipe is made; a warning says in what the records differ"
    )
    dry_run: bool = config.option(
        False, "only build everything, take a few steps, and print how much memory and time the training needs"
    )
    model: architectures.ModelConfig
    pretrained: pretrained.PretrainedConfig
    dataset: dataset.DatasetConfig
    augmentation: augmentations.AugmentConfig
    loss: losses.LossConfig
    teachers: distillation.DistillationConfig
    pseudo: pseudo_labels.PseudoLabelConfig
    schedule: schedules.ScheduleConfig
    optimizer: optimizers.OptimizerConfig
    tune_head: bool = config.option(
        False, "head: choose --l2 by folds within the training recordings; groups of the conversion stay together"
    )
    epochs: int = config.option(100, "maximum number of epochs")
    max_minutes: float = config.option(0.0, "wall-clock limit, export included, to which the schedule adapts; 0: none")
    patience: int = config.option(10, "stop after this number of epochs without a better validation MLRAP")
    keep: str = config.option(
        "best",
        "weights to export: best by validation MLRAP; or last, for sets with few validation recordings, where it is "
        "chance which epoch is best (--patience has no effect then)",
        choices=("best", "last"),
    )
    refit: bool = config.option(
        False,
        "train a second time, on training and validation recordings, and export that network; metrics and pooling are "
        "those of the first training, which is kept in validated/; each has half of --max_minutes; needs --keep=last",
    )
    pooling: str = config.option(
        "",
        f"chunk scores to recording scores: {', '.join(pooling.METHODS)} (only of the attention network), or auto: the "
        "best on the validation recordings; stored in the model; empty: the default for the number of classes",
    )
    snapshot_epochs: int = config.option(0, "write the weights to snapshots/ every N epochs; 0: never")
    distribute: str = config.option(
        "none", "mirrored: all GPUs of this machine; multiworker: the workers in TF_CONFIG", choices=distribution.KINDS
    )
    dtype_policy: str = config.option(
        "float32", "precision of the network", choices=("float32", "mixed_float16", "mixed_bfloat16")
    )
    deterministic: bool = config.option(False, "use only operations that give equal bits each time; slower")
    seed: int = config.option(0, "seed of weights, order and augmentation")
    profile_steps: int = config.option(0, "steps to profile for TensorBoard, after the first five; 0: none")

    def __post_init__(self) -> None:
        if self.pooling not in ("", "auto"):
            pooling.check(self.pooling)
        if self.pooling == pooling.ATTENTION and not self.model.has_attention:
            raise config.InputError(
                f"--pooling={self.pooling}: --architecture={self.model.architecture} gives none; name another --pooling"
            )
        if self.epochs < 1 or self.patience < 1:
            raise config.InputError(f"--epochs={self.epochs} --patience={self.patience}: must be at least 1")
        if self.refit and self.keep != "last":
            raise config.InputError(
                f"--refit --keep={self.keep}: the second training has no validation and no best epoch; use --keep=last "
                "or --norefit"
            )
        if self.loss.loss == "softmax" and self.dataset.unknown_background == "ignore":
            raise config.InputError(
                "--unknown_background=ignore with --loss=softmax: only the label would be left of a chunk, and nothing "
                "to tell it from; use --loss=sigmoid or --unknown_background=negative"
            )
        without_head = self.tune_head and not self.model.needs_backbone
        config.refuse_without_effect({"--tune_head without --architecture=head": without_head})
        if self.distribute == "multiworker" and self.max_minutes:
            raise config.InputError(
                "--max_minutes with --distribute=multiworker: the clocks of the workers differ; use --epochs"
            )

    @property
    def num_trainings(self) -> int:
        """Number of trainings that share --max_minutes."""
        return 2 if self.refit else 1


def claim(settings: TrainConfig, manifest: manifests.Manifest) -> resume.Claim:
    """The claim of a training on its run directory. Of a finished run the versions may have changed."""
    flags, folder = config.to_mapping(settings), settings.pseudo.pseudo_labels
    plan: dict[str, Any] = {
        "flags": {name: flags[name] for name in flags if name not in _WITHOUT_EFFECT},
        "inputs": {settings.records: {"content": checkpoints.digest(manifest)}},
        "models": models(settings),
    }
    if folder:
        plan["inputs"][folder] = {"content": pseudo_labels.digest(folder)}
    if settings.overwrite or not checkpoints.finished(settings.run_dir):
        plan["versions"] = {**manifests.versions(), "keras": keras.__version__}
    return resume.Claim(
        directory=settings.run_dir, plan=plan, work="training", flag="--run_dir", overwrite=settings.overwrite,
        earlier=checkpoints.FLAGS, reads=(settings.records, folder, *model_paths(settings)),
    )  # fmt: skip


def model_paths(settings: TrainConfig) -> tuple[str, ...]:
    """Folders of the models that a training learns or starts from."""
    return (*settings.teachers.teacher, *pretrained.runs(settings.pretrained))


def check_models(settings: TrainConfig, not_yet: str = "") -> None:
    """Checks that teachers, and the run that the first weights come from, are there.

    Args:
        settings: of the training.
        not_yet: a text in the names of those that need not be there yet; empty: there are none.

    Raises:
        InputError: one is not there.
    """
    for path in settings.teachers.teacher:
        if not (not_yet and not_yet in path):
            model_files.check(path)
    for path in pretrained.runs(settings.pretrained)[:1]:
        if not (not_yet and not_yet in path):
            run_directory.load_description(path)


def models(settings: TrainConfig) -> dict[str, str]:
    """{folder: digest} of these models, for a plan; without those that are not there or cannot be read."""
    every = [(path, distillation.digest(path)) for path in settings.teachers.teacher]
    every += [(path, run_directory.digest(path)) for path in pretrained.runs(settings.pretrained)]
    return {path: found for path, found in every if found}


def write_flags(settings: TrainConfig) -> None:
    """Writes the flags of a run into its directory. Who repeats it with them does not ask to replace anything."""
    flags = config.to_flagfile(dataclasses.replace(settings, overwrite=False))
    files.write_text(os.path.join(settings.run_dir, checkpoints.FLAGS), flags)


def within(settings: TrainConfig, **changed: Any) -> TrainConfig:
    """The training in the settings of a command that has more flags than it.

    Args:
        settings: of the command.
        changed: {flag: another value}, as in a JSON file.
    """
    values = config.to_mapping(settings) | changed
    return config.from_mapping(TrainConfig, {field.name: values[field.name] for field, _ in config.leaves(TrainConfig)})


class Clock:
    """The progress of a run by epochs or by its wall-clock budget, whichever is further."""

    def __init__(self, settings: TrainConfig, steps_per_epoch: int, progress: checkpoints.Progress) -> None:
        self._started = time.monotonic() - progress.elapsed_seconds
        self._budget = settings.max_minutes * 60 / settings.num_trainings or math.inf
        self._epochs, self._steps, self._progress = settings.epochs, steps_per_epoch, progress
        self._begun: list[tuple[float, float]] = []  # position and seconds at the beginnings of this process's epochs

    @property
    def elapsed(self) -> float:
        """Seconds since the start, without the time between two processes of the run."""
        return time.monotonic() - self._started

    def position(self) -> float:
        """Epochs done, from 0 to `epochs`; with a budget at least `epochs` · the share of the time that is used up."""
        usable = max(1.0, self._budget - _EXPORT_SECONDS - 1.3 * self._progress.validation_seconds)
        return max(self._progress.steps / self._steps, self._epochs * min(1.0, self.elapsed / usable))

    def begin_epoch(self) -> float | None:
        """Seconds to the end of the run, as far as the epochs since the first one of this process tell; None before.

        The first epoch says nothing of the others: TensorFlow prepares the network in it.
        """
        self._begun.append((self.position(), self.elapsed))
        if len(self._begun) < 3:
            return None
        (first, started), (position, now) = self._begun[1], self._begun[-1]
        return (self._epochs - position) * (now - started) / max(position - first, 1e-9)


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
        settings: TrainConfig,
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
        self.clock = Clock(settings, self.num_steps, self.progress)
        self.prior = kept_classes.fit_prior(manifest, settings.pretrained)
        self._saved_at = self.clock.elapsed

    @functools.cached_property
    def events(self) -> tensorboard.EventWriter:
        """The events for TensorBoard. Asking for them makes their file."""
        return tensorboard.EventWriter(self.settings.run_dir, self.settings.profile_steps, active=self.is_chief)

    def _build_state(self) -> train_step.TrainState:
        settings, manifest = self.settings, self.manifest
        shapes = {feature.name: feature.shape for feature in self._features()}
        network = architectures.build(settings.model, shapes, len(manifest.classes))
        if settings.model.needs_backbone and not settings.pretrained.pretrained:
            head.set_statistics(network, *embedding_statistics.measure(manifest, settings.dataset, settings.seed))
        pretrained.start(network, settings.model, manifest.classes, settings.pretrained)
        earlier = kept_classes.keep(network, settings.model, manifest, settings.pretrained)
        models, teachers = distillation.load(settings.teachers, manifest), None
        self._answers = distillation.stored_answers(models, settings.teachers, manifest)
        both = bool(self._answers and settings.dataset.backbone_weight)
        config.refuse_without_effect({"--backbone_weight beside a head as --teacher": both})
        if models and not self._answers:
            teachers = distillation.TeacherEnsemble(
                settings.teachers, models, manifest.labelled_classes, settings.loss.loss
            )
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
            teachers=teachers,
            embedding_weight=settings.teachers.embedding_weight,
            embedding_size=embedding_size,
            earlier=earlier,
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
        done, epoch = self.step_and_epoch()
        settings = self.settings
        features = settings.model.features
        features += (schema.EMBEDDING,) if settings.teachers.embedding_weight else ()
        stream = dataset.training(
            self.manifest, settings.dataset, settings.augmentation, settings.seed, epoch=epoch - 1, step=done,
            features=features, answers=self._answers, pseudo=settings.pseudo,
        )  # fmt: skip
        names = (*features, "targets", "weights")
        stream = stream.map(lambda batch: {name: batch[name] for name in names})
        return distribution.distribute_batches(self.strategy, stream)

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
            learnt=self._learnt(),
            backbones=self._backbones(),
            features=self._features(),
            backbone=self.manifest.backbone if self.settings.model.needs_backbone else None,
            channel=self.manifest.channel,
        )

    def _learnt(self) -> learnt.Learnt:
        """What the network has learnt from: the records, and what the models know that it started or learnt from."""
        found, settings = learnt.of_records(self.manifest), self.settings
        if settings.pretrained.pretrained not in ("", "imagenet"):
            found |= run_directory.load_description(settings.pretrained.pretrained).learnt or learnt.Learnt()
        for teacher in settings.teachers.teacher:
            found |= leaks.learnt_by(teacher) or learnt.Learnt()
        if settings.pseudo.pseudo_labels:
            found |= pseudo_labels.load(settings.pseudo.pseudo_labels).learnt
        return found

    def _uses_backbone(self) -> bool:
        settings = self.settings
        learns = settings.dataset.uses_backbone or settings.teachers.embedding_weight > 0
        return learns or settings.model.needs_backbone

    def _backbones(self) -> tuple[dict[str, str], ...]:
        """The backbones that the network has learnt from, also by way of the models that it started or learnt from."""
        settings = self.settings
        described: list[Mapping[str, Any]] = []
        if self.manifest.backbone and self._uses_backbone():
            described.append(self.manifest.backbone)
        if settings.pretrained.pretrained not in ("", "imagenet"):
            described += run_directory.load_description(settings.pretrained.pretrained).backbones
        for teacher in settings.teachers.teacher:
            described += model_files.read_description(teacher).backbones
        if settings.pseudo.pseudo_labels:
            described += pseudo_labels.load(settings.pseudo.pseudo_labels).backbones
        return tuple({found["fingerprint"]: sources.credit(found) for found in described}.values())
