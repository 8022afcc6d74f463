import dataclasses
import os

import numpy as np
import pytest

from bird_tf import config, convert, tf
from bird_tf.audio import decode
from bird_tf.inference import ensembles, labelled, saved_model
from bird_tf.labels.layouts import reader
from bird_tf.records import shard_files
from bird_tf.scores import pooling
from tests.conftest import SMALL, settings


@pytest.fixture(scope="module")
def ensemble(model_path):
    return ensembles.Ensemble([model_path])


@pytest.fixture(scope="module")
def found(source):
    return reader.read(source)[0]


def test_records_and_audio_give_the_same_scores(attention_model_path, manifest, found):
    ensemble = ensembles.Ensemble([attention_model_path])
    from_records = labelled.score_records(ensemble, manifest)
    wanted = [r for r in found if r.recording_id in from_records.recording_ids]
    from_audio = labelled.score_audio(ensemble, wanted, decode.ChunkingConfig())
    assert from_records.recording_ids == from_audio.recording_ids
    np.testing.assert_array_equal(from_records.labels, from_audio.labels)
    assert from_records.backgrounds == from_audio.backgrounds
    for name in ("member_probabilities", "member_attention_logits", "start_seconds"):
        for ours, theirs in zip(getattr(from_records, name), getattr(from_audio, name), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=0.01)  # records hold uint8
    for method in pooling.METHODS:
        ensemble.decisions = dataclasses.replace(ensemble.decisions, pooling=method)
        pooled = [scored.pooled(ensemble) for scored in (from_records, from_audio)]
        # a score may lie on either side of 1.5 × the median: then the pooled one jumps
        allowed = 0.1 if method == "median_filtered" else 0.04
        np.testing.assert_allclose(*pooled, atol=allowed, err_msg=method)


@pytest.mark.parametrize("has_spectrograms", [True, False])
def test_nothing_is_heard_in_chunks_of_records_without_sound(manifest, has_spectrograms):
    [batch] = [{**batch} for batch in shard_files.read(manifest, "val", 10_000)]
    spectrograms = batch.pop("spectrogram").numpy()
    spectrograms[::2] = 0
    if has_spectrograms:
        batch["spectrogram"] = tf.constant(spectrograms)
    outputs = saved_model.without_embeddings(np.full((1, len(spectrograms), 6), 0.9, np.float32), None)
    scored = labelled.score_batches([batch], manifest, lambda _: outputs)
    probabilities = np.concatenate(scored.member_probabilities, axis=1)
    assert (probabilities == 0).sum() == (6 * len(spectrograms[::2]) if has_spectrograms else 0)


@pytest.fixture(scope="module")
def annotated(data, found, tmp_path_factory):
    """Records of Raven selections, of one species for two seconds and then of two others; and what is annotated."""
    folder = tmp_path_factory.mktemp("annotated")
    (folder / "raven").mkdir()
    species = sorted({recording.label for recording in found})
    for i, recording in enumerate(found):
        first, second, third = (species[(i + k) % len(species)] for k in range(3))
        stem = os.path.splitext(os.path.basename(recording.path))[0]
        spans = (f"0\t2\t{first}", f"2\t2.6\t{second}", f"2.5\t2.6\t{third}")
        lines = "\n".join(("Begin Time (s)\tEnd Time (s)\tSpecies", *spans, ""))
        (folder / "raven" / f"{stem}.Table.1.selections.txt").write_text(lines)
    where = {"audio": data / "wav", "metadata": folder / "raven"}
    converted = convert.convert(
        settings(convert.ConvertConfig, **where, output=folder / "records", workers=1, val_share=0.3, **SMALL)
    )
    return converted, reader.read(reader.SourceConfig(**{name: str(path) for name, path in where.items()}))[0]


def test_records_and_audio_have_the_same_truth_where_labels_have_times(ensemble, annotated):
    records, recordings = annotated
    from_records = labelled.score_records(ensemble, records)
    wanted = [r for r in recordings if r.recording_id in from_records.recording_ids]
    from_audio = labelled.score_audio(ensemble, wanted, decode.ChunkingConfig())
    assert from_records.recording_ids == from_audio.recording_ids
    np.testing.assert_array_equal(from_records.labels, from_audio.labels)
    assert [sorted(own) for own in from_records.backgrounds] == from_audio.backgrounds
    assert {len(own) for own in from_audio.backgrounds} == {2}


def test_without_a_table_the_label_is_that_of_most_chunks_and_the_others_are_background(annotated, tmp_path):
    records = dataclasses.replace(annotated[0], directory=str(tmp_path))
    batch = {
        "recording_id": ["a"] * 4, "start_seconds": np.arange(4, dtype=np.float32), "label": [3, 1, 1, 2],
        "background": [[0, -1], [-1, -1], [2, -1], [-1, -1]],
    }  # fmt: skip
    outputs = saved_model.without_embeddings(np.zeros((1, 4, 6), np.float32), None)
    scored = labelled.score_batches(
        [{name: tf.constant(values) for name, values in batch.items()}], records, lambda batch: outputs
    )
    assert scored.labels.tolist() == [1] and sorted(scored.backgrounds[0]) == [0, 2, 3]


