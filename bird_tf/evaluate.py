"""SavedModel(s) + labelled recordings, as records or as audio → metrics and the report."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging

from bird_tf import audio, config, files, frontend, layouts, metadata, metrics, pooling, predict, records, report


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Flags of an evaluation: either --records or --audio with --metadata."""

    model: tuple[str, ...] = config.option(
        (), "exported model, as runs/NAME/export; repeated: an ensemble", required=True
    )
    records: str = config.option("", "records directory whose validation recordings are scored")
    source: layouts.SourceConfig
    chunking: audio.ChunkingConfig
    pooling: str = config.option("", "chunk scores to recording scores; empty: as the model was chosen with")
    output: str = config.option("", "folder for the results; empty: evaluation/ beside the first model")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scored:
    """Pooled scores of labelled recordings, sorted by id.

    Attributes:
        recording_ids: [recordings].
        labels: [recordings] index of the foreground species.
        backgrounds: for each recording, indices of its background species.
        scores: [recordings, classes] in [0, 1].
        skipped: (recording, reason) of those left out.
    """

    recording_ids: list[str]
    labels: np.ndarray
    backgrounds: list[list[int]]
    scores: np.ndarray
    skipped: list[tuple[str, str]]


def score_records(ensemble: predict.Ensemble, directory: str, method: str) -> Scored:
    """Scores the validation recordings of a records directory.

    Raises:
        InputError: no validation chunk, another front-end than a model's, or classes that the models do not know.
    """
    manifest = records.load(directory)
    if not manifest.num_chunks("val"):
        raise config.InputError(f"{directory} has no validation chunk; evaluate with --audio and --metadata instead")
    for model in ensemble.models:
        if model.front_end != manifest.front_end:
            ours, theirs = config.to_mapping(model.front_end), config.to_mapping(manifest.front_end)
            names = ", ".join(f"{k} {ours[k]} / {theirs[k]}" for k in ours if ours[k] != theirs[k])
            raise config.InputError(f"{model.path} and {directory} have different front-ends: {names}")
    known = set(ensemble.classes.class_ids)
    unknown = [class_id for class_id in manifest.classes.class_ids if class_id not in known]
    if unknown:
        raise config.InputError(f"{directory} has classes that the model does not know: {', '.join(unknown[:5])}")
    to_model = np.array([ensemble.classes.index(class_id) for class_id in manifest.classes.class_ids])

    scores, ids = [], []
    about: dict[str, tuple[int, list[int]]] = {}
    with config.progress(manifest.num_chunks("val"), "chunk", "evaluating") as progress:
        for batch in records.read(manifest, "val", predict.BATCH_SIZE):
            scores.append(ensemble.see(frontend.dequantise(batch["spectrogram"]).numpy()))
            batch_ids = [i.decode() for i in batch["recording_id"].numpy()]
            ids += batch_ids
            for recording_id, label, background in zip(
                batch_ids, batch["label"].numpy(), batch["background"].numpy(), strict=True
            ):
                about[recording_id] = (int(to_model[label]), [int(to_model[b]) for b in background if b >= 0])
            progress.update(len(batch_ids))
    recording_ids, pooled = pooling.by_recording(ids, np.concatenate(scores), method)
    return Scored(
        recording_ids=recording_ids,
        labels=np.array([about[i][0] for i in recording_ids]),
        backgrounds=[about[i][1] for i in recording_ids],
        scores=pooled,
        skipped=[],
    )


def score_audio(
    ensemble: predict.Ensemble, recordings: Sequence[metadata.Recording], chunking: audio.ChunkingConfig, method: str
) -> Scored:
    """Scores labelled recordings.

    Raises:
        InputError: not one that can be read and has a label that the models know.
    """
    known = set(ensemble.classes.class_ids)
    skipped = [(r.path, f"{r.label} is no class of the model") for r in recordings if r.label not in known]
    by_id = {r.recording_id: r for r in recordings if r.label in known}
    pooled: dict[str, np.ndarray] = {}
    wanted = [(i, r.path) for i, r in sorted(by_id.items())]
    for recording_id, path, scores, reason in predict.score_all(ensemble, wanted, chunking):
        if scores is None:
            skipped.append((path, reason))
        else:
            pooled[recording_id] = pooling.pool(scores.probabilities, method)
    if not pooled:
        raise config.InputError(f"none of {len(recordings)} recordings can be scored; the first: {skipped[0][1]}")
    return Scored(
        recording_ids=list(pooled),
        labels=np.array([ensemble.classes.index(by_id[i].label) for i in pooled]),
        backgrounds=[ensemble.classes.resolve(by_id[i].background) for i in pooled],
        scores=np.stack(list(pooled.values())),
        skipped=skipped,
    )


