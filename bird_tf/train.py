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

from bird_tf import (
    checkpoints,
    config,
    damage,
    dataset,
    distribution,
    experiment,
    export,
    files,
    records,
    rehearsal,
    schedules,
    serving,
    tf,
    validation,
)

_REPORT_EVERY = 10

# the flags of the command
TrainConfig = experiment.TrainConfig


def _check(manifest: records.Manifest, settings: TrainConfig) -> None:
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
    manifest = records.load(settings.records)
    _check(manifest, settings)
    return _run(settings, manifest, strategy)


def _run(settings: TrainConfig, manifest: records.Manifest, strategy: tf.distribute.Strategy) -> dict[str, Any]:
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

    under_way = experiment.Experiment(settings, manifest, strategy, validated)
    logging.info(
        "%s, %d parameters; %d training chunks, %d validation recordings, %d classes; %d steps an epoch; %d devices",
        settings.model.architecture, under_way.learner.network.count_params(), manifest.num_chunks("train"),
        manifest.num_recordings["val"], len(manifest.classes), under_way.num_steps, strategy.num_replicas_in_sync,
    )  # fmt: skip
    with checkpoints.catching_signals() as caught:
        batches = damage.naming(under_way.batches(), manifest)
        while under_way.go_on():
            run_epoch(under_way, batches, caught)
            _end_epoch(under_way)
            under_way.save()
    under_way.monitor.close()
    return _finish(under_way)


def _validated(
    settings: TrainConfig, manifest: records.Manifest, strategy: tf.distribute.Strategy
) -> experiment.Validated:
    """The first training of two, which keeps the validation recordings for its validation."""
    first = dataclasses.replace(
        settings,
        refit=False,
        run_dir=os.path.join(settings.run_dir, serving.VALIDATED),
        max_minutes=settings.max_minutes / settings.num_trainings,
    )
    _run(first, manifest, strategy)
    run, _ = export.load_run(first.run_dir)
    logging.info("%s: MLRAP %.4f; now anew, on all recordings", first.run_dir, run.metrics["mlrap"])
    return experiment.Validated(metrics=dict(run.metrics), pooling=run.pooling)