def test_records_of_another_front_end_are_refused_with_the_field(ensemble, manifest):
    other = dataclasses.replace(manifest, front_end=dataclasses.replace(manifest.front_end, fmin_hz=300.0))
    with pytest.raises(config.InputError, match=r"different front-ends: fmin_hz 500\.0 / 300\.0"):
        labelled.score_records(ensemble, other)


def test_recordings_with_unknown_labels_are_skipped_and_listed(ensemble, found):
    unknown = dataclasses.replace(found[0], label="strang", name="Strangus novus")
    scored = labelled.score_audio(ensemble, [unknown, *found[1:4]], decode.ChunkingConfig())
    assert len(scored.recording_ids) == 3
    assert scored.skipped == [(unknown.path, "strang is no class of the model")]
    with pytest.raises(config.InputError, match="none of 1 recordings"):
        labelled.score_audio(ensemble, [unknown], decode.ChunkingConfig())


def test_a_recording_is_judged_by_the_longest_species_that_the_model_knows(ensemble, annotated):
    recording = annotated[1][0]
    longest, second, third = recording.labels
    renamed = {longest: "strang"}
    spans = tuple(dataclasses.replace(a, label=renamed.get(a.label, a.label)) for a in recording.annotations)
    told = {"label": "strang", "name": "Strangus novus", "background": (second, third), "annotations": spans}
    scored = labelled.score_audio(ensemble, [dataclasses.replace(recording, **told)], decode.ChunkingConfig())
    assert not scored.skipped
    assert [ensemble.classes.class_ids[index] for index in scored.labels] == [second]
    assert scored.backgrounds == [sorted(map(ensemble.classes.index, (second, third)))]


def test_labels_may_be_latin_names_or_ids_of_others(ensemble, found):
    classes = ensemble.classes
    name = classes.names[classes.index(found[0].label)]
    by_name = [dataclasses.replace(found[0], label=label, name=name) for label in (found[0].label, name, "other id")]
    for recording in by_name:
        scored = labelled.score_audio(ensemble, [recording], decode.ChunkingConfig())
        assert [classes.class_ids[index] for index in scored.labels] == [found[0].label]


def test_species_in_the_background_may_have_ids_of_others(ensemble, annotated):
    classes, recordings = ensemble.classes, annotated[1][:2]
    expected = labelled.score_audio(ensemble, recordings, decode.ChunkingConfig())
    foreign = {class_id: f"{class_id}-1" for class_id in classes.class_ids}
    others = []
    for recording in recordings:
        spans = tuple(
            dataclasses.replace(a, label=foreign[a.label], name=classes.names[classes.index(a.label)])
            for a in recording.annotations
        )
        name, background = classes.names[classes.index(recording.label)], tuple(map(foreign.get, recording.background))
        told = {"label": foreign[recording.label], "name": name, "background": background, "annotations": spans}
        others.append(dataclasses.replace(recording, **told))
    found = labelled.score_audio(ensemble, others, decode.ChunkingConfig())
    assert found.backgrounds == expected.backgrounds and all(expected.backgrounds)
    # the name may stand in another row
    untimed = [dataclasses.replace(r, annotations=()) for r in others]
    swapped = [dataclasses.replace(untimed[0], background=(untimed[1].label,)), untimed[1]]
    found = labelled.score_audio(ensemble, swapped, decode.ChunkingConfig())
    assert found.backgrounds[0] == [found.labels[1]]


def test_batches_are_grouped_by_recording(manifest, generator):
    probabilities, logits = generator.random((1, 5, 6), np.float32), generator.random((1, 5), np.float32)
    ids, starts = ["b", "a", "b", "a", "b"], np.array([0, 0, 1, 1, 2], np.float32)
    chunks = {"recording_id": ids, "start_seconds": starts, "label": [3, 1, 3, 1, 3]}
    backgrounds = [[[-1], [2], [-1]], [[2, 0], [-1, -1]]]  # padded batch by batch
    batches = []
    for part, background in zip((slice(0, 3), slice(3, 5)), backgrounds, strict=True):
        batch = {name: tf.constant(values[part]) for name, values in chunks.items()}
        batches.append({**batch, "background": tf.constant(background)})
    outputs = iter(
        saved_model.without_embeddings(probabilities[:, part], logits[:, part]) for part in (slice(0, 3), slice(3, 5))
    )
    scored = labelled.score_batches(batches, manifest, lambda batch: next(outputs))
    assert scored.recording_ids == ["a", "b"] == [r.recording_id for r in scored.recordings]
    assert scored.labels.tolist() == [1, 3] and scored.backgrounds == [[2, 0], []]
    for i, own in enumerate(([1, 3], [0, 2, 4])):
        np.testing.assert_array_equal(scored.member_probabilities[i], probabilities[:, own])
        np.testing.assert_array_equal(scored.member_attention_logits[i], logits[:, own])
        np.testing.assert_array_equal(scored.start_seconds[i], starts[own])
    assert scored.duration_seconds == [1 + manifest.front_end.chunk_seconds, 2 + manifest.front_end.chunk_seconds]
