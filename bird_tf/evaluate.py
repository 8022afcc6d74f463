"""Judges exported models on labelled recordings, as records or as audio: metrics, thresholds and a report."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any

from bird_tf import command_line, config, executor, files, locks, next_steps, python_calls, skips
from bird_tf.audio import decode
from bird_tf.evaluation import (
    judged,
    mixture_tuning,
    mixtures,
    recording_tuning,
    recordings,
    report,
    soundscapes,
    stored_decisions,
    summary_lines,
)
from bird_tf.inference import ensembles, model_files, occurrence, provenance, result_files
from bird_tf.labels import class_names, clock
from bird_tf.labels.layouts import reader
from bird_tf.records import manifests

# names of result files by what is judged: recordings, segments or verdicts; and what --tune adds
_FILES = ("recordings.csv", "species.csv", skips.TABLE, report.PAGE, files.SUMMARY)
_SEGMENT_FILES = (skips.TABLE, soundscapes.SUMMARY)
_VERDICT_FILES = ("verdict_bands.csv", "verdict_species.csv", judged.SUMMARY)
_MIXTURE_FILES = tuple(f"mixtures/{name}" for name in _SEGMENT_FILES)
_TUNED = (stored_decisions.path(""),)


# flags of how chunks are cut, of times, and of labels, which not all that is judged needs
_CHUNKING = {field.name for field, _ in config.leaves(decode.SegmentChunkingConfig)}
_CLOCK = {field.name for field, _ in config.leaves(clock.ClockConfig)}
_LABELS = {field.name for field, _ in config.leaves(reader.SourceConfig)} - {"audio", "metadata", *_CLOCK}
# those that say what the words in --segments mean
_OF_SEGMENTS = {"columns", "min_confidence", *(field.name for field, _ in config.leaves(class_names.NameConfig))}
# those that decide what verdicts say
_OF_VERDICTS = {"model", "verdicts", "tune", "precision", "decisions", "output"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Flags of an evaluation: --records, or --audio with --metadata, or --audio with --segments, or --verdicts."""

    model: tuple[str, ...] = config.option(
        (), "exported model, as runs/NAME/export; repeat the flag for an ensemble", required=True
    )
    records: str = config.option("", "records directory; its validation recordings are scored")
    source: reader.SourceConfig
    segments: str = config.option(
        "",
        "calls in the soundscapes of --audio, which are scored by segment: a CSV (media_id, class_id, start_seconds, "
        "end_seconds), or annotations of other programs, as a file or a folder",
    )
    verdicts: str = config.option(
        "",
        "verdicts.csv of bird_tf.review on predictions of this model: precision and recall by band of probabilities; "
        "with --tune, thresholds of chunks are fitted to them",
    )
    chunking: decode.SegmentChunkingConfig
    place: executor.PlaceConfig
    tuning: recording_tuning.TuningConfig
    tune_on_mixtures: bool = config.option(
        False,
        "with --tune --records: choose what the chunks around a chunk say of it, too, on mixtures of the validation "
        "recordings (in --audio, or where they were converted from) and of noise (--noise_audio, or synthesised)",
    )
    noise_audio: str = config.option(
        "", "folder with recordings without birds: false alarms an hour; with --tune, the thresholds are above them"
    )
    decisions: str = config.option(
        "", "calibration, thresholds, weights by bird_tf.evaluate --tune; empty: a single model's own; none: raw scores"
    )
    occurrence_settings: occurrence.OccurrenceConfig
    worst: int = config.option(12, "number of recordings in the report: those with the lowest average precision")
    output: str = config.option("", "folder for the results; empty: evaluation/ beside the first model")

    def __post_init__(self) -> None:
        if self.worst < 0:
            raise config.InputError(f"--worst={self.worst}: must be 0 (none) or more")
        if self.segments and not self.source.audio:
            raise config.InputError("--segments needs --audio=DIR, the folder with the soundscapes")
        if self.decisions == "none" and self.tuning.tune and (self.segments or self.verdicts):
            raise config.InputError(
                "--decisions=none with --tune and --segments or --verdicts: that would replace the model's calibration "
                "by none; leave it out"
            )
        mode, idle = self._idle()
        if not self.worst:  # who asks for none gets none
            idle.discard("worst")
        config.refuse_without_effect(
            {
                "--pooling=auto with --segments": self.segments and self.tuning.pooling == "auto",
                "--threads, --workers or --scheduler without --audio or --noise_audio": self.place
                != executor.PlaceConfig()
                and not (self.source.audio or self.noise_audio or self.tune_on_mixtures),
                "--tune_on_mixtures without --tune --records": self.tune_on_mixtures
                and not (self.tuning.tune and self.records and not self.segments),
                "--precision without --tune": self.tuning.precision != recording_tuning.TuningConfig.precision
                and not self.tuning.tune,
                "--synthetic_noise without --tune": self.tuning.synthetic_noise
                != recording_tuning.TuningConfig.synthetic_noise
                and not self.tuning.tune,
                **{f"--{name} with {mode}": name in idle for name in config.given(self)},
            }
        )

    def _idle(self) -> tuple[str, set[str]]:
        """By what is judged, as a flag, and the flags that decide nothing beside it."""
        if self.verdicts:
            return "--verdicts", {field.name for field, _ in config.leaves(EvaluateConfig)} - _OF_VERDICTS
        if self.segments:
            return "--segments", {"records", "noise_audio", "worst", *(_LABELS - _OF_SEGMENTS)}
        cuts = self.noise_audio or self.tune_on_mixtures
        return "--records", {"metadata", *_LABELS, *_CLOCK, *(() if cuts else _CHUNKING)} if self.records else set()

    @property
    def output_folder(self) -> str:
        """The folder for the results."""
        return self.output or os.path.join(os.path.dirname(self.model[0].rstrip("/")), "evaluation")


