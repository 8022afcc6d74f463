"""Cross-validation: trains a recipe k times, each time without one fold of the recordings, and evaluates on that fold.

python tools/cross_validate.py --flagfile=configs/recommended.flags --records=tfrecords/NAME --run_dir=runs/NAME-cv
    --max_minutes=10

The recordings of a fold are only used to evaluate: best epoch and pooling are chosen on --val_share of the others.
After an interruption the same command continues. --baseline=runs/OTHER-cv names an earlier cross-validation with the
same folds and prints the gain on the same recordings, which is more precise than the difference of two means. {fold} in
--teacher and --pretrained is the number of the fold: a teacher must not have learnt from the fold. A recipe with
--refit is trained once for each fold, on all other recordings, as in its second training: for half of --max_minutes.
"""

from __future__ import annotations

import dataclasses
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from absl import logging

import bird_tf.train as network_training
from bird_tf import command_line, config, csv_files, files, locks, resume, stored
from bird_tf.conversion import folds
from bird_tf.evaluation import report
from bird_tf.labels import groups, split
from bird_tf.records import manifests, recordings_table
from bird_tf.training import training_flags

METRICS = ("mlrap", "mlrap_foreground", "mrr", "map", "cmap", "top1")
COLUMNS = ("fold", "seed", "num_recordings", "num_learnt", "chance_mlrap", *METRICS)
TABLE, _SUMMARY = "folds.csv", "cross_validation.json"
_FOLD = "{fold}"
# what is read of the summary of an evaluation
_EVALUATED: type = dataclasses.make_dataclass("Evaluated", [(name, float | None) for name in COLUMNS[2:]])
# flags that do not influence the results of a fold
WITHOUT_EFFECT = frozenset({"run_dir", "overwrite", "profile_steps", "baseline", "only_folds", "repeats"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class CrossValidateConfig(training_flags.TrainConfig):
    """The flags of a training, whose --run_dir holds all folds, and those of the cross-validation."""

    split: split.SplitConfig
    folds: int = config.option(5, "number of folds; each is held out once")
    only_folds: tuple[int, ...] = config.option((), "folds to run, from 0, comma-separated; empty: all")
    repeats: int = config.option(1, "number of trainings for each fold, with --seed, --seed + 1 and so on")
    recordings_per_class: int = config.option(
        0, "learn from at most this number of recordings of a species, drawn by --split_seed; 0: all"
    )
    baseline: str = config.option("", "--run_dir of a cross-validation of the same recordings, to compare with")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.repeats < 1 or any(not 0 <= fold < self.folds for fold in self.only_folds):
            raise config.InputError(
                f"--repeats={self.repeats} --only_folds={','.join(map(str, self.only_folds))}: need at least one "
                f"repeat, and folds from 0 to {self.folds - 1}"
            )
        if self.dry_run:
            raise config.InputError("--dry_run: a training has one; bird_tf.train with the same flags estimates a fold")
        if self.recordings_per_class < 0:
            raise config.InputError(f"--recordings_per_class={self.recordings_per_class}: need a number, or 0 for all")


def _command(module: str, *arguments: str, hint: str = "") -> None:
    """Runs a command of the package in a process of its own. If it fails, the cross-validation stops with a hint."""
    command = [sys.executable, "-m", f"bird_tf.{module}", *arguments]
    if code := subprocess.run(command, stderr=sys.stderr, check=False).returncode:
        sys.exit(f"error: {module} failed with exit status {code} (see above){hint}")


def claim_run_dir(
    settings: CrossValidateConfig,
    manifest: manifests.Manifest,
    without_effect: Collection[str] = WITHOUT_EFFECT,
    own: Sequence[str] = (),
) -> dict[str, str]:
    """Claims the run directory for this cross-validation, if it can work. With --overwrite it is emptied first.

    Args:
        settings: with the run directory.
        manifest: the records.
        without_effect: flags that may change when it is continued.
        own: what the caller writes into the directory besides the folds.

    Returns:
        {recording_id: the group that is in one fold}.

    Raises:
        InputError: there are no such folds, the records or models cannot be used, or it holds something else.
    """
    flags = config.to_mapping(settings)
    found = folds.recordings(settings.records)
    group_of = groups.assign(found, settings.split.grouping)
    fold_of = split.folds(found, settings.folds, settings.split, group_of)
    claim = resume.Claim(
        directory=settings.run_dir,
        plan={
            "flags": {name: flags[name] for name in flags if name not in without_effect},
            "inputs": {
                settings.records: recordings_table.identity(manifest) | {"division into folds": files.digest(fold_of)}
            },
            "models": training_flags.models(settings),  # those of a single fold belong to the plan of its training
        },
        work="cross-validation",
        flag="--run_dir",
        overwrite=settings.overwrite,
        reads=(
            settings.records,
            settings.pseudo.pseudo_labels,
            settings.baseline,
            *training_flags.model_paths(settings),
        ),
        own=("fold-*", TABLE, _SUMMARY, *own),
        flags_of=type(settings),
    )
    goes_on = claim.goes_on()
    by = settings.split.grouping.group_by
    if (theirs := manifest.converter.get("group_by", by)) != by:
        logging.warning("folds are made with --group_by=%s; %s was split with %s", by, settings.records, theirs)
    if settings.overwrite or not goes_on:  # before anything is removed or written
        network_training.check_fit(manifest, settings)
        training_flags.check_models(settings, not_yet=_FOLD)
    else:
        _check_folds(settings, fold_of)
    claim.start(goes_on)
    return group_of


def _check_folds(settings: CrossValidateConfig, fold_of: Mapping[str, int]) -> None:
    """Refuses folds that are there and hold other recordings than now; plans of earlier versions do not tell."""
    for fold in range(settings.folds):
        test = os.path.join(settings.run_dir, f"fold-{fold}", "test")
        there = {recording.recording_id for recording in recordings_table.read(test, with_unused=True)}
        if there and there != {recording for recording, number in fold_of.items() if number == fold}:
            raise config.InputError(
                f"{test} holds other recordings than fold {fold} has now: another version of bird_tf, or another "
                f"recordings.csv in {settings.records}, made other folds; go on with those, name another --run_dir, "
                "or start anew with --overwrite"
            )


def _run_dir(settings: CrossValidateConfig, fold: int, seed: int) -> str:
    return os.path.join(settings.run_dir, f"fold-{fold}", f"seed-{seed}")


def _evaluation(settings: CrossValidateConfig, fold: int, seed: int) -> str:
    """The summary of the evaluation of one training."""
    return os.path.join(_run_dir(settings, fold, seed), "evaluation", files.SUMMARY)


def _train_and_evaluate(settings: CrossValidateConfig, fold: int, seed: int) -> tuple[float, ...]:
    """Trains on all folds but one, and evaluates on that one. Returns a row of COLUMNS."""
    folder, run_dir = os.path.join(settings.run_dir, f"fold-{fold}"), _run_dir(settings, fold, seed)
    flagfile = run_dir + ".flags"
    training = training_flags.within(
        settings,
        records=os.path.join(folder, "records"),
        run_dir=run_dir,
        seed=seed,
        overwrite=False,
        teacher=[path.replace(_FOLD, str(fold)) for path in settings.teachers.teacher],
        pretrained=settings.pretrained.pretrained.replace(_FOLD, str(fold)),
    )
    files.write_text(flagfile, config.to_flagfile(training))
    if files.exists(os.path.join(run_dir, resume.PLAN)):  # perhaps of another version, which train refuses
        hint = f"; to train this fold anew, remove {run_dir} and repeat the command: --overwrite removes all folds"
    else:
        hint = ""
    _command("train", f"--flagfile={flagfile}", hint=hint)
    model, output = os.path.join(run_dir, "export"), os.path.dirname(_evaluation(settings, fold, seed))
    _command("evaluate", f"--model={model}", f"--records={os.path.join(folder, 'test')}", f"--output={output}")
    return _row(settings, fold, seed)


def _row(settings: CrossValidateConfig, fold: int, seed: int) -> tuple[float, ...]:
    path = _evaluation(settings, fold, seed)
    summary = stored.read_any(path)
    stored.as_type(path, _EVALUATED, summary, partial=True)
    return (fold, seed, *(math.nan if summary[name] is None else summary[name] for name in COLUMNS[2:]))


def _finished(settings: CrossValidateConfig) -> dict[int, list[tuple[float, ...]]]:
    """{fold: its rows} of the folds that are finished, by whatever command: all trainings have been evaluated."""
    seeds = range(settings.seed, settings.seed + settings.repeats)
    return {
        fold: [_row(settings, fold, seed) for seed in seeds]
        for fold in range(settings.folds)
        if all(files.exists(_evaluation(settings, fold, seed)) for seed in seeds)
    }


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """Mean and its standard error, which is NaN for one value. Both are NaN if a value is."""
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return statistics.fmean(values), error


def _over_folds(rows_of: Iterable[Sequence[tuple[float, ...]]], column: int) -> tuple[float, float]:
    """As `mean_and_error`, of the folds; a repeat judges no new recording, so those of a fold count as one."""
    return mean_and_error([statistics.fmean(row[column] for row in rows) for rows in rows_of])


def _trainings(run_dir: str) -> dict[int, list[str]]:
    """{fold: folders of its trainings} that folds.csv tells of; those of other commands may lie there too."""
    found: dict[int, list[str]] = {}
    path = os.path.join(run_dir, TABLE)
    for row in csv_files.read(path, ("fold", "seed")) if files.exists(path) else ():
        fold = row.count("fold")
        found.setdefault(fold, []).append(os.path.join(run_dir, f"fold-{fold}", f"seed-{row.text('seed')}"))
    return found


def _precisions(trainings: Sequence[str]) -> dict[str, float]:
    """The average precision of each recording of a fold, mean over its trainings."""
    found: dict[str, list[float]] = {}
    paths = [os.path.join(folder, "evaluation", "recordings.csv") for folder in trainings]
    needed = ("recording_id", "average_precision")
    for row in (row for path in paths if files.exists(path) for row in csv_files.read(path, needed)):
        found.setdefault(row.text("recording_id"), []).append(row.number("average_precision", 0, 1))
    return {recording: statistics.fmean(values) for recording, values in found.items()}


def _num_ranked(trainings: Mapping[int, Sequence[str]]) -> set[int]:
    """Among how many classes trainings were ranked; evaluations of earlier versions do not tell it."""
    paths = [os.path.join(folder, "evaluation", files.SUMMARY) for each in trainings.values() for folder in each]
    return {stored.read_any(path).get("num_ranked", 0) for path in paths if files.exists(path)} - {0}


def gain(run_dir: str, baseline: str, tested: Mapping[int, str]) -> tuple[float, float, int]:
    """The gain of a recipe over another on the same recordings.

    Args:
        run_dir, baseline: two cross-validations with the same folds; those trainings count that folds.csv tells of.
        tested: {fold: directory of the records that it was evaluated on}.

    Returns:
        The mean difference in MLRAP over the recordings that both have evaluated; its standard error, clustered by
        author (NaN with one author); and the number of these recordings.

    Raises:
        InputError: they have no recording in common.
    """
    differences: dict[str, list[float]] = {}
    own, others = _trainings(run_dir), _trainings(baseline)
    for fold, directory in tested.items():
        ours, theirs = _precisions(own.get(fold, ())), _precisions(others.get(fold, ()))
        for recording in recordings_table.read(directory):
            key = recording.recording_id
            if key in ours and key in theirs:
                differences.setdefault(recording.author or key, []).append(ours[key] - theirs[key])
    if not differences:
        raise config.InputError(f"--baseline={baseline} has evaluated none of these recordings in the same fold")
    ours_among, theirs_among = (", ".join(map(str, sorted(_num_ranked(each)))) for each in (own, others))
    if ours_among and theirs_among and ours_among != theirs_among:
        logging.warning(
            "%s ranks among %s species, %s among %s: to rank more is harder, and the gain tells of that too",
            run_dir, ours_among, baseline, theirs_among,
        )  # fmt: skip
    number = sum(map(len, differences.values()))
    mean = sum(map(sum, differences.values())) / number
    residuals = np.array([sum(values) - mean * len(values) for values in differences.values()])
    groups = len(residuals)
    error = math.sqrt(groups / (groups - 1) * float(residuals @ residuals)) / number if groups > 1 else math.nan
    return mean, error, number


def _warn_of_one_class(settings: CrossValidateConfig) -> None:
    """A ranking of one class is always right, so folds and baselines say nothing of it."""
    remedy = "judge its models by bird_tf.evaluate with --noise_audio or --segments"
    if settings.baseline:
        raise config.InputError(f"--baseline: {settings.records} has one class, which cannot be ranked; {remedy}")
    logging.warning("%s has one class: most metrics of the folds are undefined; %s", settings.records, remedy)


def main(settings: CrossValidateConfig) -> None:
    """Runs the folds. Writes folds.csv (a row for each training) and cross_validation.json (means and errors).

    Both tell of all folds that are finished, those of earlier commands and of other machines too.
    """
    manifest = manifests.load(settings.records)
    if settings.refit and settings.pooling == "auto":
        raise config.InputError(
            "--refit --pooling=auto: a fold is trained once, on all other recordings, and none is left to choose a "
            "pooling by; name a --pooling, or choose it in each fold with --norefit"
        )
    if len(manifest.classes) == 1:
        _warn_of_one_class(settings)
    group_of = claim_run_dir(settings, manifest)
    if settings.refit:
        without_validation = dataclasses.replace(settings.split, val_share=0.0)
        settings = dataclasses.replace(training_flags.one_training(settings), split=without_validation)
    own: dict[int, list[tuple[float, ...]]] = {}
    chosen = settings.only_folds or range(settings.folds)
    for fold in chosen:
        folder = os.path.join(settings.run_dir, f"fold-{fold}")
        with locks.held(folder, work="cross-validation", flag="--run_dir"):  # other machines may do other folds
            if not files.exists(os.path.join(folder, "test", manifests.MANIFEST)):
                most = settings.recordings_per_class
                folds.prepare(manifest, folder, settings.folds, fold, settings.split, most, group_of)
            own[fold] = [
                _train_and_evaluate(settings, fold, settings.seed + repeat) for repeat in range(settings.repeats)
            ]
        rows_of = _finished(settings) | own
        numbers = sorted(rows_of)
        rows = [row for number in numbers for row in rows_of[number]]
        csv_files.write(os.path.join(settings.run_dir, TABLE), COLUMNS, rows)
    means = {name: _over_folds(rows_of.values(), COLUMNS.index(name)) for name in METRICS}
    summary: dict[str, object] = {"folds": numbers, "num_folds": settings.folds}
    summary |= {name: files.defined({"mean": mean, "standard_error": error}) for name, (mean, error) in means.items()}
    if settings.baseline:
        tested = {fold: os.path.join(settings.run_dir, f"fold-{fold}", "test") for fold in numbers}
        mean, error, number = gain(settings.run_dir, settings.baseline, tested)
        summary["mlrap_gain"] = files.defined({"mean": mean, "standard_error": error}) | {
            "baseline": settings.baseline, "num_recordings": number,
        }  # fmt: skip
    summary["num_learnt"] = num_learnt = sum(int(row[COLUMNS.index("num_learnt")]) for row in rows)
    files.write_json(os.path.join(settings.run_dir, _SUMMARY), summary)
    print("fold  seed  recordings  " + "  ".join(f"{name:>16}" for name in METRICS))
    for row in rows:
        print(f"{row[0]:4}  {row[1]:4}  {row[2]:10}  " + "  ".join(f"{value:16.4f}" for value in row[5:]))
    print("mean ± s.e.             " + "  ".join(f"{m:8.4f} ± {e:.3f}" for m, e in means.values()))
    if missing := [str(fold) for fold in range(settings.folds) if fold not in rows_of]:
        print(f"these are {len(numbers)} of {settings.folds} folds; not finished: {', '.join(missing)}")
    if num_learnt:
        way = "--pretrained, --teacher or --pseudo_labels"
        print(f"the models had learnt from {num_learnt} judged recordings, by way of {way}")
    if settings.baseline:
        total = sum(int(row[2]) for row in rows) // settings.repeats
        print(f"MLRAP against {settings.baseline}: {mean:+.4f} ± {error:.4f} on {number} of {total} recordings")
        if 2 * number < total:
            print("their folds differ: repeat with the --group_by, --folds and --split_seed of the baseline")
    page = os.path.join(settings.run_dir, f"fold-{chosen[0]}", f"seed-{settings.seed}", "evaluation", report.PAGE)
    print(f"next:\n  open {page} in a browser; folds.csv in {settings.run_dir} has all numbers")


def run() -> None:
    """Entry point of `bird-tf-cross-validate`."""
    command_line.run(main, CrossValidateConfig)


if __name__ == "__main__":
    run()
