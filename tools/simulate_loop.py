"""What verdicts bring: trains a start model, lets known labels judge clips, trains again with them, on several folds.

python tools/simulate_loop.py --flagfile=configs/head.flags --records=tfrecords/NAME --run_dir=runs/NAME-loop
    --folds=3 --known=2 --num_clips=50,100,200

In each fold, the start model learns from --known recordings of each species. The other training recordings are taken
for unlabelled: the model predicts over them without overlap, and their labels answer the clips that bird_tf.review
would show. Every model is judged on the recordings of the fold. After an interruption the same command continues.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import bird_tf.train as training
from bird_tf import command_line, config, csv_files, files, keras
from bird_tf.conversion import folds
from bird_tf.inference import ensembles, labelled
from bird_tf.labels import metadata, spans, split, verdicts
from bird_tf.records import manifests, recordings_table, schema, shard_files
from bird_tf.reviewing import clips
from bird_tf.scores import metrics
from bird_tf.training import exporter, training_flags
from tools import cross_validate, loop_records, simulate_review

BANDS = "bands"
METRICS = ("mlrap", "top1", "cmap")
_IN_NOISE = "_in_noise"
COLUMNS = (
    "fold", "seed", "choice", "clips", "right", "recordings", "species", *METRICS,
    *(name + _IN_NOISE for name in METRICS),
)  # fmt: skip
_START, _POOL, _TEST = "start-records", "pool-records", "test-records"
_TABLE = "loop.csv"
_WITHOUT_EFFECT = cross_validate.WITHOUT_EFFECT | {"choice", "num_clips"}
_LEAST_PROBABILITY = 0.1
_ANNOTATED = spans.AnnotationConfig()


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoopConfig(cross_validate.CrossValidateConfig):
    """The flags of a cross-validation, and those of the reviews."""

    known: int = config.option(2, "recordings of each species that the start model learns from")
    num_clips: tuple[int, ...] = config.option((50, 100, 200), "numbers of clips that are judged")
    choice: tuple[str, ...] = config.option(
        (clips.RANDOM, clips.MOST_DOUBTFUL, clips.DOUBTFUL, BANDS),
        f"which clips; may be repeated: an order of bird_tf.review ({', '.join(clips.ORDERS)}), or {BANDS} (--sample)",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if unknown := {*self.choice} - {*clips.ORDERS, BANDS}:
            raise config.InputError(f"--choice={min(unknown)}: need {', '.join((*clips.ORDERS, BANDS))}")
        if self.known < 1 or min(self.num_clips, default=0) < 1:
            raise config.InputError(f"--known={self.known}, --num_clips={self.num_clips}: need numbers above 0")
        config.refuse_without_effect(
            {"--baseline": self.baseline, "--recordings_per_class (here it is --known)": self.recordings_per_class}
        )


def predict(model: str, pool: manifests.Manifest) -> tuple[list[clips.Clip], dict[str, metadata.Recording]]:
    """The predictions of chunks that do not overlap, and the recordings by id, annotated with the labels of chunks."""
    ensemble = ensembles.Ensemble([model])
    scored = labelled.score_records(ensemble, pool)
    classes, seconds = ensemble.classes, pool.front_end.chunk_seconds
    annotations = _annotations(pool)
    found, recordings = [], {}
    for i, (recording_id, chunks) in enumerate(zip(scored.recording_ids, scored.probabilities(ensemble), strict=True)):
        background = tuple(classes.class_ids[index] for index in scored.backgrounds[i])
        label = classes.class_ids[scored.labels[i]]
        recordings[recording_id] = dataclasses.replace(
            scored.recordings[i], label=label, background=background, annotations=tuple(annotations[recording_id])
        )
        probabilities = ensemble.decisions.answers.probabilities(chunks)
        end = 0.0
        for start, row in zip(scored.start_seconds[i].tolist(), probabilities, strict=True):
            if start < end - 1e-3:
                continue
            end = start + seconds
            found += [
                clips.Clip(
                    file=recording_id, start_seconds=start, end_seconds=end, class_id=classes.class_ids[index],
                    name=classes.names[index], score=float(row[index]),
                )
                for index in np.flatnonzero(row >= _LEAST_PROBABILITY)
            ]  # fmt: skip
    return found, recordings


def _annotations(pool: manifests.Manifest) -> dict[str, list[metadata.Annotation]]:
    """{recording id: what the labels say of the middle of each chunk}, where no other chunk of `predict` is."""
    found: dict[str, list[metadata.Annotation]] = collections.defaultdict(list)
    class_ids, margin = pool.classes.class_ids, pool.front_end.chunk_seconds / 4
    names = ("recording_id", "start_seconds", "label", "background")
    for batch in shard_files.read(pool, "val", 256, ()):
        for recording_id, start, label, background in zip(*(batch[name].numpy() for name in names), strict=True):
            found[recording_id.decode()].append(metadata.Annotation(
                start_seconds=float(start) + margin, end_seconds=float(start) + 3 * margin, label=class_ids[label],
                background=tuple(class_ids[index] for index in background if index >= 0),
            ))  # fmt: skip
    return found


def judge(
    predicted: Sequence[clips.Clip], recordings: Mapping[str, metadata.Recording], choice: str, number: int, seed: int
) -> list[verdicts.Verdict]:
    """The verdicts on the first clips of a review."""
    order = clips.ChoiceConfig().order if choice == BANDS else choice
    asked = clips.ChoiceConfig(num_clips=number, order=order, sample=choice == BANDS, seed=seed)
    chosen = clips.choose(predicted, (), asked)
    return [simulate_review.verdict(clip, recordings[clip.file], chosen, _ANNOTATED) for clip in chosen.clips]


def _turn(settings: LoopConfig, run_dir: str, records: str, tests: Mapping[str, str], seed: int) -> dict[str, float]:
    """Trains and evaluates, unless that is done. Returns the metrics.

    Args:
        settings: of the training.
        run_dir: of this training.
        records: what it learns from.
        tests: {ending of the metrics' names: records whose validation recordings are judged}.
        seed: of the training.
    """
    export = os.path.join(run_dir, exporter.EXPORT)
    if not files.exists(export):
        training.train(
            training_flags.within(
                training_flags.one_training(settings), records=records, run_dir=run_dir, seed=seed, overwrite=False
            )
        )
        keras.backend.clear_session()  # graphs of this training would stay in memory
    found: dict[str, float] = {}
    ensemble = ensembles.Ensemble([export])
    for ending, test in tests.items():
        scored = labelled.score_records(ensemble, manifests.load(test))
        truth = metrics.truth(scored.labels, scored.backgrounds, len(ensemble.classes))
        headline = metrics.headline(scored.pooled(ensemble), truth, scored.labels)
        found |= {name + ending: headline[name] for name in METRICS}
    return found


def _prepare(
    settings: LoopConfig, manifest: manifests.Manifest, group_of: Mapping[str, str], folder: str, fold: int, seed: int
) -> dict[str, str]:
    """Writes the records of a fold: {ending of metrics: records to judge by}. Those of the start and the pool too."""
    found = folds.recordings(manifest.directory)
    fold_of = split.folds(found, settings.folds, settings.split, group_of)
    others = [r for r in found if fold_of[r.recording_id] != fold and r.label]
    can_train = recordings_table.that_can_train(manifest.directory)
    known = {r.recording_id for r in folds.at_most(others, settings.known, f"known {seed}", can_train)}
    split_of = {
        _TEST: {r.recording_id: "val" for r in found if fold_of[r.recording_id] == fold},
        _START: dict.fromkeys(known, "train"),
        _POOL: {r.recording_id: "val" for r in others if r.recording_id not in known},
    }
    for name, chosen in split_of.items():
        if not files.exists(os.path.join(folder, name, manifests.MANIFEST)):
            folds.regroup(manifest, os.path.join(folder, name), chosen)
    tests = {"": os.path.join(folder, _TEST)}
    if {*schema.IN_NOISE.values()} <= {*manifest.features}:
        tests[_IN_NOISE] = tests[""] + _IN_NOISE
        if not files.exists(os.path.join(tests[_IN_NOISE], manifests.MANIFEST)):
            loop_records.write_in_noise(manifests.load(tests[""]), tests[_IN_NOISE])
    return tests


def _run_fold(
    settings: LoopConfig, manifest: manifests.Manifest, group_of: Mapping[str, str], fold: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Yields a row of COLUMNS for the start model, and for each choice and number of clips."""
    folder = os.path.join(settings.run_dir, f"fold-{fold}", f"seed-{seed}")
    tests = _prepare(settings, manifest, group_of, folder, fold, seed)
    start, numbers = os.path.join(folder, _START), {"fold": fold, "seed": seed}
    first = os.path.join(folder, "start")
    yield numbers | {"choice": "start", "clips": 0} | _turn(settings, first, start, tests, seed)
    predicted, recordings = predict(os.path.join(first, exporter.EXPORT), manifests.load(os.path.join(folder, _POOL)))
    for choice, number in itertools.product(settings.choice, settings.num_clips):
        run_dir = os.path.join(folder, f"{choice}-{number}")
        given = judge(predicted, recordings, choice, number, seed)
        records = run_dir + "-records"
        if not files.exists(os.path.join(records, manifests.MANIFEST)):
            loop_records.write_judged(manifest, manifests.load(start), given, records)
        yield numbers | _turn(settings, run_dir, records, tests, seed) | {
            "choice": choice, "clips": len(given), "right": sum(bool(v.is_present) for v in given),
            "recordings": len({v.file for v in given}), "species": len({v.label for v in given if v.label}),
        }  # fmt: skip


def summarise(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each choice and number of clips: mean and standard error over folds, and those of the gain."""
    measured = [name for name in COLUMNS if name.startswith(METRICS) and name in rows[0]]
    means = {
        arm: {fold: {m: statistics.fmean(row[m] for row in same) for m in measured} for fold, same in of_arm.items()}
        for arm, of_arm in _grouped(rows).items()
    }
    lines = ["mean ± standard error over folds; in brackets, the gain over the start model"]
    for (choice, number), of_arm in means.items():
        lines.append(f"{choice}, {number} clips:")
        for m in measured:
            mean, error = cross_validate.mean_and_error([found[m] for found in of_arm.values()])
            gains = [found[m] - means["start", 0][fold][m] for fold, found in of_arm.items()]
            gain, of_gain = cross_validate.mean_and_error(gains)
            lines.append(f"  {m:15} {mean:.4f} ± {error:.4f}  ({gain:+.4f} ± {of_gain:.4f})")
    return lines


def _grouped(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int], dict[int, list[Mapping[str, Any]]]]:
    """{(choice, number of clips): {fold: its rows, one for each seed}}."""
    found: dict[tuple[str, int], dict[int, list[Mapping[str, Any]]]] = {}
    for row in rows:
        found.setdefault((row["choice"], row["clips"]), {}).setdefault(row["fold"], []).append(row)
    return found


def main(settings: LoopConfig) -> None:
    """Runs the folds. Writes loop.csv, a row for each training, and prints means over the folds."""
    manifest = manifests.load(settings.records)
    group_of = cross_validate.claim_run_dir(settings, manifest, _WITHOUT_EFFECT, own=(_TABLE,))
    rows: list[dict[str, Any]] = []
    for repeat in range(settings.repeats):
        for fold in settings.only_folds or range(settings.folds):
            for row in _run_fold(settings, manifest, group_of, fold, settings.seed + repeat):
                rows.append(row)
                cells = [[row.get(name, "") for name in COLUMNS] for row in rows]
                csv_files.write(os.path.join(settings.run_dir, _TABLE), COLUMNS, cells)
    print("\n".join(summarise(rows)))


def run() -> None:
    """Entry point of the tool."""
    command_line.run(main, LoopConfig)


if __name__ == "__main__":
    run()
