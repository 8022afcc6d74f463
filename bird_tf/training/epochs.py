"""One epoch of a training: its steps, its validation, and what is told and kept of both."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from absl import logging

from bird_tf import config, progress_bars, tf
from bird_tf.training import experiments, run_directory, schedules, validation, weights

_REPORT_EVERY = 10


def run(experiment: experiments.Experiment, batches: Iterator[Any], signals: list[int]) -> None:
    """Trains to the end of the current epoch, or until the time is up.

    Args:
        experiment: the training.
        batches: from `experiment.batches`.
        signals: SIGINT or SIGTERM, once received: the training is saved and stopped.
    """
    settings, progress, clock = experiment.settings, experiment.progress, experiment.clock
    started, waited, rate = clock.elapsed, 0.0, 0.0
    done, epoch = experiment.step_and_epoch()
    first, end = progress.steps, epoch * experiment.num_steps
    left = clock.begin_epoch()
    described = f"epoch {epoch}" if left is None else f"epoch {epoch}, {left / 60:.0f} min left"
    with progress_bars.start(experiment.num_steps, "step", described) as bar:
        bar.update(done)
        if not progress.steps:
            bar.set_postfix_str("preparing the first step")
        while progress.steps < end and clock.position() < settings.epochs:
            rate = schedules.learning_rate(settings.schedule, clock.position(), settings.epochs)
            experiment.state.optimiser.learning_rate.assign(rate)
            requested = clock.elapsed
            batch = next(batches)
            waited += clock.elapsed - requested
            if not progress.steps and experiment.strategy.num_replicas_in_sync == 1:
                records = experiment.manifest
                network = experiment.state.network
                experiment.events.write_start(settings, batch, network, records.classes, records.front_end)
            loss, norm = take_step(experiment, batch)
            progress.steps += 1
            progress.epoch_loss += loss
            experiment.events.after_step()
            if progress.steps == 1:
                bar.set_postfix_str("", refresh=False)
            bar.update()
            if progress.steps % _REPORT_EVERY == 0:
                bar.set_postfix_str(
                    f"loss {progress.epoch_loss / (progress.steps - first + done):.4f}, rate {rate:.1e}"
                )
            if progress.steps < end:  # at the end of an epoch the checkpoint is written after the validation
                experiment.save_if_due()
                if signals:
                    experiment.save()
                    stop(experiment, signals[0])
    if progress.steps > first:
        steps, seconds = progress.steps - first, clock.elapsed - started
        experiment.events.write_epoch(
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


def take_step(experiment: experiments.Experiment, batch: Any) -> tuple[float, float]:
    """Takes one step. Returns the loss and the norm of its gradient.

    Raises:
        InputError: the batch does not fit into memory, a compiled step fails, or the loss is not finite.
    """
    settings, step = experiment.settings, experiment.progress.steps
    try:
        loss, norm = experiment.state.step(batch)
    except tf.errors.ResourceExhaustedError as error:
        raise config.InputError(
            f"--batch_size={settings.dataset.batch_size} does not fit into memory; halve it ({error.message[:80]} …)"
        ) from error
    except tf.errors.OpError as error:
        if not experiment.is_compiled:
            raise
        raise config.InputError(
            f"the step that XLA compiled failed ({error.message[:300]} …); train again with --nojit_compile --overwrite"
        ) from error
    if not math.isfinite(loss):
        raise config.InputError(
            f"the loss is {loss} at step {step + 1}; try a lower --learning_rate than "
            f"{settings.schedule.learning_rate:g}, --clip_norm=1, or --dtype_policy=float32; recordings of its batch: "
            f"{', '.join(experiment.recordings_of_batch())}"
        )
    return loss, norm


def stop(experiment: experiments.Experiment, number: int) -> None:
    """Ends the process, whose state is saved, as SIGINT or SIGTERM would."""
    experiment.events.close()
    logging.info("stopped after step %d; the same command goes on from there", experiment.progress.steps)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


def validate(experiment: experiments.Experiment) -> None:
    """Ends an epoch: validates the weights, keeps them if they are the best, and writes a snapshot if one is due."""
    state, progress, clock = experiment.state, experiment.progress, experiment.clock
    started, every = clock.elapsed, experiment.settings.snapshot_epochs
    with state.average.in_place() if state.average else contextlib.nullcontext():
        result = experiment.validate() if experiment.validate else None
        progress.validation_seconds = clock.elapsed - started
        progress.epochs += 1
        validated = experiment.first_validation
        if result:
            validated = experiments.ValidationSummary(metrics=result.metrics, pooling=result.pooling)
        is_best = not result or not progress.best_metrics or _rank(result.metrics) > _rank(progress.best_metrics)
        if result:
            _report(experiment, result, is_best=is_best)
        if is_best or experiment.settings.keep == "last":
            progress.best_metrics, progress.best_pooling = validated.metrics, validated.pooling
            progress.best_epoch, progress.best_weights = progress.epochs, weights.arrays(weights.by_name(state.network))
        if every and progress.epochs % every == 0 and experiment.is_chief:
            folder = os.path.join(experiment.settings.run_dir, "snapshots", f"epoch-{progress.epochs:04d}")
            run_directory.save(folder, experiment.describe(validated), state.network)


def _rank(metrics: Mapping[str, float]) -> tuple[float, float]:
    """Orders epochs: few validation recordings often have equal MLRAPs, and then the lower loss is better."""
    return mlrap(metrics), -metrics.get("loss", math.inf)


def mlrap(metrics: Mapping[str, float]) -> float:
    """NaN for a detector of one class, which ranks nothing."""
    return metrics.get("mlrap", math.nan)


def _report(experiment: experiments.Experiment, result: validation.ValidationResult, *, is_best: bool) -> None:
    """Writes the result of a validation to TensorBoard and to the log."""
    epoch, metrics = experiment.progress.epochs, result.metrics
    experiment.events.write_validation(epoch, result, experiment.manifest.classes, is_best=is_best)
    logging.info(
        "epoch %d: validation loss %.4f, MLRAP %.4f (foreground %.4f), top-1 %.4f%s",
        epoch, metrics["loss"], mlrap(metrics), metrics.get("mlrap_foreground", math.nan),
        metrics.get("top1", math.nan),
        " (best so far)" if is_best and experiment.settings.keep == "best" else "",
    )  # fmt: skip
