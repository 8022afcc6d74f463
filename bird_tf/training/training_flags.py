"""The flags of a training, and its claim on its run directory."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, ClassVar, TypeVar

from bird_tf import config, files, keras, resume
from bird_tf.inference import leaks, model_files
from bird_tf.input import dataset, pseudo_labels
from bird_tf.input.augment import augmentations
from bird_tf.models import architectures, losses
from bird_tf.records import manifests, recordings_table
from bird_tf.scores import pooling
from bird_tf.training import distillation, distribution, optimizers, pretrained, run_directory, schedules

_Settings = TypeVar("_Settings", bound="TrainConfig")
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
        False,
        "head: choose --l2 by folds within the training recordings; groups of the conversion stay together; the choice "
        "is made each time that the command is repeated, and takes time beside --max_minutes",
    )
    epochs: int = config.option(100, "maximum number of epochs")
    max_minutes: float = config.option(0.0, "wall-clock limit, export included, to which the schedule adapts; 0: none")
    patience: int = config.option(
        10, "stop after this number of epochs without a better validation MLRAP, or an equal one with a lower loss"
    )
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
    jit_compile: bool = config.option(
        False, "on one GPU, compile the training step by XLA; it has no effect elsewhere, nor with --deterministic"
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
        config.check_seed("seed", self.seed)
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
        "inputs": {settings.records: recordings_table.identity(manifest)},
        "models": models(settings),
    }
    if folder:
        plan["inputs"][folder] = {"content": pseudo_labels.digest(folder)}
    if settings.overwrite or not run_directory.finished(settings.run_dir):
        plan["versions"] = {**manifests.versions(), "keras": keras.__version__}
    return resume.Claim(
        directory=settings.run_dir, plan=plan, work="training", flag="--run_dir", overwrite=settings.overwrite,
        earlier=run_directory.FLAGS, reads=(settings.records, folder, *model_paths(settings)),
        own=run_directory.OWN, flags_of=type(settings),
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
    teachers = [path for asked in settings.teachers.teacher for path in (asked, leaks.validated(asked))]
    every = [(path, distillation.digest(path)) for path in teachers]
    every += [(path, run_directory.digest(path)) for path in pretrained.runs(settings.pretrained)]
    return {path: found for path, found in every if found}


def write_flags(settings: TrainConfig) -> None:
    """Writes the flags of a run into its directory. Who repeats it with them does not ask to replace anything."""
    flags = config.to_flagfile(dataclasses.replace(settings, overwrite=False))
    files.write_text(os.path.join(settings.run_dir, run_directory.FLAGS), flags)


def within(settings: TrainConfig, **changed: Any) -> TrainConfig:
    """The training in the settings of a command that has more flags than it.

    Args:
        settings: of the command.
        changed: {flag: another value}, as in a JSON file.
    """
    values = config.to_mapping(settings) | changed
    return config.from_mapping(TrainConfig, {field.name: values[field.name] for field, _ in config.leaves(TrainConfig)})


def one_training(settings: _Settings) -> _Settings:
    """The settings of one of the trainings of --refit, with its part of --max_minutes."""
    return dataclasses.replace(settings, refit=False, max_minutes=settings.max_minutes / settings.num_trainings)
