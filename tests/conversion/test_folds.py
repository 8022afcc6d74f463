import csv
import dataclasses

import pytest

from bird_tf import config, tf
from bird_tf.conversion import folds
from bird_tf.labels import metadata, split
from bird_tf.records import manifests, recordings_table, schema


def _chunks(manifest, part):
    """{(recording id, chunk index): serialised example}."""
    chunks = {}
    for example in tf.data.TFRecordDataset(manifest.paths(part)).as_numpy_iterator():
        parsed = schema.parse(tf.constant([example]), manifest.front_end)
        chunks[parsed["recording_id"].numpy()[0].decode(), int(parsed["chunk_index"][0])] = example
    return chunks


def test_the_test_recordings_of_a_fold_are_not_in_its_training_records(manifest, tmp_path):
    settings = split.SplitConfig(val_share=0.3)
    tested = []
    for fold in range(3):
        folds.prepare(manifest, str(tmp_path / str(fold)), 3, fold, settings)
        training, test = (manifests.load(str(tmp_path / str(fold) / name)) for name in ("records", "test"))
        trained = {key[0] for part in manifests.SPLITS for key in _chunks(training, part)}
        held_out = {key[0] for key in _chunks(test, "val")}
        assert trained and held_out and not trained & held_out
        assert not test.num_chunks("train")
        tested += sorted(held_out)
    everything = {key[0] for part in ("train", "val") for key in _chunks(manifest, part)}
    assert sorted(tested) == sorted(everything)


def test_regrouped_chunks_have_the_same_bytes_and_are_counted(manifest, tmp_path):
    found = folds.recordings(manifest.directory)
    chosen = {r.recording_id: ("val" if i % 3 else "train") for i, r in enumerate(found[:9])}
    made = folds.regroup(manifest, str(tmp_path / "some"), chosen)
    before = _chunks(manifest, "train") | _chunks(manifest, "val")
    for part in ("train", "val"):
        chunks = _chunks(made, part)
        assert chunks == {key: value for key, value in before.items() if chosen.get(key[0]) == part}
        assert made.num_recordings[part] == len({key[0] for key in chunks})
        assert made.num_chunks(part) == len(chunks) == sum(made.chunks_per_class[part])
    noise = _chunks(manifest, "noise")
    assert _chunks(made, "noise") == {key: value for key, value in noise.items() if key[0] in chosen}
    assert manifests.load(str(tmp_path / "some")).chunks_per_class == made.chunks_per_class
    with open(tmp_path / "some" / manifests.RECORDINGS) as file:
        assert {row["recording_id"]: row["split"] for row in csv.DictReader(file)} == chosen


def test_folds_do_not_depend_on_which_recordings_gave_chunks(tmp_path):
    """Two front-ends that skip different recordings are tested on the same recordings."""
    recordings = [metadata.Recording(recording_id=str(i), path=f"{i}.wav", label="ab"[i % 2]) for i in range(9)]
    assigned = []
    for skipped in ("3", "6"):
        entries = [(r, (1.0, int(r.recording_id != skipped), 0, "")) for r in recordings]
        folder = tmp_path / skipped
        recordings_table.write(str(folder), "", entries)
        assigned.append(split.folds(folds.recordings(str(folder)), 3, split.SplitConfig()))
    assert assigned[0] == assigned[1] and len(assigned[0]) == 9


def test_regrouped_records_keep_their_format_version(manifest, tmp_path):
    old = dataclasses.replace(manifest, format_version=2, backbone={"model": "x"})
    chosen = {r.recording_id: "train" for r in folds.recordings(manifest.directory)[:3]}
    folds.regroup(old, str(tmp_path / "some"), chosen)
    loaded = manifests.load(str(tmp_path / "some"))
    assert (loaded.format_version, loaded.backbone) == (2, {"model": "x"})


def test_records_without_their_table_are_refused(manifest, tmp_path):
    with pytest.raises(config.InputError, match=r"recordings\.csv is missing"):
        folds.recordings(str(tmp_path))
