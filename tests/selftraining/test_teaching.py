import dataclasses
import shutil
import types

import numpy as np
import pytest

from bird_tf import config, executor
from bird_tf.audio import decode
from bird_tf.inference import ensembles, scoring
from bird_tf.input import pseudo_labels
from bird_tf.labels import metadata
from bird_tf.records import recordings_table, shard_files
from bird_tf.scores import context
from bird_tf.selftraining import teaching

PLACE = executor.PlaceConfig(threads=1)


def _answered(*many):
    """Recordings "0", "1", … with these probabilities of their chunks, [chunks, classes] each."""
    for number, rows in enumerate(many):
        probabilities = np.array(rows, np.float32)
        start = np.arange(len(probabilities), dtype=float)
        logits = np.zeros(len(probabilities))
        yield metadata.Recording(recording_id=str(number), path=f"{number}.wav"), ensembles.RecordingScores(
            path="", duration_seconds=1.0, start_seconds=start, end_seconds=start + 1,
            member_probabilities=probabilities[None], probabilities=probabilities, member_attention_logits=logits[None],
            attention_logits=logits, embeddings=np.zeros((0, 0), np.float32),
        )  # fmt: skip


def test_chunks_that_can_carry_a_label_are_kept_and_quiet_ones_become_noise():
    many = ([[0.5, 0.4], [0.1, 0.1], [0.0, 0.02]], [[0.0, 0.1], [0.6, 0.0]], [[0.1, 0.0]], [[0.0, 0.0]])
    chosen = teaching.choose_chunks(_answered(*many), 1.0, 0.2)
    assert chosen.kept == {"0": {0, 1}, "1": {1}} and chosen.num_chunks == 7
    # the quietest first; 0.6 is a call, and where nothing is heard there is no sound, so no noise
    assert chosen.quiet == [("0.wav", 2.0), ("0.wav", 1.0), ("1.wav", 0.0), ("2.wav", 0.0)]
    assert teaching.choose_chunks(_answered(*many), 2.0, 0.2).kept == {"0": {0}, "1": {1}}
    with pytest.raises(config.InputError, match=r"least_total_label=2.*greatest total is 0\.900"):
        teaching.choose_chunks(_answered(*many), 1.0, 2.0)


def test_no_student_trains_on_recordings_whose_noise_it_is_judged_in(caplog):
    rows = [[[0.3 + number / 100], [0.2 + number / 100]] for number in range(10)]
    recordings = [recording for recording, _ in _answered(*rows)]
    chosen = teaching.with_noise_apart(teaching.choose_chunks(_answered(*rows), 1.0, 0.1), recordings)
    assert chosen.quiet == [("0.wav", 1.0), ("1.wav", 1.0), ("0.wav", 0.0), ("1.wav", 0.0)]
    assert [*chosen.kept] == [str(number) for number in range(2, 10)] and chosen.num_chunks == 20
    assert "only 4 quiet chunks of 2 recordings" in caplog.text
    alone = teaching.choose_chunks(_answered(*rows[:1]), 1.0, 0.1)
    assert teaching.with_noise_apart(alone, recordings[:1]) is alone and "which favours them" in caplog.text


def test_unlabelled_recordings_that_judge_are_known_by_their_sound(manifest, data, tmp_path):
    validation = [r.path.split("/")[-1] for r in recordings_table.validation(manifest)]
    training = [r.path.split("/")[-1] for r in recordings_table.training(manifest)]
    for folder, name, source in (
        ("all", "a.wav", validation[0]), ("all", "b.wav", training[0]), ("all", "c.wav", training[1]),
        ("judging", "x.wav", training[1]), ("judging", "b.wav", training[2]),
    ):  # fmt: skip
        (tmp_path / folder).mkdir(exist_ok=True)
        shutil.copy(data / "wav" / source, tmp_path / folder / name)
    for folder in ("all", "judging"):
        (tmp_path / folder / "broken.wav").write_bytes(b"x")
    recordings = teaching.find(str(tmp_path / "all"))
    assert teaching.judging(recordings, manifest, "") == {"a.wav"}
    assert teaching.judging(recordings, manifest, str(tmp_path / "judging")) == {"a.wav", "c.wav"}


