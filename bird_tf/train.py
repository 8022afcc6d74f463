"""One experiment, in the order of events: data, network, loop, validation, checkpoint, best weights, export."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

from absl import logging

from bird_tf import config, files, tf
from bird_tf.inference import saved_model
from bird_tf.input import dataset
from bird_tf.records import manifests, verify
from bird_tf.training import (
    checkpoints,
    distribution,
    dry_run,
    experiments,
    exporter,
    run_directory,
    schedules,
    validation,
)

_REPORT_EVERY = 10

# the flags of the command
TrainConfig = experiments.TrainConfig


def _check(manifest: manifests.Manifest, settings: TrainConfig) -> None:
    if len(manifest.classes) < 2:
        raise config.InputError(f"{manifest.directory} has one class only: there is nothing to tell apart")
    if not manifest.num_chunks("val") and (settings.keep == "best" or settings.pooling == "auto" or settings.refit):
        raise config.InputError(
            f"{manifest.directory} has no validation chunk, and --keep=best, --pooling=auto and --refit need some: "
            "convert with --val_share above 0 and at least two recordings of some species"
        )
    counts = zip(manifest.classes.class_ids, manifest.chunks_per_class["train"], strict=True)
    if silent := [class_id for class_id, count in counts if not count]:
        logging.warning(
            "%d classes have no training chunk and cannot be learnt: %s", len(silent), ", ".join(silent[:10])
        )


def train(settings: TrainConfig) -> dict[str, Any]:
    """Runs one experiment, or what is left of it, and leaves all that README.md promises in `run_dir`.

    With `refit` there are two trainings: one in `run_dir`/validated, and one in `run_dir` on all recordings.

    Returns:
        What summary.json holds.

    Raises:
        InputError: unusable records, another run's directory, options that do not fit, or a loss that is no number.
        KeyboardInterrupt, SystemExit: SIGINT or SIGTERM came; the checkpoint is written.
    """
    distribution.check(settings.distribute)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = distribution.strategy(settings.distribute, settings.dataset.batch_size)
    manifest = manifests.load(settings.records)
    _check(manifest, settings)
    return _run(settings, manifest, strategy)


def _run(settings: TrainConfig, manifest: manifests.Manifest, strategy: tf.distribute.Strategy) -> dict[str, Any]:
    """One run directory, from its first flag to its summary."""
    flagfile = config.to_flagfile(settings)
    checkpoints.check_run_dir(settings.run_dir, flagfile, overwrite=settings.overwrite)
    if distribution.is_chief(strategy):
        checkpoints.prepare_run_dir(settings.run_dir, flagfile, overwrite=settings.overwrite)
    distribution.wait_for_all(strategy)
    if summary := checkpoints.finished(settings.run_dir):
        logging.info("%s is finished; --overwrite would train it anew", settings.run_dir)
        return summary
    validated = None
    if settings.refit:
        validated = _validated(settings, manifest, strategy)
        manifest = manifest.with_all_for_training()

    experiment = experiments.Experiment(settings, manifest, strategy, validated)
    logging.info(
        "%s, %d parameters; %d training chunks, %d validation recordings, %d classes; %d steps an epoch; %d devices",
        settings.model.architecture, experiment.state.network.count_params(), manifest.num_chunks("train"),
        manifest.num_recordings["val"], len(manifest.classes), experiment.num_steps, strategy.num_replicas_in_sync,
    )  # fmt: skip
    with checkpoints.catching_signals() as caught:
        batches = verify.naming_damage(experiment.batches(), manifest)
        while experiment.go_on():
            run_epoch(experiment, batches, caught)
            _end_epoch(experiment)
            experiment.save()
    experiment.monitor.close()
    return _finish(experiment)


def _validated(
    settings: TrainConfig, manifest: manifests.Manifest, strategy: tf.distribute.Strategy
) -> experiments.Validated:
    """The first training of two, which keeps the validation recordings for its validation."""
    first = dataclasses.replace(
        settings,
        refit=False,
        run_dir=os.path.join(settings.run_dir, saved_model.VALIDATED),
        max_minutes=settings.max_minutes / settings.num_trainings,
    )
    _run(first, manifest, strategy)
    run, _ = run_directory.load(first.run_dir)
    logging.info("%s: MLRAP %.4f; now anew, on all recordings", first.run_dir, run.metrics["mlrap"])
    return experiments.Validated(metrics=dict(run.metrics), pooling=run.pooling)


def run_epoch(experiment: experiments.Experiment, batches: Iterator[Any], caught: list[int]) -> None:
    """Trains to the end of an epoch, or until the time is up."""
    settings, progress, clock = experiment.settings, experiment.progress, experiment.clock
    started, waited, rate = clock.elapsed, 0.0, 0.0
    done, epoch = experiment.place()
    first, end = progress.steps, epoch * experiment.num_steps
    with config.progress(experiment.num_steps, "step", f"epoch {epoch}") as bar:
        bar.update(done)
        while progress.steps < end and clock.position() < settings.epochs:
            rate = schedules.learning_rate(settings.schedule, clock.position(), settings.epochs)
            experiment.state.optimiser.learning_rate.assign(rate)
            asked = clock.elapsed
            batch = next(batches)
            waited += clock.elapsed - asked
            if not progress.steps and experiment.strategy.num_replicas_in_sync == 1:
                experiment.monitor.beginning(settings, batch, experiment.state.network, experiment.manifest.classes)
            loss, norm = _step(experiment, batch)
            progress.steps += 1
            progress.epoch_loss += loss
            experiment.monitor.step()
            bar.update()
            if progress.steps % _REPORT_EVERY == 0:
                bar.set_postfix_str(
                    f"loss {progress.epoch_loss / (progress.steps - first + done):.4f}, rate {rate:.1e}"
                )
            if progress.steps < end:  # the end of an epoch has a checkpoint of its own, after validation
                experiment.save_if_due()
                if caught:
                    _stop(experiment, caught[0])
    if progress.steps > first:
        steps, seconds = progress.steps - first, clock.elapsed - started
        experiment.monitor.epoch(
            epoch,
            {
                "loss": progress.epoch_loss / (done + steps),
                "learning_rate": rate,
                "gradient_norm": norm,
                "examples_per_second": steps * settings.dataset.batch_size / seconds,
                "input_wait_share": waited / seconds,
            },
        )
    progress.epoch_loss = 0.0


def _step(experiment: experiments.Experiment, batch: Any) -> tuple[float, float]:
    """One step; what stops it is told in one line."""
    settings, step = experiment.settings, experiment.progress.steps
    try:
        loss, norm = experiment.state.step(batch)
    except tf.errors.ResourceExhaustedError as error:
        raise config.InputError(
            f"--batch_size={settings.dataset.batch_size} does not fit into memory; halve it ({error.message[:80]} …)"
        ) from error
    if not math.isfinite(loss):
        again = dataset.training(
            experiment.manifest, settings.dataset, settings.augmentation, settings.seed,
            epoch=step // experiment.num_steps, step=step % experiment.num_steps,
        )  # fmt: skip
        heard = sorted({i.decode() for i in next(iter(again))["recording_id"].numpy()})
        raise config.InputError(
            f"the loss is {loss} at step {step + 1}; try a lower --learning_rate than "
            f"{settings.schedule.learning_rate:g}, --clip_norm=1, or --dtype_policy=float32; recordings of its batch: "
            f"{', '.join(heard)}"
        )
    return loss, norm


def _stop(experiment: experiments.Experiment, number: int) -> None:
    """Saves and leaves, as after SIGINT and SIGTERM."""
    experiment.save()
    experiment.monitor.close()
    logging.info("stopped after step %d; the same command goes on from there", experiment.progress.steps)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


def _end_epoch(experiment: experiments.Experiment) -> None:
    """Ends an epoch: how good is it, is it the best?"""
    state, progress, clock = experiment.state, experiment.progress, experiment.clock
    started = clock.elapsed
    with state.average.in_place() if state.average else contextlib.nullcontext():
        outcome = experiment.validate() if experiment.validate else None
        weights = state.network.get_weights()
    progress.validation_seconds = clock.elapsed - started
    progress.epochs += 1
    found = outcome or experiment.validated
    better = _tell(experiment, outcome) if outcome else True
    if better or experiment.settings.keep == "last":
        progress.best, progress.best_epoch, progress.best_weights = found.metrics, progress.epochs, weights
        progress.best_pooling = found.pooling
    every = experiment.settings.snapshot_epochs
    if every and progress.epochs % every == 0 and experiment.chief:
        folder = os.path.join(experiment.settings.run_dir, "snapshots", f"epoch-{progress.epochs:04d}")
        run_directory.save(folder, experiment.describe(found.metrics, found.pooling), weights)


def _tell(experiment: experiments.Experiment, outcome: validation.ValidationResult) -> bool:
    """Tells TensorBoard and the log how good an epoch is. Returns whether it is the best so far."""
    progress, scores = experiment.progress, outcome.metrics
    better = not progress.best or scores["mlrap"] > progress.best["mlrap"]
    experiment.monitor.validated(progress.epochs, outcome, experiment.manifest.classes, better=better)
    logging.info(
        "epoch %d: validation loss %.4f, MLRAP %.4f (foreground %.4f), top-1 %.4f%s",
        progress.epochs, scores["loss"], scores["mlrap"], scores["mlrap_foreground"], scores["top1"],
        " (best so far)" if better and experiment.settings.keep == "best" else "",
    )  # fmt: skip
    return better


def _finish(experiment: experiments.Experiment) -> dict[str, Any]:
    """Leaves the best weights, the exported model and, last, summary.json."""
    progress, run_dir = experiment.progress, experiment.settings.run_dir
    summary = {
        **progress.best, "best_epoch": progress.best_epoch, "pooling": progress.best_pooling,
        "epochs": progress.epochs, "steps": progress.steps,
        "export": os.path.join(run_dir, exporter.EXPORT), "num_parameters": experiment.state.network.count_params(),
        "wall_seconds": round(experiment.clock.elapsed, 1),
    }  # fmt: skip
    if experiment.chief:
        run = experiment.describe(progress.best, progress.best_pooling)
        run_directory.save(run_dir, run, list(progress.best_weights))
        exporter.export(run_dir)
        summary["wall_seconds"] = round(experiment.clock.elapsed, 1)
        files.write_json(os.path.join(run_dir, checkpoints.SUMMARY), summary)
    distribution.wait_for_all(experiment.strategy)
    return summary


def main(settings: TrainConfig) -> None:
    """Trains, and says in one line what came of it; a dry run says what it would need."""
    if settings.dry_run:
        manifest = manifests.load(settings.records)
        _check(manifest, settings)
        strategy = distribution.strategy(settings.distribute, settings.dataset.batch_size)
        logging.info("\n".join(dry_run.estimate(settings, manifest, strategy, _step).lines()))
        return
    summary = train(settings)
    quality = "not validated"
    if "mlrap" in summary:
        quality = f"MLRAP {summary['mlrap']:.4f} on {summary['num_recordings']:.0f} validation recordings"
        quality += " without them in training" if settings.refit else ""
    logging.info(
        "%s: %s (epoch %d of %d), %.1f minutes; model in %s",
        settings.run_dir, quality, summary["best_epoch"], summary["epochs"], summary["wall_seconds"] / 60,
        summary["export"],
    )  # fmt: skip


def run() -> None:
    """Entry point of `bird-tf-train`."""
    config.run(main, TrainConfig)


if __name__ == "__main__":
    run()
