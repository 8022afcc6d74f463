"""Trains a better model round by round, from exported models, the teachers, and unlabelled recordings.

In each round the teachers label the unlabelled recordings, a student learns from labelled chunks with unlabelled ones
added, and a gate judges it by known calls. The student is the next teacher.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Sequence
from typing import Any

from absl import logging

import bird_tf.convert as conversion
import bird_tf.train as training
from bird_tf import command_line, config, files, keras, locks, next_steps, python_calls, resume, skips
from bird_tf.audio import decode
from bird_tf.backbones import exported, sources
from bird_tf.evaluation import mixtures
from bird_tf.inference import audio_files, leaks, model_files
from bird_tf.input import pseudo_labels
from bird_tf.labels import metadata
from bird_tf.labels.formats import formats
from bird_tf.records import manifests, recordings_table, schema
from bird_tf.selftraining import dry_run, flags, gate, rounds, teaching
from bird_tf.training import exporter, run_directory, training_flags

# the flags of the command
SelfTrainConfig = flags.SelfTrainConfig

_UNLABELLED, _MIXTURES, _JUDGED = "unlabelled", "mixtures", "judged"
# what a self-training writes into its directory besides what a training does, as patterns
_OWN = (_UNLABELLED, _MIXTURES, _JUDGED, rounds.TABLE, skips.TABLE, "round-*", "labels-*", "answers-*")
# flags that decide nothing in a round that is finished
_WITHOUT_EFFECT = frozenset(
    {"run_dir", "overwrite", "dry_run", "profile_steps", "rounds", "threads", "workers", "scheduler"}
)


def selftrain(settings: SelfTrainConfig) -> dict[str, Any]:
    """Trains round by round, or the rest of it, and writes what docs/how-to/self-training.md lists to `run_dir`.

    Returns:
        The content of summary.json; of a dry run, the estimate.

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
    for flag, folder in (("unlabelled", settings.unlabelled), ("segments_audio", settings.segments_audio)):
        if folder and resume.lies_in(settings.run_dir, folder):
            raise config.InputError(
                f"--run_dir={settings.run_dir} lies in --{flag}={folder}: the mixtures that are written there would be "
                "taken for recordings; name another --run_dir"
            )
    paths = _without_leak(settings.teachers.teacher, manifest)
    recordings = teaching.find(settings.unlabelled)
    _check_later_teachers(settings, manifest, paths)
    if _needs_mixtures(settings) or (settings.overwrite and _judges_by_mixtures(settings)):
        gate.check_calls(manifest)  # before hours of scoring
    if settings.dry_run:
        return dataclasses.asdict(_estimate(settings, manifest, paths, recordings))
    with locks.held(settings.run_dir, work="self-training", flag="--run_dir"):
        _claim(settings, manifest, paths, recordings)
        return _selftrain(settings, manifest, paths, recordings)


def _estimate(
    settings: SelfTrainConfig, manifest: manifests.Manifest, paths: Sequence[str],
    recordings: Sequence[metadata.Recording],
) -> dry_run.DryRun:  # fmt: skip
    """Logs rates and sizes. Nothing is written."""
    teachers = teaching.Teachers(settings.teachers_of(1, tuple(paths), ()), manifest)
    recordings, _ = _without_judging(settings, manifest, recordings)
    found = dry_run.estimate(
        teachers, recordings, manifest, settings.power_of(1), settings.least_total_label, settings.place,
        for_mixtures=_judges_by_mixtures(settings),
    )  # fmt: skip
    logging.info("\n".join(found.lines()))
    return found


def _without_leak(teachers: Sequence[str], manifest: manifests.Manifest) -> tuple[str, ...]:
    """The teachers; of those that were refitted on the validation recordings, the models from before."""
    judged = recordings_table.validation(manifest)
    rate = manifest.front_end.sample_rate_hz
    paths = tuple(leaks.before_refit(path, judged, rate) for path in teachers)
    leaks.Leaks(paths, rate).among(judged).log()
    return paths