def evaluate(settings: EvaluateConfig) -> dict[str, Any]:
    """Evaluates by recordings, with --segments by segments of soundscapes, or with --verdicts by a person's verdicts.

    Returns:
        The content of the summary.

    Raises:
        InputError: both or neither of --records and --audio; as `recordings.evaluate`, `soundscapes.evaluate`,
            `mixture_tuning.tune`, `judged.read` and `judged.refit`; or another command is at work in the output or,
            with --tune, in the run of the model.
    """
    if settings.verdicts:
        with _locked(settings, settings.model):
            return _evaluate_verdicts(settings)
    if settings.segments:
        with _locked(settings, settings.model):
            settings.place.prepare()
            return soundscapes.evaluate(_soundscapes(settings), ensembles.Ensemble(settings.model, settings.decisions))
    if settings.records and settings.source.audio and not settings.tune_on_mixtures:
        raise config.InputError(
            "--records and --audio: give one; judged are the validation recordings of --records, or all of --audio"
        )
    if not settings.records and not settings.source.audio:
        raise config.InputError(
            "nothing to judge: give --records=tfrecords/NAME, or --audio=FOLDER with labelled recordings (labels by "
            "--metadata or --segments if they lie elsewhere), or --verdicts=FILE"
        )
    manifest = manifests.load(settings.records) if settings.records else None
    paths = [recordings.before_refit(path, manifest) for path in settings.model]
    if manifest and settings.tune_on_mixtures:
        mixtures.check_audio(manifest, settings.source.audio)
    with _locked(settings, paths):
        settings.place.prepare()
        summary = recordings.evaluate(_recordings(settings, manifest), ensembles.Ensemble(paths, settings.decisions))
        if manifest and settings.tune_on_mixtures:
            _tune_on_mixtures(settings, manifest, summary)
    return summary


@contextlib.contextmanager
def _locked(settings: EvaluateConfig, paths: Sequence[str]) -> Iterator[None]:
    """Keeps other commands out of the output and out of the models that --tune changes."""
    output = settings.output_folder
    with contextlib.ExitStack() as stack:
        stack.enter_context(locks.held(output, work="evaluation", flag="--output"))
        for folder in _changed_folders(settings, paths):
            stack.enter_context(locks.held(folder, work="evaluation", flag="--model"))
        results = result_files.ResultFiles(output, "evaluation", others_stay=True)
        stack.enter_context(results.writing(_written(settings)))
        yield


def _written(settings: EvaluateConfig) -> list[str]:
    """The names of the files that an evaluation writes into its output."""
    judged_by = _VERDICT_FILES if settings.verdicts else _SEGMENT_FILES if settings.segments else _FILES
    mixed = _MIXTURE_FILES if settings.tune_on_mixtures else ()
    return [*judged_by, *mixed, *(_TUNED if settings.tuning.tune else ())]


