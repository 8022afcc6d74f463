"""A training under way: its flags, what its steps need, how far it has come, and the way back from a checkpoint.

The order of events belongs to `train`.
"""

from __future__ import annotations

import dataclasses
import math
import random
import time
from typing import Any

from absl import logging

from bird_tf import config, keras, tf
from bird_tf.input import dataset
from bird_tf.input.augment import augmentations
from bird_tf.models import architectures, losses
from bird_tf.records import manifests, recordings_table
from bird_tf.scores import pooling, prior
from bird_tf.training import (
    checkpoints,
    distillation,
    distribution,
    optimizers,
    pretrained,
    run_directory,
    schedules,
    tensorboard,
    train_step,
    validation,
)

# what a run needs after its last step besides validation: the export, and its check
_EXPORT_SECONDS = 20.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Flags of a training."""

    records: str = config.option("", "records directory, as tfrecords/NAME", required=True)
    run_dir: str = config.option("", "run directory, as runs/NAME; an unfinished run there goes on", required=True)
    overwrite: bool = config.option(False, "replace what is in --run_dir")
    dry_run: bool = config.option(
        False, "build everything, take a few steps, print what the training needs, keep nothing"
    )
    model: architectures.ModelConfig
    pretrained: pretrained.PretrainedConfig
    dataset: dataset.DatasetConfig
    augmentation: augmentations.AugmentConfig
    loss: losses.LossConfig
    teachers: distillation.DistillationConfig
    schedule: schedules.ScheduleConfig
    optimizer: optimizers.OptimizerConfig
    epochs: int = config.option(100, "the most epochs")
    max_minutes: float = config.option(0.0, "wall-clock budget, export included, that the schedule follows; 0: none")
    patience: int = config.option(10, "epochs without a better validation MLRAP after which training stops")
    keep: str = config.option(
        "best",
        "weights to export: best by validation MLRAP, or last, for few validation recordings make the best a matter of "
        "luck; then --patience has no effect",
        choices=("best", "last"),
    )
    refit: bool = config.option(
        False,
        "then train anew on training and validation recordings together and export that; metrics and pooling are those "
        "of the first training, which stays in validated/; each has half of --max_minutes; needs --keep=last",
    )
    pooling: str = config.option(
        "",
        f"chunk scores to recording scores: {', '.join(pooling.METHODS)} (of networks that have it), or auto: the best "
        "on validation, kept in the model; empty: the default for the number of classes",
    )
    snapshot_epochs: int = config.option(0, "epochs from one snapshot to the next in snapshots/; 0: none")
    checkpoint_minutes: float = config.option(
        2.0, "minutes between checkpoints within an epoch; each epoch ends with one"
    )
    distribute: str = config.option(
        "none", "mirrored: all GPUs of this machine; multiworker: TF_CONFIG's", choices=distribution.KINDS
    )
    dtype_policy: str = config.option(
        "float32", "precision of the network", choices=("float32", "mixed_float16", "mixed_bfloat16")
    )
    deterministic: bool = config.option(False, "only operations that repeat to the bit, at some cost of speed")
    seed: int = config.option(0, "of weights, order and augmentation")
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
            raise config.InputError(f"--refit --keep={self.keep}: without validation no epoch is best; use --keep=last")
        if self.distribute == "multiworker" and self.max_minutes:
            raise config.InputError(
                "--max_minutes with --distribute=multiworker: the workers' clocks differ; use --epochs"
            )

    @property
    def num_trainings(self) -> int:
        """How many trainings share --max_minutes."""
        return 2 if self.refit else 1


class Clock:
    """How far a run has come, by epochs or by its wall-clock budget, whichever is further."""

    def __init__(self, settings: TrainConfig, steps_per_epoch: int, progress: checkpoints.Progress) -> None:
        self._started = time.monotonic() - progress.elapsed_seconds
        self._budget = settings.max_minutes * 60 / settings.num_trainings or math.inf
        self._epochs, self._steps, self._progress = settings.epochs, steps_per_epoch, progress

    @property
    def elapsed(self) -> float:
        """Seconds since the start, those between two processes of the run left out."""
        return time.monotonic() - self._started

    def position(self) -> float:
        """Epochs done, from 0 to `epochs`; under a budget at least the share of the time that is gone."""
        usable = max(1.0, self._budget - _EXPORT_SECONDS - 1.3 * self._progress.validation_seconds)
        return max(self._progress.steps / self._steps, self._epochs * min(1.0, self.elapsed / usable))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Validated:
    """What is said of weights that have nothing to be validated on.

    Attributes:
        metrics: as `validation.ValidationResult` has them; empty if nobody knows.
        pooling: the method of their recordings' scores.
    """

    metrics: dict[str, float]
    pooling: str


class Experiment:
    """A training under way: what its steps need, and how far it has come."""

    def __init__(
        self,
        settings: TrainConfig,
        manifest: manifests.Manifest,
        strategy: tf.distribute.Strategy,
        validated: Validated | None = None,
    ) -> None:
        """Builds everything, and goes back to the last checkpoint if there is one.

        Args:
            settings: the flags.
            manifest: the records.
            strategy: the devices.
            validated: what an earlier training's validation said, for one that has nothing to validate on.
        """
        self.settings, self.manifest, self.strategy = settings, manifest, strategy
        self.chief = distribution.is_chief(strategy)
        self.num_steps = dataset.steps_per_epoch(manifest, settings.dataset)
        method = settings.pooling or pooling.default(len(manifest.classes))
        random.seed(settings.seed)  # what Keras draws the seeds of initialisers and dropout from
        keras.config.set_dtype_policy(settings.dtype_policy)
        with strategy.scope():
            self.state = self._build_state()
        self.validated = validated or Validated(metrics={}, pooling=method)
        self.validate = None
        if manifest.num_chunks("val"):
            network = self.state.network
            self.validate = validation.validator(network, manifest, settings.dataset, settings.loss, method)
        self.content = checkpoints.digest(manifest)
        self.progress = checkpoints.Progress()
        if stored := checkpoints.load(settings.run_dir, self.content):
            self.progress, state = stored
            self.state.restore(state)
            logging.info("%s goes on after step %d of epoch %d", settings.run_dir, *self.place())
        self.clock = Clock(settings, self.num_steps, self.progress)
        self.prior = prior.fit(recordings_table.read(manifest.directory), manifest.classes)
        self.monitor = tensorboard.EventWriter(settings.run_dir, settings.profile_steps, active=self.chief)
        self._saved = self.clock.elapsed

    def _build_state(self) -> train_step.TrainState:
        settings, manifest = self.settings, self.manifest
        front_end = manifest.front_end
        network = architectures.build(settings.model, front_end.num_bands, front_end.num_frames, len(manifest.classes))
        pretrained.start(network, settings.model, manifest.classes, settings.pretrained)
        teachers = None
        if settings.teachers.teacher:
            teachers = distillation.TeacherEnsemble(settings.teachers, front_end, manifest.classes, settings.loss.loss)
        return train_step.TrainState(
            network,
            settings.optimizer,
            settings.loss,
            settings.schedule.learning_rate,
            scale_loss=settings.dtype_policy == "mixed_float16",
            teachers=teachers,
        )

    def place(self) -> tuple[int, int]:
        """Steps done of the epoch under way, and its number from 1."""
        return max(0, self.progress.steps - self.progress.epochs * self.num_steps), self.progress.epochs + 1

    def batches(self) -> Any:
        """Training batches from where the run is on, as the devices get them."""
        done, epoch = self.place()
        settings = self.settings
        stream = dataset.training(
            self.manifest, settings.dataset, settings.augmentation, settings.seed, epoch=epoch - 1, step=done
        )
        wanted = ("spectrogram", "targets", "weights")
        return distribution.share_out(self.strategy, stream.map(lambda batch: {name: batch[name] for name in wanted}))

    def go_on(self) -> bool:
        """Whether there is another epoch to come."""
        patient = self.progress.epochs - self.progress.best_epoch < self.settings.patience
        return patient and self.clock.position() < self.settings.epochs

    def save(self) -> None:
        """Writes a checkpoint."""
        if self.chief:
            self.progress.elapsed_seconds = self.clock.elapsed
            checkpoints.save(self.settings.run_dir, self.progress, self.state.arrays(), self.content)
        self._saved = self.clock.elapsed

    def save_if_due(self) -> None:
        """Writes a checkpoint if the last one is old enough."""
        if self.clock.elapsed - self._saved >= self.settings.checkpoint_minutes * 60:
            self.save()

    def describe(self, scores: dict[str, float], method: str) -> run_directory.Run:
        """What the run directory is to say of weights with these metrics, reached by this pooling."""
        return run_directory.Run(
            model=self.settings.model,
            loss=self.settings.loss.loss,
            pooling=method,
            front_end=self.manifest.front_end,
            classes=self.manifest.classes,
            prior=self.prior,
            training=config.to_mapping(self.settings),
            metrics=scores,
            versions=manifests.versions(),
        )