def evaluate(settings: EvaluateConfig) -> dict[str, Any]:
    """Scores the recordings and writes summary.json, recordings.csv, species.csv, skipped.csv and report.html.

    Returns:
        What summary.json holds: `metrics.headline`, chance_mlrap, num_skipped, and what was evaluated.

    Raises:
        InputError: both or neither of --records and --audio, or what the scoring raises.
    """
    if bool(settings.records) == bool(settings.source.audio):
        raise config.InputError("give either --records=DIR or --audio=DIR with --metadata=DIR")
    ensemble = predict.Ensemble(settings.model)
    method = settings.pooling or ensemble.pooling
    if settings.records:
        scored = score_records(ensemble, settings.records, method)
    else:
        recordings, unmatched = layouts.read(settings.source)
        scored = score_audio(ensemble, recordings, settings.chunking, method)
        scored.skipped.extend(unmatched)
    truth = metrics.truth(scored.labels, scored.backgrounds, len(ensemble.classes))
    headline = metrics.headline(scored.scores, truth, scored.labels)
    results = report.Results(
        title=f"{' + '.join(settings.model)} on {settings.records or settings.source.audio}",
        headline=headline,
        classes=ensemble.classes,
        recording_ids=scored.recording_ids,
        labels=scored.labels,
        truth=truth,
        scores=scored.scores,
    )
    output = settings.output or os.path.join(os.path.dirname(settings.model[0].rstrip("/")), "evaluation")
    _write_tables(output, results, scored.skipped)
    report.write(os.path.join(output, "report.html"), results)
    undefined = {name: None for name, value in headline.items() if value != value}
    summary = {
        **headline, **undefined, "chance_mlrap": metrics.chance_mlrap(truth), "num_skipped": len(scored.skipped),
        "models": list(settings.model), "evaluated": settings.records or settings.source.audio, "pooling": method,
        "output": output,
    }  # fmt: skip
    files.write_json(os.path.join(output, "summary.json"), summary)
    return summary


def _write_tables(output: str, results: report.Results, skipped: Sequence[tuple[str, str]]) -> None:
    ids, best = results.classes.class_ids, np.argmax(results.scores, axis=1)
    rows = [
        (recording, ids[label], ids[b], f"{s[b]:.6f}", f"{metrics.average_precision(s, t):.6f}")
        for recording, label, b, s, t in zip(
            results.recording_ids, results.labels, best, results.scores, results.truth, strict=True
        )
    ]
    columns = ("recording_id", "label", "best", "best_probability", "average_precision")
    files.write_table(os.path.join(output, "recordings.csv"), columns, rows)
    species = [dataclasses.astuple(entry) for entry in report.per_species(results)]
    names = [field.name for field in dataclasses.fields(report.Species)]
    files.write_table(os.path.join(output, "species.csv"), names, species)
    files.write_table(os.path.join(output, "skipped.csv"), ("file", "reason"), skipped)


def main(settings: EvaluateConfig) -> None:
    """Evaluates, and says in one line what came of it."""
    summary = evaluate(settings)
    logging.info(
        "MLRAP %.4f (chance %.4f), foreground %.4f, top-1 %.4f on %d recordings, %d skipped; %s",
        summary["mlrap"], summary["chance_mlrap"], summary["mlrap_foreground"], summary["top1"],
        summary["num_recordings"], summary["num_skipped"], os.path.join(summary["output"], "report.html"),
    )  # fmt: skip


def run() -> None:
    """Entry point of `bird-tf-evaluate`."""
    config.run(main, EvaluateConfig)


if __name__ == "__main__":
    run()
