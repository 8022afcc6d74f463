"""Trains a network on records, and exports it.

In the order of events: data, network, epochs (`training.epochs`), best weights, export.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable
from typing import Any

from absl import logging

from bird_tf import command_line, config, files, locks, next_steps, python_calls, resume, tf
from bird_tf.backbones import sources
from bird_tf.inference import leaks, model_files
from bird_tf.input import streams
from bird_tf.records import manifests, recordings_table, schema, verify
from bird_tf.training import (
    checkpoints,
    distillation,
    distribution,
    dry_run,
    epochs,
    experiments,
    exporter,
    head_strength,
    kept_classes,
    known_sound,
    pretrained,
    recipes,
    run_directory,
    training_flags,
    weights,
)

# the flags of the command
TrainConfig = training_flags.TrainConfig


def train(settings: TrainConfig) -> dict[str, Any]:
    """Runs one experiment, or the rest of an interrupted one, and writes model, metrics and logs to `run_dir`.

    With `refit` there are two trainings: one in `run_dir`/validated, and then one in `run_dir` on all recordings.

    Returns:
        The content of summary.json.

    Raises:
        InputError: the records cannot be used, `run_dir` holds something else or another command is at work in it,
            options do not fit, or the loss is not finite.
        KeyboardInterrupt, SystemExit: after SIGINT or SIGTERM; the checkpoint is written.
    """
    strategy = _strategy(settings)
    manifest = _records(settings)
    if settings.tune_head:
        chosen = head_strength.choose(settings, manifests.load(settings.records))
        settings = dataclasses.replace(
            settings, tune_head=False, optimizer=dataclasses.replace(settings.optimizer, l2=chosen)
        )
    with contextlib.ExitStack() as stack:
        if distribution.is_chief(strategy):
            stack.enter_context(locks.held(settings.run_dir, work="training", flag="--run_dir"))
        # AutoGraph would rewrite what the input stream calls, which has no need of it, for seconds
        return tf.autograph.experimental.do_not_convert(_train)(settings, manifest, strategy)


def _strategy(settings: TrainConfig) -> tf.distribute.Strategy:
    """The devices, and how they compute."""
    distribution.check(settings.distribute)
    settings.schedule.warn_of_rise()
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    return distribution.strategy(settings.distribute, settings.dataset.batch_size)


def _records(settings: TrainConfig) -> manifests.Manifest:
    """The records, with the classes that an earlier run adds to theirs."""
    manifest = manifests.load(settings.records)
    _check_records(manifest, settings)
    return kept_classes.with_kept_classes(manifest, settings.pretrained, settings.loss.loss)


def _check_records(manifest: manifests.Manifest, settings: TrainConfig) -> None:
    check_fit(manifest, settings)
    if schema.SPECTROGRAM in settings.model.features:
        recipes.warn_of_other_records(settings.records_recipe, manifest)
    if not manifest.num_chunks("val") and (settings.keep == "best" or settings.pooling == "auto" or settings.refit):
        by = manifest.converter.get("group_by", "recording")
        another = "" if by == "recording" else f", and with another --group_by than {by}, as recording"
        raise config.InputError(
            f"{manifest.directory} has no validation chunk, and --keep=best, --pooling=auto and --refit need some: "
            f"convert with --val_share above 0 and at least two recordings of some species{another}; or train with "
            "--keep=last --norefit"
        )
    _warn_without_effect(manifest, settings)
    counts = zip(manifest.classes.class_ids, manifest.chunks_per_class["train"], strict=True)
    if absent := [class_id for class_id, count in counts if not count]:
        logging.warning(
            "%d classes have no training chunk and cannot be learnt: %s", len(absent), ", ".join(absent[:10])
        )


def _warn_without_effect(manifest: manifests.Manifest, settings: TrainConfig) -> None:
    """Tells of flags that take noise or a teacher where there is none, and of synthesised noise that no flag takes."""
    given = {
        "--no_call_share": settings.dataset.no_call_share,
        "--background_db": settings.augmentation.background_db,
        "--add_noise": settings.augmentation.add_noise,
    }
    taking, count = [flag for flag, is_given in given.items() if is_given], settings.dataset.synthetic_noise
    if taking and not streams.has_noise(manifest, settings.dataset):
        also = ", or train with --synthetic_noise=500" * (schema.SPECTROGRAM in settings.model.features)
        logging.warning(
            "%s has no noise chunk, so without effect: %s; convert with --noise_share above 0, or add recordings "
            "without the species%s", manifest.directory, ", ".join(taking), also,
        )  # fmt: skip
    teachers = settings.teachers
    has_teacher = bool(teachers.teacher or settings.pseudo.pseudo_labels)  # those of a self-training are of heads
    names = [f"--{name}" for name in ("teacher_weight", "distil_temperature")
             if getattr(teachers, name) != getattr(distillation.DistillationConfig, name)]  # fmt: skip
    if names and not has_teacher:
        logging.warning("%s has no effect without --teacher", ", ".join(names))
    if teachers.embedding_weight and not has_teacher:
        logging.warning(
            "no --teacher: of the backbone, only the embedding is learnt; a student needs --teacher=runs/HEAD/export"
        )
    if count and not taking:
        logging.warning("--synthetic_noise=%d has no effect without one of %s", count, ", ".join(given))


def check_fit(manifest: manifests.Manifest, settings: TrainConfig) -> None:
    """Checks that a network can learn from records, however they are split.

    Raises:
        InputError: they lack what the network needs, or one class is learnt in another way.
    """
    manifest.select(settings.model.features, f"--architecture={settings.model.architecture}")
    if settings.model.needs_backbone and manifest.backbone:  # it becomes a part of the exported model
        sources.from_description(manifest.backbone, f"--architecture={settings.model.architecture}")
    if len(manifest.classes) == 1:
        _check_detector(manifest, settings)


def _check_detector(manifest: manifests.Manifest, settings: TrainConfig) -> None:
    """One class against "none of them": the network must see sound without it, and a ranking says nothing."""
    if settings.loss.loss == "softmax" or not settings.dataset.no_call_share:
        raise config.InputError(
            f"{manifest.directory} has one class: a detector needs --loss=sigmoid and --no_call_share above 0"
        )
    if not streams.has_noise(manifest, settings.dataset):
        raise config.InputError(
            f"{manifest.directory} has one class and no noise chunk: convert with --noise_share above 0 and recordings "
            "without the species, or train with --synthetic_noise=500"
        )
    if settings.keep == "best":
        raise config.InputError("--keep=best: the metrics of one class need recordings without it; use --keep=last")


def _train(
    settings: TrainConfig,
    manifest: manifests.Manifest,
    strategy: tf.distribute.Strategy,
    begin_around: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """All that happens in one run directory, which stays as it is until all is built that the first step needs.

    Args:
        settings, manifest, strategy: flags, records and devices.
        begin_around: takes the run directory that this one lies in, if this is the first training of --refit.
    """
    claim = training_flags.claim(settings, manifest)
    goes_on = _goes_on(settings, claim)
    if not settings.overwrite and (summary := run_directory.finished(settings.run_dir)):
        logging.info("%s is finished; --overwrite trains it again", settings.run_dir)
        return summary

    def begin() -> None:
        if begin_around:
            begin_around()
        _begin(settings, claim, goes_on, strategy)

    first_validation = None
    if settings.refit:
        first_validation = _train_with_validation(settings, manifest, strategy, begin)
        manifest = manifest.with_all_for_training()

    replaces = not settings.refit and (settings.overwrite or not goes_on)
    experiment = experiments.Experiment(
        _without_leak(settings, manifest, is_first=begin_around is not None), manifest, strategy, first_validation,
        replaces=replaces,
    )  # fmt: skip
    logging.info(
        "%s, %d parameters; %d training chunks, %d validation recordings, %d classes; %d steps an epoch; on %s",
        settings.model.architecture, experiment.state.network.count_params(), manifest.num_chunks("train"),
        manifest.num_recordings["val"], len(manifest.classes), experiment.num_steps, distribution.devices(strategy),
    )  # fmt: skip
    with checkpoints.catching_signals() as signals:
        batches = verify.naming_damage(experiment.batches(), *experiment.sources)
        if not settings.refit:
            begin()
        while experiment.has_next_epoch():
            epochs.run(experiment, batches, signals)
            epochs.validate(experiment)
            experiment.save()
            if signals:
                epochs.stop(experiment, signals[0])
    experiment.events.close()
    if not experiment.progress.epochs:
        advice = "give the training more --max_minutes"
        if settings.refit:
            advice += f", or use the first training's {os.path.join(settings.run_dir, model_files.VALIDATED, 'export')}"
        raise config.InputError(
            f"{settings.run_dir}: the time was over after {experiment.clock.elapsed:.0f} s, before the first step; "
            f"{advice}"
        )
    return _finish(experiment)


def _without_leak(settings: TrainConfig, manifest: manifests.Manifest, *, is_first: bool) -> TrainConfig:
    """The settings with first weights that do not know the validation recordings, if there are such weights.

    The first training of --refit has such teachers too: those that know more teach the second one. A training alone
    learns from the best that it is given, and a warning tells of it.
    """
    if not manifest.num_chunks("val"):
        return settings
    judged = recordings_table.validation(manifest)
    rate = manifest.front_end.sample_rate_hz
    paths = settings.teachers.teacher
    if is_first:
        paths = tuple(leaks.teacher(path, judged, rate) for path in paths)
    leaks.Leaks(paths, rate).among(judged).log()
    return dataclasses.replace(
        settings,
        pretrained=pretrained.without_leak(settings.pretrained, judged, rate),
        teachers=dataclasses.replace(settings.teachers, teacher=paths),
    )


def _goes_on(settings: TrainConfig, claim: resume.Claim) -> bool:
    """Whether this training is in the run directory, finished or not. Raises InputError if another one is."""
    flagfile = os.path.join(settings.run_dir, run_directory.FLAGS)
    if not settings.overwrite and files.exists(flagfile) and not claim.has_plan:
        raise config.InputError(
            f"{settings.run_dir} is a run of an earlier version of bird_tf. It can be exported and used, but its "
            "training cannot go on; name another --run_dir, or train it again with --overwrite"
        )
    return claim.goes_on()


def _begin(settings: TrainConfig, claim: resume.Claim, goes_on: bool, strategy: tf.distribute.Strategy) -> None:
    """Takes the run directory for this training. The chief writes after all workers have checked it."""
    distribution.wait_for_all(strategy)
    if distribution.is_chief(strategy):
        claim.start(goes_on)
        training_flags.write_flags(settings)
    distribution.wait_for_all(strategy)


def _train_with_validation(
    settings: TrainConfig, manifest: manifests.Manifest, strategy: tf.distribute.Strategy, begin: Callable[[], None]
) -> experiments.ValidationSummary:
    """The first training of --refit, which does not train on the validation recordings."""
    run_dir = os.path.join(settings.run_dir, model_files.VALIDATED)
    first = dataclasses.replace(training_flags.one_training(settings), run_dir=run_dir)
    _train(first, manifest, strategy, begin)
    run = run_directory.load_description(first.run_dir)
    logging.info("%s: MLRAP %.4f; the second training uses all recordings", first.run_dir, epochs.mlrap(run.metrics))
    return experiments.ValidationSummary(metrics=dict(run.metrics), pooling=run.pooling)


def _finish(experiment: experiments.Experiment) -> dict[str, Any]:
    """Writes the best weights, the exported model and, last, summary.json."""
    progress, run_dir, network = experiment.progress, experiment.settings.run_dir, experiment.state.network
    first = run_directory.finished(os.path.join(run_dir, model_files.VALIDATED)) if experiment.settings.refit else None
    seconds_before = (first or {}).get("wall_seconds", 0.0)
    if first and 2 * first["epochs"] < progress.epochs:
        logging.warning(
            "%s: the first training, on which metrics and thresholds rest, had time for %d epochs, and the second one "
            "for %d: give them more --max_minutes", run_dir, first["epochs"], progress.epochs,
        )  # fmt: skip
    summary = {
        **progress.best_metrics, "best_epoch": progress.best_epoch, "pooling": progress.best_pooling,
        "epochs": progress.epochs, "steps": progress.steps,
        "export": os.path.join(run_dir, exporter.EXPORT), "num_parameters": network.count_params(),
        "wall_seconds": round(seconds_before + experiment.clock.elapsed, 1),
    }  # fmt: skip
    weights.assign(weights.by_name(network), progress.best_weights, os.path.join(run_dir, checkpoints.CHECKPOINT))
    if experiment.is_chief:
        validated = experiments.ValidationSummary(metrics=progress.best_metrics, pooling=progress.best_pooling)
        known = known_sound.fit(experiment.manifest, experiment.settings.model.features)
        described = dataclasses.replace(experiment.describe(validated), known_sound=known)
        run_directory.save(run_dir, described, network)
        exporter.export(run_dir)
        summary["wall_seconds"] = round(seconds_before + experiment.clock.elapsed, 1)
        files.synchronise(run_dir)
        files.write_json(os.path.join(run_dir, files.SUMMARY), summary, durable=True)
    distribution.wait_for_all(experiment.strategy)
    return summary


def estimate(settings: TrainConfig) -> dry_run.DryRun:
    """Logs how much memory and time `train` would need. Nothing is written.

    Raises:
        InputError: as `train`.
    """
    strategy = _strategy(settings)
    manifest = _records(settings)
    found = dry_run.estimate(settings, manifest, strategy, epochs.take_step)
    logging.info("\n".join(found.lines()))
    return found


def main(settings: TrainConfig) -> None:
    """Trains, and logs the result in one line and what to do next; after a dry run, the estimate."""
    if settings.dry_run:
        estimate(settings)
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
    model = summary["export"]
    evaluate = next_steps.command("evaluate", model=model, records=settings.records, tune=True)
    next_steps.log(
        *([evaluate] if "mlrap" in summary else []),  # else nothing is there to judge it on
        next_steps.predict([model]),
        f"tensorboard --logdir={settings.run_dir}",
    )


def run() -> None:
    """Entry point of `bird-tf-train`."""
    command_line.run(main, TrainConfig)


def _train_or_estimate(settings: TrainConfig) -> dict[str, Any]:
    """As the command. Returns the content of summary.json; of a dry run, the estimate."""
    return dataclasses.asdict(estimate(settings)) if settings.dry_run else train(settings)


python_calls.make_callable(__name__, _train_or_estimate, TrainConfig)


if __name__ == "__main__":
    run()