def _changed_folders(settings: EvaluateConfig, paths: Sequence[str]) -> dict[str, None]:
    """The folders of the models in which --tune stores its results, each once."""
    if not settings.tuning.tune or len(settings.model) > 1:
        return {}
    folders = dict.fromkeys(map(model_files.folder_to_lock, (*paths, *settings.model)))
    folders.pop(os.path.realpath(settings.output_folder), None)  # it is locked already
    return folders


def _recordings(settings: EvaluateConfig, manifest: manifests.Manifest | None) -> recordings.RecordingsConfig:
    return recordings.RecordingsConfig(
        models=settings.model,
        manifest=manifest,
        source=settings.source,
        output=settings.output_folder,
        chunking=settings.chunking.for_recordings(),
        place=settings.place,
        tuning=settings.tuning,
        tunes_context=settings.tune_on_mixtures,
        noise_audio=settings.noise_audio,
        occurrence_settings=settings.occurrence_settings,
        worst=settings.worst,
        made_by=provenance.of_command(settings),
    )


def _soundscapes(settings: EvaluateConfig) -> soundscapes.SoundscapeConfig:
    return soundscapes.SoundscapeConfig(
        source=settings.source,
        calls=settings.segments,
        output=settings.output_folder,
        chunking=settings.chunking,
        place=settings.place,
        tuning=settings.tuning,
        occurrence_settings=settings.occurrence_settings,
        made_by=provenance.of_command(settings),
    )


def _tune_on_mixtures(settings: EvaluateConfig, manifest: manifests.Manifest, summary: dict[str, Any]) -> None:
    """Tunes answers over time; what that gives becomes `mixtures` in the summary of the recordings."""
    output = settings.output_folder
    given = dataclasses.replace(
        _soundscapes(settings), tuning=dataclasses.replace(settings.tuning, pooling=""),
        occurrence_settings=occurrence.OccurrenceConfig(), kept_in=output, kept_by=settings.model,
    )  # fmt: skip
    ensemble = ensembles.Ensemble(summary["models"], stored_decisions.path(output))
    summary["mixtures"] = mixture_tuning.tune(given, ensemble, manifest, settings.source.audio, settings.noise_audio)
    files.write_json(os.path.join(output, files.SUMMARY), {**summary, "mixtures": files.defined(summary["mixtures"])})


def _evaluate_verdicts(settings: EvaluateConfig) -> dict[str, Any]:
    output, tunes = settings.output_folder, settings.tuning.tune
    ensemble = ensembles.Ensemble(settings.model, settings.decisions)
    found, before = judged.read(settings.verdicts, ensemble.classes), ensemble.decisions
    judged.check_scale(found, ensemble.scale, settings.verdicts, tunes=tunes)
    if tunes:
        ensemble.decisions = judged.refit(before, found, settings.tuning.precision, settings.verdicts)
    made_by = {**provenance.of_command(settings), **provenance.of_models(ensemble)}
    summary = judged.write(output, settings.verdicts, found, ensemble.classes, before, ensemble.decisions, made_by)
    if tunes:
        stored_decisions.store(ensemble, output, settings.model, "verdicts")
    return summary


def main(settings: EvaluateConfig) -> None:
    """Evaluates, and logs one line with the result and what to do next."""
    summary = evaluate(settings)
    if settings.verdicts:
        judged.log(summary)
        return
    if settings.segments:
        summary_lines.of_segments(summary)
        next_steps.log(f"open {os.path.join(settings.output_folder, soundscapes.SUMMARY)}")
        return
    summary_lines.of_recordings(summary)
    if settings.tune_on_mixtures:
        summary_lines.of_segments(summary["mixtures"])
    several = settings.tuning.tune and len(settings.model) > 1  # an ensemble's decisions are in no model
    decided = [stored_decisions.path(summary["output"])] * several
    follows = next_steps.predict(settings.model, decisions=decided)
    next_steps.log(f"open {os.path.join(summary['output'], report.PAGE)} in a browser", follows)


def run() -> None:
    """Entry point of `bird-tf-evaluate`."""
    command_line.run(main, EvaluateConfig)


python_calls.make_callable(__name__, evaluate, EvaluateConfig)


if __name__ == "__main__":
    run()
