import dataclasses
import math

import numpy as np
import pytest

from bird_tf import config, executor
from bird_tf.conversion import folds
from bird_tf.evaluation import mixtures
from bird_tf.inference import ensembles, labelled, saved_model, scoring
from bird_tf.records import manifests, shard_files
from bird_tf.selftraining import gate
from tests import conftest

PLACE = executor.PlaceConfig(threads=1)
MIXED = mixtures.MixtureConfig()


def _quality(cmap, mlrap):
    return gate.Quality(cmap=cmap, auroc=0.5, mlrap=mlrap)


def test_the_round_with_the_best_mean_is_kept_and_no_gain_keeps_the_teachers():
    teacher = _quality(0.5, 0.7)
    assert gate.best([teacher]) == 0
    assert gate.best([teacher, _quality(0.6, 0.69), _quality(0.58, 0.7)]) == 1
    assert gate.best([teacher, _quality(0.5, 0.7)]) == 0
    assert gate.best([teacher, _quality(0.55, 0.6)]) == 0
    unknown = math.nan
    assert gate.best([_quality(0.5, unknown), _quality(0.6, unknown)]) == 1


def test_rounds_end_when_neither_metric_gains_over_the_best_before():
    teacher = _quality(0.5, 0.7)
    assert gate.goes_on([teacher])
    assert gate.goes_on([teacher, _quality(0.6, 0.6)]) and gate.goes_on([teacher, _quality(0.4, 0.71)])
    assert not gate.goes_on([teacher, _quality(0.501, 0.7)])
    assert not gate.goes_on([teacher, _quality(0.6, 0.7), _quality(0.55, 0.7)])
    assert not gate.goes_on([_quality(0.5, math.nan), _quality(0.4, math.nan)])


def _oracle(monkeypatch, manifest, calls, columns):
    """Makes every model say what is true, with the classes in another order: `columns`, one for each class."""
    truth = {row["media_id"]: [] for row in calls}
    for row in calls:
        truth[row["media_id"]].append((float(row["start_seconds"]), float(row["end_seconds"]), row["class_id"]))

    def scored(ensemble, recordings, chunking, **_):
        for recording_id, path in recordings:
            start = np.arange(12.0)
            probabilities = np.full((12, len(columns)), 0.1, np.float32)
            for begin, end, class_id in truth[recording_id.removesuffix(".wav")]:
                heard = columns[manifest.classes.index(class_id)]
                probabilities[(start < end) & (start + 1 > begin), heard] = 0.9
            scores = ensembles.RecordingScores(
                path=path, duration_seconds=12.0, start_seconds=start, end_seconds=start + 1,
                member_probabilities=probabilities[None], probabilities=probabilities,
                member_attention_logits=np.zeros((1, 12)), attention_logits=np.zeros(12),
                embeddings=np.zeros((0, 0), np.float32),
            )  # fmt: skip
            yield scoring.ScoredRecording(recording_id=recording_id, path=path, scores=scores)

    def of_records(ensemble, records):
        found = labelled.score_batches(
            shard_files.read(records, "val", 64, ()), records,
            lambda batch: saved_model.without_embeddings(np.full((1, len(batch["label"]), len(columns)), 0.1), None),
        )  # fmt: skip
        for label, members in zip(found.labels, found.member_probabilities, strict=True):
            members[:, :, columns[label]] = 0.9
        return found

    monkeypatch.setattr(gate.soundscapes.scoring, "score_recordings", scored)
    monkeypatch.setattr(gate.labelled, "score_records", of_records)


def test_a_teacher_that_is_wrong_about_a_class_is_not_confirmed_by_its_student(
    manifest, model_path, data, tmp_path, monkeypatch
):
    """The student repeats the error of its teacher, and agrees with all its labels; the gate still tells."""
    root = {path.stem.split("RN")[-1]: str(path) for path in (data / "wav").iterdir()}
    quiet = [(root[recording], start) for recording, start, *_ in mixtures.spans(manifest, "noise")][:4]
    mixed = mixtures.MixtureConfig(num_mixtures=2, seconds=12.0, calls=6)
    gate.write_mixtures(str(tmp_path / "mixtures"), mixed, manifest, quiet, 0)
    audio, calls = mixtures.places(str(tmp_path / "mixtures"))
    rows = conftest.table(calls)
    judge = gate.Gate(manifest=manifest, audio=audio, calls=calls, output=str(tmp_path / "judged"), place=PLACE)
    right_order = list(range(len(manifest.classes)))
    wrong = manifest.classes.index(rows[0]["class_id"])
    wrong_order = [right_order[(wrong + 1) % 6] if i == wrong else i for i in right_order]
    qualities = {}
    for name, columns in (("right", right_order), ("wrong", wrong_order)):
        _oracle(monkeypatch, manifest, rows, columns)
        qualities[name] = judge.judge([model_path], name)
    right, wrong = qualities["right"], qualities["wrong"]
    assert right.cmap == pytest.approx(1) and wrong.cmap < 0.95
    assert gate.best([wrong, wrong, right]) == 2 and gate.best([right, wrong]) == 0
    assert gate.goes_on([wrong, right]) and not gate.goes_on([right, wrong]) and not gate.goes_on([wrong, wrong])


@pytest.mark.parametrize(("num_classes", "expected"), [(3, 1.0), (1, math.nan)])
def test_a_teacher_that_knows_more_classes_is_ranked_among_those_of_the_records(
    manifest, model_path, tmp_path, monkeypatch, num_classes, expected
):
    """A student knows only these, and would win by it."""
    few = dataclasses.replace(manifest, classes=manifest.classes.subset(range(num_classes)))
    judge = gate.Gate(manifest=few, audio="", calls="", output=str(tmp_path), place=PLACE)
    ensemble = ensembles.Ensemble([model_path], "none")
    probabilities = np.full((1, 1, len(ensemble.classes)), 0.1, np.float32)
    own, *others = (ensemble.classes.index(class_id) for class_id in manifest.classes.class_ids)
    probabilities[..., own], probabilities[..., others[num_classes:]] = 0.5, 0.9
    scored = labelled.LabelledScores(
        recording_ids=["1"], recordings=[], labels=np.array([own]), backgrounds=[[]],
        member_probabilities=[probabilities], member_attention_logits=[np.zeros((1, 1), np.float32)],
        start_seconds=[np.zeros(1)], duration_seconds=[1.0], paths=[""], skipped=[],
    )  # fmt: skip
    monkeypatch.setattr(gate.labelled, "score_records", lambda *_: scored)
    assert judge._mlrap(ensemble) == pytest.approx(expected, nan_ok=True)


def test_what_no_round_can_be_judged_by_is_refused(manifest, tmp_path):
    found = folds.recordings(manifest.directory)
    folds.regroup(manifest, str(tmp_path / "few"), {found[0].recording_id: "train"})
    few = manifests.load(str(tmp_path / "few"))
    with pytest.raises(config.InputError, match=r"no validation recordings.* --nogate"):
        gate.write_mixtures(str(tmp_path / "out"), MIXED, few, [("a.wav", 0.0)], 0)
    with pytest.raises(config.InputError, match=r"no chunk with sound is without calls.* --segments"):
        gate.write_mixtures(str(tmp_path / "out"), MIXED, manifest, [], 0)
    moved = dataclasses.replace(manifest, converter={**manifest.converter, "audio": str(tmp_path)})
    with pytest.raises(config.InputError, match=r"is not there; .*--segments"):
        gate.write_mixtures(str(tmp_path / "out"), MIXED, moved, [("a.wav", 0.0)], 0)
