import collections
import dataclasses
import shutil

import numpy as np
import pytest

from bird_tf import config, tf
from bird_tf.audio import frontend, noises
from bird_tf.input import dataset, streams
from bird_tf.input.augment import augmentations
from bird_tf.records import schema, shard_files


def test_no_call_shares_that_leave_nothing_are_refused():
    with pytest.raises(config.InputError, match="--no_call_share"):
        streams.StreamConfig(no_call_share=0.99, batch_size=4)
    with pytest.raises(config.InputError, match=r"--no_call_share=0\.1 --batch_size=1: need a share"):
        streams.StreamConfig(no_call_share=0.1, batch_size=1)


@pytest.mark.parametrize(("batch_size", "share", "expected"), [(4, 0.1, 1), (32, 0.01, 1), (64, 0.1, 6), (4, 0.0, 0)])
def test_a_share_of_noise_is_one_chunk_of_a_batch_at_least(manifest, batch_size, share, expected):
    settings = streams.StreamConfig(batch_size=batch_size, no_call_share=share)
    assert streams.num_no_call(manifest, settings) == expected
    quiet = dataclasses.replace(manifest, shards={**manifest.shards, "noise": ()})
    assert streams.num_no_call(quiet, settings) == 0


@pytest.fixture
def with_many_mixtures(manifest, tmp_path):
    """The training chunks with three mixtures of each, in one file that is much larger than a shuffle buffer of 8."""
    chunks = [chunk for path in manifest.paths("train") for chunk in tf.data.TFRecordDataset(path).as_numpy_iterator()]
    with shard_files.writing(str(tmp_path), "mixed") as writer:
        for number in range(3 * len(chunks)):
            example = tf.train.Example.FromString(chunks[number // 3])
            example.features.feature["recording_id"].bytes_list.value[:] = [b"mixture %d" % number]
            writer.write_serialised(example.SerializeToString())
    for path in manifest.paths("train"):
        shutil.copy(path, tmp_path)
    mixed = (shard_files.describe_shard(str(tmp_path), "mixed", 3 * len(chunks)),)
    return dataclasses.replace(manifest, directory=str(tmp_path), shards={**manifest.shards, "mixed": mixed})


def test_every_mixture_is_drawn_as_often_as_every_chunk(with_many_mixtures):
    settings = streams.StreamConfig(batch_size=4, shuffle_buffer=8, mixtures=True)
    steps, epochs = streams.steps_per_epoch(with_many_mixtures, settings), 150
    batches = streams.batches(with_many_mixtures, settings, augmentations.AugmentConfig(), 0, streams.BEGINNING, None)
    drawn = collections.Counter[bytes]()
    for batch in batches.take(steps * epochs):
        drawn.update(schema.parse_order(batch["examples"])["recording_id"].numpy().tolist())
    number = with_many_mixtures.num_chunks("mixed")
    of_mixtures = [drawn[b"mixture %d" % index] for index in range(number)]
    # of each four, one is no mixture
    assert sum(of_mixtures) / drawn.total() == pytest.approx(0.75, abs=0.03)
    expected = 0.75 * drawn.total() / number
    assert min(of_mixtures) > expected / 2
    # the epochs of these few chunks end before the last ones of a pass that draws more than were expected
    assert [np.mean(third) for third in np.split(np.array(of_mixtures), 3)] == pytest.approx([expected] * 3, rel=0.25)


def test_a_second_training_takes_the_synthesised_noise_of_the_first(manifest, monkeypatch):
    settings = dataset.DatasetConfig(synthetic_noise=5, no_call_share=0.5)
    first = next(iter(dataset.training(manifest, settings, augmentations.AugmentConfig(), seed=77)))
    monkeypatch.setattr("bird_tf.audio.noises.synthesise", lambda *_: pytest.fail("synthesised again"))
    second = next(iter(dataset.training(manifest, settings, augmentations.AugmentConfig(), seed=77)))
    np.testing.assert_array_equal(first["spectrogram"], second["spectrogram"])


def test_half_of_the_noise_is_synthesised_and_all_of_it_without_recorded_noise(manifest):
    settings = dataset.DatasetConfig(batch_size=16, no_call_share=0.5, synthetic_noise=6)
    quiet = dataclasses.replace(manifest, shards={**manifest.shards, "noise": ()})
    nothing = augmentations.AugmentConfig()
    made = frontend.spectrograms(
        noises.synthesise(6, manifest.front_end.sample_rate_hz, manifest.front_end.chunk_samples, 2 * 3),
        manifest.front_end,
    ).numpy()

    def num_synthesised(records):
        batch = next(iter(dataset.training(records, settings, nothing, seed=3)))
        no_call = batch["spectrogram"].numpy()[batch["label"].numpy() == -1]
        distances = np.abs(no_call[:, None] - made[None]).max(axis=(2, 3)).min(axis=1)
        return len(no_call), int((distances < 0.01).sum())

    assert num_synthesised(manifest) == (8, 4) and num_synthesised(quiet) == (8, 8)
    off = dataclasses.replace(settings, synthetic_noise=0)
    assert not streams.has_noise(quiet, off) and streams.has_noise(manifest, off)
    with pytest.raises(config.InputError, match="--synthetic_noise"):
        streams.StreamConfig(synthetic_noise=-1)
