"""One experiment, in the order of events: data, network, optimiser, loop, validation, best weights, export."""

from __future__ import annotations

import dataclasses
import math
import os
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import logging

from bird_tf import (
    augment,
    config,
    damage,
    dataset,
    export,
    files,
    keras,
    losses,
    metrics,
    models,
    pooling,
    preview,
    records,
    schedules,
    tf,
)

# what a run needs after its last step besides validation: the export, and its check
_EXPORT_SECONDS = 20.0
_REPORT_EVERY = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Flags of a training."""

    records: str = config.option("", "records directory, as tfrecords/NAME", required=True)
    run_dir: str = config.option("", "run directory to make, as runs/NAME", required=True)
    overwrite: bool = config.option(False, "replace what is in --run_dir")
    model: models.ModelConfig
    dataset: dataset.DatasetConfig
    augmentation: augment.AugmentConfig
    loss: losses.LossConfig
    schedule: schedules.ScheduleConfig
    optimizer: str = config.option("adam", "the optimiser", choices=("adam", "adamw", "sgd", "nesterov"))
    l2: float = config.option(0.0, "weight of the squared kernels in the loss")
    epochs: int = config.option(100, "the most epochs")
    max_minutes: float = config.option(0.0, "wall-clock budget, export included, that the schedule follows; 0: none")
    patience: int = config.option(10, "epochs without a better validation MLRAP after which training stops")
    pooling: str = config.option("", "chunk scores to recording scores; empty: the default for the number of classes")
    dtype_policy: str = config.option(
        "float32", "precision of the network", choices=("float32", "mixed_float16", "mixed_bfloat16")
    )
    seed: int = config.option(0, "of weights, order and augmentation")


class Clock:
    """How far a run has come, by epochs or by its wall-clock budget, whichever is further."""

    def __init__(self, settings: TrainConfig, steps_per_epoch: int) -> None:
        self._started = time.monotonic()
        self._budget = settings.max_minutes * 60 or math.inf
        self._epochs, self._steps = settings.epochs, steps_per_epoch
        self.validation_seconds = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def position(self, steps_done: int) -> float:
        """Epochs done, from 0 to `epochs`; under a budget at least the share of the time that is gone."""
        usable = max(1.0, self._budget - _EXPORT_SECONDS - 1.3 * self.validation_seconds)
        return max(steps_done / self._steps, self._epochs * min(1.0, self.elapsed / usable))


def _prepare_run_dir(settings: TrainConfig) -> None:
    if files.exists(settings.run_dir) and tf.io.gfile.listdir(settings.run_dir):
        if not settings.overwrite:
            raise config.InputError(f"{settings.run_dir} holds something; choose another --run_dir or use --overwrite")
        tf.io.gfile.rmtree(settings.run_dir)
    files.write_text(os.path.join(settings.run_dir, "run.flags"), config.to_flagfile(settings))


def _check(manifest: records.Manifest) -> None:
    if len(manifest.classes) < 2:
        raise config.InputError(f"{manifest.directory} has one class only: there is nothing to tell apart")
    if not manifest.num_chunks("val"):
        raise config.InputError(
            f"{manifest.directory} has no validation chunk, so the best epoch could not be told: convert with "
            "--val_share above 0 and at least two recordings of some species"
        )


def _optimiser(settings: TrainConfig) -> Any:
    rate = settings.schedule.learning_rate
    makers: dict[str, Callable[[], Any]] = {
        "adam": lambda: keras.optimizers.Adam(rate),
        "adamw": lambda: keras.optimizers.AdamW(rate),
        "sgd": lambda: keras.optimizers.SGD(rate),
        "nesterov": lambda: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
    }
    optimiser = makers[settings.optimizer]()
    if settings.dtype_policy == "mixed_float16":
        optimiser = keras.optimizers.LossScaleOptimizer(optimiser)
    return optimiser


def train_step(
    network: keras.Model, optimiser: Any, settings: TrainConfig
) -> Callable[[dict[str, tf.Tensor]], tf.Tensor]:
    """Makes the function that learns from one batch and returns its loss, scalar float32."""
    kernels = [v for v in network.trainable_variables if v.name == "kernel"]

    @tf.function(reduce_retracing=True)
    def step(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = network(batch["spectrogram"], training=True)["logits"]
            loss = losses.loss(logits, batch["targets"], batch["weights"], settings.loss)
            if settings.l2:
                loss += settings.l2 * tf.add_n([tf.reduce_sum(tf.square(tf.cast(k, tf.float32))) for k in kernels])
            scaled = optimiser.scale_loss(loss)
        gradients = tape.gradient(scaled, [v.value for v in network.trainable_variables])
        optimiser.apply(gradients, network.trainable_variables)
        return loss

    return step


def validator(
    network: keras.Model, manifest: records.Manifest, settings: TrainConfig, method: str
) -> Callable[[], dict[str, float]]:
    """Makes the function that scores the validation recordings: `metrics.headline` and the loss."""
    batches = dataset.evaluation(manifest, settings.dataset)

    @tf.function(reduce_retracing=True)
    def answer(batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        logits = network(batch["spectrogram"], training=False)["logits"]
        loss = losses.loss(logits, batch["targets"], batch["weights"], settings.loss)
        return losses.probabilities(logits, settings.loss.loss), loss

    def validate() -> dict[str, float]:
        scores, ids, total = [], [], 0.0
        labels: dict[str, int] = {}
        backgrounds: dict[str, list[int]] = {}
        for batch in damage.naming(batches, manifest):
            probabilities, loss = answer(batch)
            scores.append(probabilities.numpy())
            total += float(loss) * len(scores[-1])
            batch_ids = [i.decode() for i in batch["recording_id"].numpy()]
            ids += batch_ids
            labels.update(zip(batch_ids, batch["label"].numpy().tolist(), strict=True))
            backgrounds.update(zip(batch_ids, batch["background"].numpy().tolist(), strict=True))
        recordings, pooled = pooling.by_recording(ids, np.concatenate(scores), method)
        indices = np.array([labels[r] for r in recordings])
        truth = metrics.truth(indices, [backgrounds[r] for r in recordings], len(manifest.classes))
        return {**metrics.headline(pooled, truth, indices), "loss": total / len(ids)}

    return validate


def train(settings: TrainConfig) -> dict[str, Any]:
    """Runs one experiment and leaves run.flags, run.json, best.npz, logs/, export/ and summary.json in `run_dir`.

    Returns:
        What summary.json holds.

    Raises:
        InputError: unusable records, an occupied run directory, options that do not fit, or a loss that is no number.
    """
    manifest = records.load(settings.records)
    _check(manifest)
    _prepare_run_dir(settings)

    random.seed(settings.seed)  # what Keras draws the seeds of initialisers and dropout from
    keras.config.set_dtype_policy(settings.dtype_policy)
    front_end, num_classes = manifest.front_end, len(manifest.classes)
    network = models.build(settings.model, front_end.num_bands, front_end.num_frames, num_classes)
    method = settings.pooling or pooling.default(num_classes)
    steps = dataset.steps_per_epoch(manifest, settings.dataset)
    stream = dataset.training(manifest, settings.dataset, settings.augmentation, settings.seed)
    batches = damage.naming(stream, manifest)
    logging.info(
        "%s, %d parameters; %d training chunks, %d validation recordings, %d classes; %d steps an epoch",
        settings.model.architecture, network.count_params(), manifest.num_chunks("train"),
        manifest.num_recordings["val"], num_classes, steps,
    )  # fmt: skip

    optimiser = _optimiser(settings)
    step = train_step(network, optimiser, settings)
    validate = validator(network, manifest, settings, method)
    writer = tf.summary.create_file_writer(files.enable(os.path.join(settings.run_dir, "logs")))
    clock = Clock(settings, steps)
    preview.log(writer, manifest, settings.dataset, settings.augmentation, settings.seed)
    best: dict[str, float] = {}
    best_weights: list[np.ndarray] = network.get_weights()
    epoch, best_epoch, steps_done = 0, 0, 0
    while clock.position(steps_done) < settings.epochs and epoch - best_epoch < settings.patience:
        epoch += 1
        steps_done = _epoch(epoch, batches, step, optimiser, clock, settings, steps, steps_done, writer)
        started = clock.elapsed
        scores = validate()
        clock.validation_seconds = clock.elapsed - started
        with writer.as_default(step=epoch):
            for name, value in scores.items():
                tf.summary.scalar(f"validation/{name}", value)
        writer.flush()
        better = not best or scores["mlrap"] > best["mlrap"]
        if better:
            best, best_epoch, best_weights = scores, epoch, network.get_weights()
        logging.info(
            "epoch %d: validation loss %.4f, MLRAP %.4f (foreground %.4f), top-1 %.4f%s",
            epoch, scores["loss"], scores["mlrap"], scores["mlrap_foreground"], scores["top1"],
            " (best so far)" if better else "",
        )  # fmt: skip
    writer.close()

    run = export.Run(
        model=settings.model,
        loss=settings.loss.loss,
        pooling=method,
        front_end=front_end,
        classes=manifest.classes,
        training=config.to_mapping(settings),
        metrics=best,
        versions=records.versions(),
    )
    export.save_run(settings.run_dir, run, best_weights)
    exported = export.export(settings.run_dir)
    summary = {
        **best, "best_epoch": best_epoch, "epochs": epoch, "steps": steps_done, "export": exported,
        "num_parameters": network.count_params(), "wall_seconds": round(clock.elapsed, 1),
    }  # fmt: skip
    files.write_json(os.path.join(settings.run_dir, "summary.json"), summary)
    return summary


def _epoch(
    epoch: int,
    batches: Any,
    step: Callable[[dict[str, tf.Tensor]], tf.Tensor],
    optimiser: Any,
    clock: Clock,
    settings: TrainConfig,
    num_steps: int,
    steps_done: int,
    writer: Any,
) -> int:
    """Trains for one epoch, or until the time is up. Returns the steps done in all."""
    started, waited, first = clock.elapsed, 0.0, steps_done
    total = 0.0
    with config.progress(num_steps, "step", f"epoch {epoch}") as progress:
        while steps_done < epoch * num_steps and clock.position(steps_done) < settings.epochs:
            rate = schedules.learning_rate(settings.schedule, clock.position(steps_done), settings.epochs)
            optimiser.learning_rate.assign(rate)
            asked = clock.elapsed
            batch = next(batches)
            waited += clock.elapsed - asked
            loss = step(batch)
            steps_done += 1
            progress.update()
            total += float(loss)
            if not math.isfinite(total):
                raise config.InputError(
                    f"the loss is {float(loss)} at step {steps_done}; try a lower --learning_rate than "
                    f"{settings.schedule.learning_rate:g}, or --dtype_policy=float32"
                )
            if steps_done % _REPORT_EVERY == 0:
                progress.set_postfix_str(f"loss {total / (steps_done - first):.4f}, rate {rate:.1e}")
    if steps_done == first:
        return steps_done
    seconds = clock.elapsed - started
    with writer.as_default(step=epoch):
        tf.summary.scalar("training/loss", total / (steps_done - first))
        tf.summary.scalar("training/learning_rate", rate)
        tf.summary.scalar("training/examples_per_second", (steps_done - first) * settings.dataset.batch_size / seconds)
        tf.summary.scalar("training/input_wait_share", waited / seconds)
    return steps_done


def main(settings: TrainConfig) -> None:
    """Trains, and says in one line what came of it."""
    summary = train(settings)
    logging.info(
        "%s: MLRAP %.4f on %d validation recordings (epoch %d of %d), %.1f minutes; model in %s",
        settings.run_dir, summary["mlrap"], summary["num_recordings"], summary["best_epoch"], summary["epochs"],
        summary["wall_seconds"] / 60, summary["export"],
    )  # fmt: skip


def run() -> None:
    """Entry point of `bird-tf-train`."""
    config.run(main, TrainConfig)


if __name__ == "__main__":
    run()
