import numpy as np
import pytest

import bird_tf

pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def records(manifest):
    return bird_tf.open_records(manifest.directory)


def test_recordings_are_a_table(records, manifest):
    table = records.recordings
    assert table.index.name == "recording_id" and set(table["split"]) == {"train", "val"}
    assert table["seconds"].dtype == float and table["chunks"].sum() > 0
    assert set(table["label"]) == set(manifest.classes.class_ids)


def test_classes_are_in_the_order_of_the_labels(records, manifest):
    table = records.classes
    assert tuple(table.index) == manifest.classes.class_ids and tuple(table["name"]) == manifest.classes.names
    assert table["training_chunks"].sum() == manifest.num_chunks("train")
    assert table["validation_chunks"].sum() == manifest.num_chunks("val")


def test_batches_are_those_of_a_training(records):
    batches = records.training(batch_size=4, roll_time=0.5, seed=3)
    first, second = (next(iter(stream)) for stream in (batches, records.training(batch_size=4, roll_time=0.5, seed=3)))
    assert first["spectrogram"].shape == (4, *records.features["spectrogram"])
    assert np.array_equal(first["spectrogram"], second["spectrogram"])


def test_every_validation_chunk_comes_once(records, manifest):
    assert sum(len(batch["label"]) for batch in records.validation(batch_size=5)) == manifest.num_chunks("val")


def test_errors_are_of_one_family(records, tmp_path):
    with pytest.raises(bird_tf.Error, match="no such records"):
        bird_tf.open_records(tmp_path / "nothing")
    with pytest.raises(bird_tf.Error, match="embedding"):
        records.validation(features=["embedding"])
    with pytest.raises(bird_tf.Error, match="batch_sise"):
        records.training(batch_sise=3)
