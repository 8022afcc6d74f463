"""Writes the verdicts that a person would give, taken from known labels: what would a review of so many clips bring?

python tools/simulate_review.py --predictions=DIR --audio=DIR --metadata=DIR_OR_CSV --output=verdicts.csv --num_clips=50

The clips are those that bird_tf.review would show with the same flags. A prediction is right if the labels name its
species, at that time if they have times, else anywhere in the recording; else the answer is the labelled species.
"""

from __future__ import annotations

import dataclasses
import math

from absl import logging

from bird_tf import command_line, config, csv_files, files, locks
from bird_tf.inference import result_files
from bird_tf.labels import metadata, spans, taxonomy, verdicts
from bird_tf.labels.layouts import reader
from bird_tf.reviewing import clips, prediction_folder


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulateConfig:
    """Flags of the simulation."""

    predictions: str = config.option("", "folder that bird_tf.predict --format=csv wrote", required=True)
    source: reader.SourceConfig
    output: str = config.option("", "table of verdicts to write, as verdicts.csv", required=True)
    choice: clips.ChoiceConfig
    annotated: spans.AnnotationConfig


def simulate(settings: SimulateConfig) -> list[verdicts.Verdict]:
    """Answers the clips that a review would show, and writes verdicts.csv.

    Raises:
        InputError: as `reader.read`, `prediction_folder.detections` and `clips.choose`; no prediction is on a labelled
            recording; or another command writes this table.
    """
    with locks.held_file(settings.output, work="simulated review"):
        return _simulate(settings)


def _simulate(settings: SimulateConfig) -> list[verdicts.Verdict]:
    labelled = {files.name_below(settings.source.audio, r.path): r for r in reader.read(settings.source)[0]}
    predicted = [clip for clip in prediction_folder.detections(settings.predictions) if clip.file in labelled]
    if not predicted:
        raise config.InputError(
            f"{settings.predictions}: no prediction is on a labelled recording below {settings.source.audio}"
        )
    choice = clips.choose(predicted, (), settings.choice)
    turns = choice.turns(choice.clips) if choice.sizes else [(0, 0)] * len(choice.clips)
    given = [
        dataclasses.replace(
            verdict(clip, labelled[clip.file], choice, settings.annotated), band_turn=of_all, class_turn=of_class
        )
        for clip, (of_all, of_class) in zip(choice.clips, turns, strict=True)
    ]
    scale = prediction_folder.summary(settings.predictions).scale
    rows = [
        (v.file, v.start_seconds, v.end_seconds, v.class_id, v.answer, v.species, v.probability,
         v.band_lowest if v.band_size else "", v.band_size or "", scale,
         v.band_turn or "", verdicts.sizes_cell(v.band_sizes), v.class_turn or "", verdicts.sizes_cell(v.class_sizes))
        for v in given
    ]  # fmt: skip
    with result_files.writing_beside("simulated review", settings.output):
        csv_files.write(settings.output, (*verdicts.COLUMNS, *verdicts.FURTHER_COLUMNS, *verdicts.LATER_COLUMNS), rows)
    return given


def verdict(
    clip: clips.Clip, recording: metadata.Recording, choice: clips.Choice, annotated: spans.AnnotationConfig
) -> verdicts.Verdict:
    """What a person who knows the labels of a recording says of a clip of it."""
    label, others = recording.label, recording.background
    if recording.annotations:
        found = spans.labels_in_span(recording.annotations, clip.start_seconds, clip.end_seconds, annotated)
        label, others = found.label, found.background
    names, told = dict(recording.names), (label, *others)
    predicted = taxonomy.Taxonomy((clip.class_id,), (clip.name,))
    answer = verdicts.OTHER if label else verdicts.NO
    if predicted.resolve([*told, *(names.get(name, name) for name in told)]):
        answer = verdicts.YES
    band = choice.band(clip)
    of_class = choice.sizes.get(clip.class_id, [])
    of_all = [sum(of_band) for of_band in zip(*choice.sizes.values(), strict=True)]
    size = of_all[band] if of_all else 0
    return verdicts.Verdict(
        file=clip.file, start_seconds=clip.start_seconds, end_seconds=clip.end_seconds, class_id=clip.class_id,
        answer=answer, species=label if answer == verdicts.OTHER else "", probability=clip.score,
        band_lowest=choice.edges[band] if size else math.nan, band_size=size,
        band_sizes=tuple(zip(choice.edges, of_all, strict=False)),
        class_sizes=tuple(zip(choice.edges, of_class, strict=False)),
    )  # fmt: skip


def main(settings: SimulateConfig) -> None:
    """Answers, and logs one line of summary."""
    given = simulate(settings)
    num_right = sum(bool(v.is_present) for v in given)
    logging.info("%s: %d verdicts, %d say that the prediction is right", settings.output, len(given), num_right)


if __name__ == "__main__":
    command_line.run(main, SimulateConfig)