def _check_later_teachers(settings: SelfTrainConfig, manifest: manifests.Manifest, paths: tuple[str, ...]) -> None:
    """Checks, before hours of work, teachers that take turns; those of the first round are checked when they answer."""
    _, *later = dict.fromkeys(settings.teachers_of(number, paths, ()) for number in range(1, settings.rounds + 1))
    for others in later:
        teaching.Teachers(others, manifest)


def _claim(
    settings: SelfTrainConfig, manifest: manifests.Manifest, teachers: Sequence[str],
    recordings: Sequence[metadata.Recording],
) -> None:  # fmt: skip
    if settings.overwrite:  # before anything is removed
        training_flags.check_models(settings)
    values = config.to_mapping(settings)
    claim = resume.Claim(
        directory=settings.run_dir,
        plan={
            "flags": {name: values[name] for name in values if name not in _WITHOUT_EFFECT},
            "inputs": {
                settings.records: recordings_table.identity(manifest),
                settings.unlabelled: {
                    "content": files.digest({r.recording_id: os.path.getsize(r.path) for r in recordings})
                },
                **{path: {"content": exported.fingerprint(path)} for path in teachers},
            },
            "files": {r.path: resume.of_file(r.path) for r in recordings} | _truth(settings),
        },
        work="self-training",
        flag="--run_dir",
        overwrite=settings.overwrite,
        reads=(settings.records, settings.unlabelled, *teachers, *training_flags.model_paths(settings)),
        own=(*run_directory.OWN, *_OWN),
        flags_of=type(settings),
    )
    claim.start(claim.goes_on())
    training_flags.write_flags(settings)


def _truth(settings: SelfTrainConfig) -> dict[str, dict[str, Any]]:
    """What tells whether --segments still judges as it did: rounds judged by different calls cannot be compared."""
    if not settings.segments:
        return {}
    if not files.exists(settings.segments):
        raise config.InputError(f"--segments={settings.segments}: no such file or folder")
    if not os.path.isdir(settings.segments_audio):
        raise config.InputError(f"--segments_audio={settings.segments_audio} is not a folder")
    is_folder = os.path.isdir(settings.segments)
    paths = files.find(settings.segments, formats.SUFFIXES) if is_folder else [settings.segments]
    told = {path: {"content": files.checksum(path)} for path in paths}
    return told | {path: resume.of_file(path) for _, path in audio_files.find_below(settings.segments_audio)}