def test_teachers_answer_with_overlapping_windows_averaged_over_time(model_path, manifest, unlabelled, tmp_path):
    teachers = teaching.Teachers([model_path], manifest)
    recordings = teaching.find(str(unlabelled))
    assert [r.recording_id for r in recordings][:2] == ["broken.wav", "deep/0.wav"]
    skipped = teachers.score(recordings, str(tmp_path / "scores"), PLACE)
    assert [path for path, _ in skipped] == [str(unlabelled / "broken.wav")]
    [first, *_] = teachers.answers(recordings[1:], str(tmp_path / "scores"))
    raw = ensembles.Ensemble([model_path], "none")
    with_shifted = decode.WithShiftedChunks(**vars(teaching.chunking_of(manifest)))
    [scored] = scoring.score_recordings(raw, [("a", first[0].path)], with_shifted)
    probabilities = scored.scores.probabilities
    kept = np.arange(len(first[1].probabilities)) * 2
    expected = context.Context(shifted=True).answers(probabilities, 2.0, kept)
    np.testing.assert_allclose(first[1].probabilities, expected, atol=1e-5)


def test_labels_are_powers_of_probabilities_and_no_more_than_one_a_chunk(model_path, manifest, tmp_path):
    [every] = shard_files.read(manifest, "noise", 1000, ())
    ids = [i.decode() for i in every["recording_id"].numpy()]
    teachers = teaching.Teachers([model_path], manifest)
    count = int(every["chunk_index"].numpy().max()) + 1

    def write(probability, power):
        many = [(metadata.Recording(recording_id=i, path=""), next(_answered([[probability] * 6] * count))[1])
                for i in sorted(set(ids))]  # fmt: skip
        teaching.label(teachers, iter(many), manifest, power, str(tmp_path / "labels"))
        return pseudo_labels.load(str(tmp_path / "labels"))

    pseudo = write(0.3, 1.5)
    np.testing.assert_allclose(pseudo.labels, 0.3**1.5, rtol=1e-3)
    assert teaching.totals(pseudo).mean_total == pytest.approx(6 * 0.3**1.5, rel=1e-2)
    assert {i for i, _, _ in pseudo.learnt.rows} >= set(ids)  # the student has heard them, and what its teacher knows
    limited = write(0.9, 1.0)  # the sum of six classes is 5.4
    assert teaching.totals(limited).mean_total == pytest.approx(1, rel=1e-2)


def test_teachers_of_other_classes_or_other_chunks_are_refused(model_path, manifest):
    more = dataclasses.replace(manifest, classes=dataclasses.replace(
        manifest.classes, class_ids=(*manifest.classes.class_ids, "zzz"), names=(*manifest.classes.names, "Z")
    ))  # fmt: skip
    with pytest.raises(config.InputError, match=r"does not know 1 of 7 classes of .*: zzz"):
        teaching.Teachers([model_path], more)
    long = dataclasses.replace(manifest, front_end=dataclasses.replace(manifest.front_end, chunk_seconds=2.0))
    with pytest.raises(config.InputError, match=r"hears chunks of 1 s, and .* has chunks of 2 s"):
        teaching.Teachers([model_path], long)


def test_only_heads_whose_features_the_records_have_answer_for_labelled_chunks(manifest, monkeypatch, caplog):
    backbones = {"network": None, "head": {"name": "birdnet"}, "of another backbone": {"name": "perch"}}
    monkeypatch.setattr(
        teaching.model_files, "read_description", lambda path: types.SimpleNamespace(backbone=backbones[path])
    )

    def load(settings, records):
        if settings.teacher == ("of another backbone",):
            raise config.InputError("the records lack the feature embedding")
        return [settings.teacher]

    monkeypatch.setattr(teaching.distillation, "load", load)
    with caplog.at_level("INFO", logger="absl"):
        assert teaching.heads(list(backbones), manifest) == ["head"]
    assert "of another backbone answers for unlabelled recordings only: the records lack" in caplog.text


def test_unreadable_recordings_alone_are_refused(model_path, manifest, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.wav").write_bytes(b"x")
    recordings = teaching.find(str(tmp_path / "bad"))
    with pytest.raises(config.InputError, match=r"none of 1 recordings can be read; the first: .*a.wav"):
        teaching.Teachers([model_path], manifest).score(recordings, str(tmp_path / "scores"), PLACE)
    for folder, words in ((tmp_path / "none", "is not a folder"), (tmp_path / "scores", "holds no recordings")):
        with pytest.raises(config.InputError, match=words):
            teaching.find(str(folder))


def test_the_chunks_of_the_labelled_records_are_those_of_the_unlabelled_ones(manifest):
    assert teaching.chunking_of(manifest) == teaching.decode.ChunkingConfig()
    overlapping = dataclasses.replace(manifest, converter={**manifest.converter, "overlap_seconds": 0.25})
    assert teaching.chunking_of(overlapping).overlap_seconds == 0.25