def run_epoch(under_way: experiment.Experiment, batches: Iterator[Any], caught: list[int]) -> None:
    """Trains to the end of an epoch, or until the time is up."""
    settings, progress, clock = under_way.settings, under_way.progress, under_way.clock
    started, waited, rate = clock.elapsed, 0.0, 0.0
    done, epoch = under_way.place()
    first, end = progress.steps, epoch * under_way.num_steps
    with config.progress(under_way.num_steps, "step", f"epoch {epoch}") as bar:
        bar.update(done)
        while progress.steps < end and clock.position() < settings.epochs:
            rate = schedules.learning_rate(settings.schedule, clock.position(), settings.epochs)
            under_way.learner.optimiser.learning_rate.assign(rate)
            asked = clock.elapsed
            batch = next(batches)
            waited += clock.elapsed - asked
            if not progress.steps and under_way.strategy.num_replicas_in_sync == 1:
                under_way.monitor.beginning(settings, batch, under_way.learner.network, under_way.manifest.classes)
            loss, norm = _step(under_way, batch)
            progress.steps += 1
            progress.epoch_loss += loss
            under_way.monitor.step()
            bar.update()
            if progress.steps % _REPORT_EVERY == 0:
                bar.set_postfix_str(
                    f"loss {progress.epoch_loss / (progress.steps - first + done):.4f}, rate {rate:.1e}"
                )
            if progress.steps < end:  # the end of an epoch has a checkpoint of its own, after validation
                under_way.save_if_due()
                if caught:
                    _stop(under_way, caught[0])
    if progress.steps > first:
        steps, seconds = progress.steps - first, clock.elapsed - started
        under_way.monitor.epoch(
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


def _step(under_way: experiment.Experiment, batch: Any) -> tuple[float, float]:
    """One step; what stops it is told in one line."""
    settings, step = under_way.settings, under_way.progress.steps
    try:
        loss, norm = under_way.learner.step(batch)
    except tf.errors.ResourceExhaustedError as error:
        raise config.InputError(
            f"--batch_size={settings.dataset.batch_size} does not fit into memory; halve it ({error.message[:80]} …)"
        ) from error
    if not math.isfinite(loss):
        again = dataset.training(
            under_way.manifest, settings.dataset, settings.augmentation, settings.seed,
            epoch=step // under_way.num_steps, step=step % under_way.num_steps,
        )  # fmt: skip
        heard = sorted({i.decode() for i in next(iter(again))["recording_id"].numpy()})
        raise config.InputError(
            f"the loss is {loss} at step {step + 1}; try a lower --learning_rate than "
            f"{settings.schedule.learning_rate:g}, --clip_norm=1, or --dtype_policy=float32; recordings of its batch: "
            f"{', '.join(heard)}"
        )
    return loss, norm


def _stop(under_way: experiment.Experiment, number: int) -> None:
    """Saves and leaves, as after SIGINT and SIGTERM."""
    under_way.save()
    under_way.monitor.close()
    logging.info("stopped after step %d; the same command goes on from there", under_way.progress.steps)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


def _end_epoch(under_way: experiment.Experiment) -> None:
    """Ends an epoch: how good is it, is it the best?"""
    learner, progress, clock = under_way.learner, under_way.progress, under_way.clock
    started = clock.elapsed
    with learner.average.in_place() if learner.average else contextlib.nullcontext():
        outcome = under_way.validate() if under_way.validate else None
        weights = learner.network.get_weights()
    progress.validation_seconds = clock.elapsed - started
    progress.epochs += 1
    found = outcome or under_way.validated
    better = _tell(under_way, outcome) if outcome else True
    if better or under_way.settings.keep == "last":
        progress.best, progress.best_epoch, progress.best_weights = found.metrics, progress.epochs, weights
        progress.best_pooling = found.pooling
    every = under_way.settings.snapshot_epochs
    if every and progress.epochs % every == 0 and under_way.chief:
        folder = os.path.join(under_way.settings.run_dir, "snapshots", f"epoch-{progress.epochs:04d}")
        export.save_run(folder, under_way.describe(found.metrics, found.pooling), weights)


def _tell(under_way: experiment.Experiment, outcome: validation.Outcome) -> bool:
    """Tells TensorBoard and the log how good an epoch is. Returns whether it is the best so far."""
    progress, scores = under_way.progress, outcome.metrics
    better = not progress.best or scores["mlrap"] > progress.best["mlrap"]
    under_way.monitor.validated(progress.epochs, outcome, under_way.manifest.classes, better=better)
    logging.info(
        "epoch %d: validation loss %.4f, MLRAP %.4f (foreground %.4f), top-1 %.4f%s",
        progress.epochs, scores["loss"], scores["mlrap"], scores["mlrap_foreground"], scores["top1"],
        " (best so far)" if better and under_way.settings.keep == "best" else "",
    )  # fmt: skip
    return better


def _finish(under_way: experiment.Experiment) -> dict[str, Any]:
    """Leaves the best weights, the exported model and, last, summary.json."""
    progress, run_dir = under_way.progress, under_way.settings.run_dir
    summary = {
        **progress.best, "best_epoch": progress.best_epoch, "pooling": progress.best_pooling,
        "epochs": progress.epochs, "steps": progress.steps,
        "export": os.path.join(run_dir, export.EXPORT), "num_parameters": under_way.learner.network.count_params(),
        "wall_seconds": round(under_way.clock.elapsed, 1),
    }  # fmt: skip
    if under_way.chief:
        run = under_way.describe(progress.best, progress.best_pooling)
        export.save_run(run_dir, run, list(progress.best_weights))
        export.export(run_dir)
        summary["wall_seconds"] = round(under_way.clock.elapsed, 1)
        files.write_json(os.path.join(run_dir, checkpoints.SUMMARY), summary)
    distribution.wait_for_all(under_way.strategy)
    return summary


def main(settings: TrainConfig) -> None:
    """Trains, and says in one line what came of it; a dry run says what it would need."""
    if settings.dry_run:
        manifest = records.load(settings.records)
        _check(manifest, settings)
        strategy = distribution.strategy(settings.distribute, settings.dataset.batch_size)
        logging.info("\n".join(rehearsal.rehearse(settings, manifest, strategy, _step).lines()))
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