def _selftrain(
    settings: SelfTrainConfig, manifest: manifests.Manifest, paths: tuple[str, ...],
    recordings: Sequence[metadata.Recording],
) -> dict[str, Any]:  # fmt: skip
    started = time.monotonic()
    judge = _gate(settings, manifest)
    if settings.segments:  # calls that cannot be used are told before hours of scoring
        _judged(judge, paths, 0)
    unlabelled = _unlabelled(settings, manifest, paths, recordings)
    first = {"teachers": " ".join(paths)}
    asked = settings.teachers.teacher
    done = [rounds.Round(run_dir="", models=paths, row=first, quality=_judged(judge, paths, 0), asked=asked)]
    rounds.write_table(settings.run_dir, done)
    heads = teaching.heads(paths, manifest)
    for number in range(1, settings.rounds + 1):
        done.append(_round(settings, number, done[rounds.best(done)], paths, heads, unlabelled, judge))
        rounds.write_table(settings.run_dir, done)
        if judge and not gate.goes_on([one.quality for one in done if one.quality]):
            logging.info("round %d gains neither c-mAP nor MLRAP over the best one before it: the rounds end", number)
            break
    winner = rounds.best(done)
    export = rounds.take(settings.run_dir, done[winner])
    summary = {
        "winner": winner, "gained": winner > 0 if judge else None, "export": export,
        "rounds": [one.row for one in done],
        "num_unlabelled": unlabelled.num_recordings["noise"], "num_unlabelled_chunks": unlabelled.num_chunks("noise"),
        "unlabelled": settings.unlabelled, "wall_seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip
    files.write_json(os.path.join(settings.run_dir, files.SUMMARY), summary, durable=True)
    return summary


def _mixtures(settings: SelfTrainConfig) -> str:
    return os.path.join(settings.run_dir, _MIXTURES)


def _judges_by_mixtures(settings: SelfTrainConfig) -> bool:
    return settings.gate and not settings.segments


def _needs_mixtures(settings: SelfTrainConfig) -> bool:
    """Whether mixtures must still be made."""
    return _judges_by_mixtures(settings) and not files.exists(mixtures.places(_mixtures(settings))[1])


def _round_name(number: int) -> str:
    return f"round-{number}"


def _unlabelled(
    settings: SelfTrainConfig, manifest: manifests.Manifest, paths: Sequence[str],
    recordings: Sequence[metadata.Recording],
) -> manifests.Manifest:  # fmt: skip
    """The records of the unlabelled chunks that can carry a label; and mixtures, if the gate needs them."""
    output, needs_mixtures = os.path.join(settings.run_dir, _UNLABELLED), _needs_mixtures(settings)
    if files.exists(os.path.join(output, manifests.MANIFEST)) and not needs_mixtures:
        return manifests.load(output)
    teachers, scores = teaching.Teachers(settings.teachers_of(1, tuple(paths), ()), manifest), _scores(settings, 1)
    recordings, left_out = _without_judging(settings, manifest, recordings)
    skipped = teachers.score(recordings, scores, settings.place)
    skips.write(settings.run_dir, [*left_out, *skipped])
    unreadable = {path for path, _ in skipped}
    readable = [r for r in recordings if r.path not in unreadable]
    chunks = teaching.choose_chunks(
        teachers.answers(readable, scores), settings.power_of(1), settings.least_total_label
    )
    if _judges_by_mixtures(settings):
        chunks = teaching.with_noise_apart(chunks, readable)
    if needs_mixtures:
        mixed = mixtures.MixtureConfig(num_mixtures=settings.num_mixtures)
        gate.write_mixtures(_mixtures(settings), mixed, manifest, chunks.quiet, settings.seed)
    used = [r for r in readable if r.recording_id in chunks.kept]
    logging.info(
        "%d of %d chunks, of %d of %d recordings, can carry a label",
        sum(map(len, chunks.kept.values())), chunks.num_chunks, len(used), len(recordings),
    )  # fmt: skip
    seconds = dict(zip([r.recording_id for r in used], decode.durations([r.path for r in used]), strict=True))
    asked = _conversion(settings, manifest, output)
    return conversion.convert_unlabelled(asked, used, seconds, manifest.labelled_classes, chunks.kept)


def _without_judging(
    settings: SelfTrainConfig, manifest: manifests.Manifest, recordings: Sequence[metadata.Recording]
) -> tuple[list[metadata.Recording], list[skips.Skip]]:
    """The unlabelled recordings that models are not judged by, and (path, reason) of the others."""
    judging = teaching.judging(recordings, manifest, settings.segments_audio)
    kept = [r for r in recordings if r.recording_id not in judging]
    if not kept:
        raise config.InputError(
            f"--unlabelled={settings.unlabelled}: all recordings are validation recordings or those of "
            "--segments_audio, by which models are judged; give others"
        )
    reason = "models are judged by it, so none learns from it"
    return kept, [(r.path, reason) for r in recordings if r.recording_id in judging]


def _scores(settings: SelfTrainConfig, number: int) -> str:
    return os.path.join(settings.run_dir, f"answers-{number}")


def _conversion(settings: SelfTrainConfig, manifest: manifests.Manifest, output: str) -> conversion.ConvertConfig:
    """The flags of the labelled records' conversion, for the unlabelled ones.

    A backbone's features are left out: teachers hear the recordings, in overlapping windows, and students spectrograms.
    """
    known = {field.name for field, _ in config.leaves(conversion.ConvertConfig)}
    theirs = {name: value for name, value in manifest.converter.items() if name in known}
    return config.from_mapping(
        conversion.ConvertConfig,
        theirs | {
            "audio": settings.unlabelled, "metadata": "", "output": output, "whitelist": [], "max_classes": 0,
            "shard_minutes": settings.shard_minutes, "workers": settings.place.workers,
            "scheduler": settings.place.scheduler, "overwrite": False, "spectrogram": True, "backbone_mixtures": 0,
            **config.to_mapping(sources.BackboneConfig()),
        },
    )  # fmt: skip


def _gate(settings: SelfTrainConfig, manifest: manifests.Manifest) -> gate.Gate | None:
    if not settings.gate:
        return None
    audio, calls = settings.segments_audio, settings.segments
    if not calls:
        audio, calls = mixtures.places(_mixtures(settings))
    output = os.path.join(settings.run_dir, _JUDGED)
    return gate.Gate(
        manifest=manifest, audio=audio, calls=calls, output=output, place=settings.place, columns=settings.columns
    )


def _round(
    settings: SelfTrainConfig, number: int, student: rounds.Round, first: tuple[str, ...], heads: Sequence[str],
    unlabelled: manifests.Manifest, judge: gate.Gate | None,
) -> rounds.Round:  # fmt: skip
    """Labels, trains and judges.

    The heads, those of the first teachers whose features the records have, answer for the labelled chunks too: there
    they know more than the labels, which name the recording's species in all of its chunks.
    """
    paths = settings.teachers_of(number, first, student.models if student.run_dir else ())
    totals = _label(settings, number, paths, unlabelled)
    run_dir = os.path.join(settings.run_dir, _round_name(number))
    training.train(
        training_flags.within(
            settings, run_dir=run_dir, teacher=heads, overwrite=False, pseudo_labels=_labels(settings, number)
        )
    )
    keras.backend.clear_session()  # graphs of this training would stay in memory
    validated = os.path.join(run_dir, model_files.VALIDATED) if settings.refit else run_dir
    model = os.path.join(validated, exporter.EXPORT)
    row = {
        "run_dir": run_dir, "teachers": " ".join(paths), "power": settings.power_of(number),
        "unlabelled_chunks": totals.num_chunks, "labels_of_chunk": round(totals.mean_total, 4),
    }  # fmt: skip
    return rounds.Round(run_dir=run_dir, models=(model,), row=row, quality=_judged(judge, [model], number))


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
        if skipped := teachers.score(used, scores, settings.place):
            raise config.InputError(
                f"--unlabelled: {len(skipped)} of {len(used)} recordings have changed or gone while this command ran, "
                f"the first: {skipped[0][1]}; put them back, and repeat the command"
            )
        teaching.label(teachers, teachers.answers(used, scores), unlabelled, settings.power_of(number), folder)
    files.remove(scores)
    return teaching.totals(pseudo_labels.load(folder))


def main(settings: SelfTrainConfig) -> None:
    """Trains round by round, and logs the rounds, the one that is kept, and what to do next."""
    summary = selftrain(settings)
    if settings.dry_run:
        return
    for row in summary["rounds"]:
        logging.info("round %d: %s", row["round"], rounds.in_words(row))
    if not summary["winner"]:
        kept = f"it is {summary['export']}" if summary["export"] else "use the teachers as before"
        logging.info("%s: no round is better than the first teachers; %s", settings.run_dir, kept)
        return
    logging.info(
        "%s: round %d is kept, %.1f minutes; model in %s, all rounds in %s",
        settings.run_dir, summary["winner"], summary["wall_seconds"] / 60, summary["export"],
        os.path.join(settings.run_dir, rounds.TABLE),
    )  # fmt: skip
    next_steps.log(
        next_steps.command("evaluate", model=summary["export"], records=settings.records, tune=True),
        next_steps.predict([summary["export"]]),
    )


def run() -> None:
    """Entry point of `bird-tf-selftrain`."""
    command_line.run(main, SelfTrainConfig)


python_calls.make_callable(__name__, selftrain, SelfTrainConfig)


if __name__ == "__main__":
    run()
