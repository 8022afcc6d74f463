"""Trains a better model round by round, from exported models, the teachers, and unlabelled recordings.

In each round the teachers label the unlabelled recordings, a student learns from labelled chunks with unlabelled ones
added, and a gate judges it by known calls. The student is the next teacher.
"""

from __future__ import annotations

import dataclasses
import math
import os
import shutil
import time
from collections.abc import Sequence
from typing import Any, ClassVar

from absl import logging

import bird_tf.convert as conversion
import bird_tf.train as training
from bird_tf import config, executor, files, keras, locks, next_steps, python_calls, resume, skips
from bird_tf.audio import decode
from bird_tf.backbones import sources
from bird_tf.evaluation import mixtures
from bird_tf.inference import leaks, saved_model
from bird_tf.input import pseudo_labels
from bird_tf.labels import metadata
from bird_tf.records import manifests, recordings_table, schema
from bird_tf.selftraining import forecast, gate, teaching
from bird_tf.training import checkpoints, experiments, exporter

TABLE = "rounds.csv"
_COLUMNS = ("round", "run_dir", "teachers", "power", "unlabelled_chunks", "labels_of_chunk", "cmap", "auroc", "mlrap")
# who teaches in a round, besides the number of a --teacher
FIRST, STUDENT, BOTH = "first", "student", "both"
_UNLABELLED, _MIXTURES, _JUDGED = "unlabelled", "mixtures", "judged"
# flags that decide nothing in a round that is finished
_WITHOUT_EFFECT = frozenset(
    {"run_dir", "overwrite", "dry_run", "profile_steps", "rounds", "threads", "workers", "scheduler"}
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelfTrainConfig(experiments.TrainConfig):
    """The flags of a training, whose --run_dir holds all rounds, and those of self-training."""

    DEFAULT_FLAGFILE: ClassVar[str] = "selftrain.flags"

    unlabelled: str = config.option(
        "", "folder with unlabelled recordings, best from the recorders that the model is for", required=True
    )
    rounds: int = config.option(3, "the most rounds; each takes as long as a training")
    power: tuple[float, ...] = config.option(
        (1.0, 1.5, 1.8, 1.7), "label = probability to this power, in round 1, 2, …; later rounds take the last one"
    )
    least_total_label: float = config.option(
        0.2, "unlabelled chunks whose labels have a smaller sum in the first round are not written"
    )
    taught_by: tuple[str, ...] = config.option(
        (FIRST, STUDENT),
        "who teaches in round 1, 2, …, to exchange teachers of different kind; may be repeated, and later rounds take "
        "the last one: first (every --teacher), 1, 2, … (one of them), student (the best one so far), both",
        was=("keep_teachers",),
    )
    segments: str = config.option(
        "", "CSV of calls (media_id, class_id, start_seconds, end_seconds) in --segments_audio, to judge rounds by"
    )
    segments_audio: str = config.option("", "folder with the recordings of --segments")
    gate: bool = config.option(
        True, "judge each round, by --segments or else by mixtures, and keep the best; without it the last one is kept"
    )
    num_mixtures: int = config.option(20, "number of mixtures of a minute that rounds are judged by without --segments")
    shard_minutes: float = config.option(20.0, "unlabelled audio in one shard, minutes")
    place: executor.PlaceConfig

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.teachers.teacher:
            raise config.InputError("--teacher is missing: name an exported model, as runs/NAME/export")
        if self.rounds < 1 or not self.power or min(self.power) <= 0 or not self.least_total_label > 0:
            raise config.InputError(
                f"--rounds={self.rounds} --power={','.join(map(str, self.power))} --least_total_label="
                f"{self.least_total_label}: need at least one round, and numbers above 0"
            )
        if bool(self.segments) != bool(self.segments_audio):
            raise config.InputError("--segments and --segments_audio belong together: the calls and their recordings")
        config.refuse_without_effect(
            {
                "--segments with --nogate": self.segments and not self.gate,
                "--pseudo_labels": self.pseudo.pseudo_labels,
            }
        )
        known = {FIRST, STUDENT, BOTH, *map(str, range(1, len(self.teachers.teacher) + 1))}
        if not self.taught_by or (unknown := {*self.taught_by} - known):
            raise config.InputError(
                f"--taught_by={min(unknown) if self.taught_by else ''}: need {FIRST}, {STUDENT}, {BOTH}, or the number "
                f"of one of the {len(self.teachers.teacher)} teachers"
            )
        if self.taught_by[0] in (STUDENT, BOTH):
            raise config.InputError(
                f"--taught_by={self.taught_by[0]} comes first, but in round 1 there is no student yet"
            )

    def power_of(self, number: int) -> float:
        """The power of a round, from 1."""
        return self.power[min(number, len(self.power)) - 1]

    def teachers_of(self, number: int, first: tuple[str, ...], student: tuple[str, ...]) -> tuple[str, ...]:
        """The models that teach in a round, from 1.

        Args:
            number: of the round.
            first: the first teachers.
            student: the best student so far; empty while none is better than they are: then they teach in its place.
        """
        kind = self.taught_by[min(number, len(self.taught_by)) - 1]
        if kind.isdigit():
            return (first[int(kind) - 1],)
        return {FIRST: first, STUDENT: student or first, BOTH: (*first, *student)}[kind]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Round:
    """A round; round 0 are the first teachers.

    Attributes:
        run_dir: of its training; empty for round 0.
        models: what it is judged by and teaches with; with --refit, the model from before the refit.
        row: of the table.
        quality: None without a gate.
    """

    run_dir: str
    models: tuple[str, ...]
    row: dict[str, Any]
    quality: gate.Quality | None


def selftrain(settings: SelfTrainConfig) -> dict[str, Any]:
    """Trains round by round, or the rest of it, and writes what docs/how-to/self-training.md lists to `run_dir`.

    Returns:
        The content of summary.json.

    Raises:
        InputError: the teachers, the records or the unlabelled recordings cannot be used; the rounds cannot be judged;
            or as `train.train` and `convert.convert`.
    """
    manifest = manifests.load(settings.records)
    manifest.select([schema.SPECTROGRAM], "self-training")
    if schema.SPECTROGRAM not in settings.model.features:
        raise config.InputError(
            f"--architecture={settings.model.architecture} does not hear spectrograms, and unlabelled chunks are added "
            "to labelled ones as spectrograms; name another network, a head may be the --teacher"
        )
    if files.is_remote(settings.run_dir):
        raise config.InputError(f"--run_dir={settings.run_dir}: self-training needs a folder of this machine")
    paths = _without_leak(settings.teachers.teacher, manifest)
    recordings = teaching.find(settings.unlabelled)
    if settings.dry_run:
        _estimate(settings, manifest, paths, recordings)
        return {}
    with locks.held(settings.run_dir, work="self-training", flag="--run_dir"):
        _claim(settings, manifest, paths, recordings)
        return _selftrain(settings, manifest, paths, recordings)


def _estimate(
    settings: SelfTrainConfig, manifest: manifests.Manifest, paths: Sequence[str],
    recordings: Sequence[metadata.Recording],
) -> None:  # fmt: skip
    """Logs rates and sizes. Nothing is written."""
    teachers = teaching.Teachers(paths, manifest)
    found = forecast.forecast(
        teachers, recordings, manifest, settings.power_of(1), settings.least_total_label, settings.place
    )
    logging.info("\n".join(found.lines()))


def _without_leak(teachers: Sequence[str], manifest: manifests.Manifest) -> tuple[str, ...]:
    """The teachers; of those that were refitted on the validation recordings, the models from before."""
    judged = [r for r in recordings_table.read(manifest.directory) if r.split == "val"]
    rate = manifest.front_end.sample_rate_hz
    paths = tuple(leaks.before_refit(path, judged, rate) for path in teachers)
    leaks.Leaks(paths, rate).notes(judged)
    return paths


def _claim(
    settings: SelfTrainConfig, manifest: manifests.Manifest, teachers: Sequence[str],
    recordings: Sequence[metadata.Recording],
) -> None:  # fmt: skip
    flags = config.to_mapping(settings)
    sizes = {r.recording_id: os.path.getsize(r.path) for r in recordings}
    claim = resume.Claim(
        directory=settings.run_dir,
        plan={
            "flags": {name: flags[name] for name in flags if name not in _WITHOUT_EFFECT},
            "inputs": {
                settings.records: {"content": checkpoints.digest(manifest)},
                settings.unlabelled: {"content": files.digest(sizes)},
                **{path: {"content": saved_model.Model(path).fingerprint} for path in teachers},
            },
        },
        work="self-training",
        flag="--run_dir",
        overwrite=settings.overwrite,
    )
    claim.start(claim.goes_on())
    files.write_text(os.path.join(settings.run_dir, checkpoints.FLAGS), config.to_flagfile(settings))


def _selftrain(
    settings: SelfTrainConfig, manifest: manifests.Manifest, paths: tuple[str, ...],
    recordings: Sequence[metadata.Recording],
) -> dict[str, Any]:  # fmt: skip
    started = time.monotonic()
    unlabelled = _unlabelled(settings, manifest, paths, recordings)
    judge = _gate(settings, manifest)
    first = {"teachers": " ".join(paths)}
    rounds = [Round(run_dir="", models=paths, row=first, quality=_judged(judge, paths, 0))]
    _write_table(settings, rounds)
    for number in range(1, settings.rounds + 1):
        rounds.append(_round(settings, number, rounds[_best(rounds)], paths, unlabelled, judge))
        _write_table(settings, rounds)
        if judge and not gate.goes_on([one.quality for one in rounds if one.quality]):
            logging.info("round %d gains neither c-mAP nor MLRAP over the best one before it: the rounds end", number)
            break
    winner = _best(rounds)
    export = _take(settings.run_dir, rounds[winner])
    summary = {
        "winner": winner, "gained": winner > 0, "export": export, "rounds": [one.row for one in rounds],
        "num_unlabelled": unlabelled.num_recordings["noise"], "num_unlabelled_chunks": unlabelled.num_chunks("noise"),
        "unlabelled": settings.unlabelled, "wall_seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip
    files.write_json(os.path.join(settings.run_dir, checkpoints.SUMMARY), summary, durable=True)
    return summary


def _best(rounds: Sequence[Round]) -> int:
    """The number of the round that is kept so far: the best one, without a gate the last one."""
    qualities = [one.quality for one in rounds if one.quality]
    return gate.best(qualities) if qualities else len(rounds) - 1


def _round_name(number: int) -> str:
    return f"round-{number}"


def _unlabelled(
    settings: SelfTrainConfig, manifest: manifests.Manifest, paths: Sequence[str],
    recordings: Sequence[metadata.Recording],
) -> manifests.Manifest:  # fmt: skip
    """The records of the unlabelled chunks that can carry a label; and mixtures, if the gate needs them."""
    output = os.path.join(settings.run_dir, _UNLABELLED)
    folder = os.path.join(settings.run_dir, _MIXTURES)
    needs_mixtures = settings.gate and not settings.segments and not files.exists(gate.mixture_paths(folder)[1])
    if files.exists(os.path.join(output, manifests.MANIFEST)) and not needs_mixtures:
        return manifests.load(output)
    teachers, scores = teaching.Teachers(paths, manifest), _scores(settings, 1)
    skipped = teachers.score(recordings, scores, settings.place)
    skips.write(settings.run_dir, skipped)
    unreadable = {path for path, _ in skipped}
    readable = [r for r in recordings if r.path not in unreadable]
    chunks = teaching.choose_chunks(
        teachers.answers(readable, scores), settings.power_of(1), settings.least_total_label
    )
    if needs_mixtures:
        mixed = mixtures.MixtureConfig(num_mixtures=settings.num_mixtures)
        gate.write_mixtures(folder, mixed, manifest, chunks.quiet, settings.seed)
    used = [r for r in readable if r.recording_id in chunks.kept]
    logging.info(
        "%d of %d chunks, of %d of %d recordings, can carry a label",
        sum(map(len, chunks.kept.values())), chunks.num_chunks, len(used), len(recordings),
    )  # fmt: skip
    seconds = dict(zip([r.recording_id for r in used], decode.durations([r.path for r in used]), strict=True))
    asked = _conversion(settings, manifest, output)
    return conversion.convert_unlabelled(asked, used, seconds, manifest.labelled_classes, chunks.kept)


def _scores(settings: SelfTrainConfig, number: int) -> str:
    return os.path.join(settings.run_dir, f"answers-{number}")


def _conversion(settings: SelfTrainConfig, manifest: manifests.Manifest, output: str) -> conversion.ConvertConfig:
    """The flags of the labelled records' conversion, for the unlabelled ones.

    A backbone's features are left out: teachers hear the recordings, in overlapping windows, and students spectrograms.
    """
    known = {field.name for field, _ in config.leaves(conversion.ConvertConfig)}
    flags = {name: value for name, value in manifest.converter.items() if name in known}
    return config.from_mapping(
        conversion.ConvertConfig,
        flags | {
            "audio": settings.unlabelled, "metadata": "", "output": output, "whitelist": [], "max_classes": 0,
            "shard_minutes": settings.shard_minutes, "workers": settings.place.workers,
            "scheduler": settings.place.scheduler, "overwrite": False, "spectrogram": True,
            **config.to_mapping(sources.BackboneConfig()),
        },
    )  # fmt: skip


def _gate(settings: SelfTrainConfig, manifest: manifests.Manifest) -> gate.Gate | None:
    if not settings.gate:
        return None
    audio, calls = settings.segments_audio, settings.segments
    if not calls:
        audio, calls = gate.mixture_paths(os.path.join(settings.run_dir, _MIXTURES))
    output = os.path.join(settings.run_dir, _JUDGED)
    return gate.Gate(manifest=manifest, audio=audio, calls=calls, output=output, place=settings.place)


def _round(
    settings: SelfTrainConfig, number: int, student: Round, first: tuple[str, ...], unlabelled: manifests.Manifest,
    judge: gate.Gate | None,
) -> Round:  # fmt: skip
    """Labels, trains and judges.

    Heads among the first teachers answer for the labelled chunks too, from the features in the records: there they know
    more than the labels, which name the recording's species in all of its chunks.
    """
    paths = settings.teachers_of(number, first, student.models if student.run_dir else ())
    totals = _label(settings, number, paths, unlabelled)
    run_dir = os.path.join(settings.run_dir, _round_name(number))
    training.train(
        experiments.within(
            settings,
            run_dir=run_dir,
            teacher=[path for path in first if saved_model.is_head(saved_model.Model(path).features)],
            overwrite=False,
            pseudo_labels=_labels(settings, number),
        )
    )
    keras.backend.clear_session()  # graphs of this training would stay in memory
    validated = os.path.join(run_dir, saved_model.VALIDATED) if settings.refit else run_dir
    model = os.path.join(validated, exporter.EXPORT)
    row = {
        "run_dir": run_dir, "teachers": " ".join(paths), "power": settings.power_of(number),
        "unlabelled_chunks": totals.num_chunks, "labels_of_chunk": round(totals.mean_total, 4),
    }  # fmt: skip
    return Round(run_dir=run_dir, models=(model,), row=row, quality=_judged(judge, [model], number))


def _judged(judge: gate.Gate | None, models: Sequence[str], number: int) -> gate.Quality | None:
    return judge.judge(models, _round_name(number)) if judge else None


def _labels(settings: SelfTrainConfig, number: int) -> str:
    return os.path.join(settings.run_dir, f"labels-{number}")


def _label(
    settings: SelfTrainConfig, number: int, paths: Sequence[str], unlabelled: manifests.Manifest
) -> teaching.Totals:
    """Writes the pseudo-labels of a round, unless they are there."""
    folder, scores = _labels(settings, number), _scores(settings, number)
    if not pseudo_labels.exists(folder):
        labelled = manifests.load(settings.records)
        teachers = teaching.Teachers(paths, labelled)
        root = settings.unlabelled
        used = [
            dataclasses.replace(r, path=os.path.join(root, r.path))
            for r in recordings_table.training(unlabelled, with_noise=True)
        ]
        teachers.score(used, scores, settings.place)
        teaching.label(teachers, teachers.answers(used, scores), unlabelled, settings.power_of(number), folder)
    files.remove(scores)
    return teaching.totals(pseudo_labels.load(folder))


def _write_table(settings: SelfTrainConfig, rounds: Sequence[Round]) -> None:
    """Writes rounds.csv; and adds the metrics to the rows."""
    for number, one in enumerate(rounds):
        one.row["round"] = number
        for name in ("cmap", "auroc", "mlrap"):
            value = getattr(one.quality, name) if one.quality else math.nan
            one.row[name] = None if math.isnan(value) else round(value, 4)
    cells = [["" if one.row.get(name) is None else one.row[name] for name in _COLUMNS] for one in rounds]
    files.write_table(os.path.join(settings.run_dir, TABLE), _COLUMNS, cells)


def _take(run_dir: str, winner: Round) -> str:
    """Copies the model of the round that won to RUN_DIR/export, and that from before its refit. Returns its path.

    Several first teachers are no one model: they stay where they are.
    """
    if not winner.run_dir and len(winner.models) > 1:
        return ""
    export = os.path.join(run_dir, exporter.EXPORT)
    source = winner.run_dir or os.path.dirname(winner.models[0].rstrip("/"))
    names = [exporter.EXPORT, os.path.join(saved_model.VALIDATED, exporter.EXPORT)] if winner.run_dir else []
    copies = {os.path.join(source, name): os.path.join(run_dir, name) for name in names} or {winner.models[0]: export}
    for original, copy in copies.items():
        if files.exists(original):
            with files.replacing(copy, durable=True) as temporary:
                shutil.copytree(original, temporary)
    return export


def main(settings: SelfTrainConfig) -> None:
    """Trains round by round, and logs the rounds, the one that is kept, and what to do next."""
    summary = selftrain(settings)
    if settings.dry_run:
        return
    for row in summary["rounds"]:
        logging.info("round %d: %s", row["round"], _in_words(row))
    if not summary["gained"]:
        kept = f"it is {summary['export']}" if summary["export"] else "use the teachers as before"
        logging.info("%s: no round is better than the first teachers; %s", settings.run_dir, kept)
        return
    logging.info(
        "%s: round %d is kept, %.1f minutes; model in %s, all rounds in %s",
        settings.run_dir, summary["winner"], summary["wall_seconds"] / 60, summary["export"],
        os.path.join(settings.run_dir, TABLE),
    )  # fmt: skip
    next_steps.log(
        next_steps.command("evaluate", model=summary["export"], records=settings.records, tune=True),
        next_steps.command("predict", model=summary["export"], audio=next_steps.NEW_RECORDINGS, output="predictions"),
    )


def _in_words(row: dict[str, Any]) -> str:
    told = [f"{title} {row[name]:.4f}" for title, name in (("c-mAP", "cmap"), ("MLRAP", "mlrap")) if row.get(name)]
    return ", ".join(told) or "not judged"


def run() -> None:
    """Entry point of `bird-tf-selftrain`."""
    config.run(main, SelfTrainConfig)


python_calls.make_callable(__name__, selftrain, SelfTrainConfig)


if __name__ == "__main__":
    run()
