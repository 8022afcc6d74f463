import collections
import dataclasses

import numpy as np
import pytest

from bird_tf import config, tf
from bird_tf.input import sampling
from bird_tf.labels import taxonomy
from bird_tf.records import schema, shard_files

FOUND = np.array([100, 400, 0, 25])


def test_balance_draws_classes_by_a_power_of_their_count():
    expected = {0.0: [100, 400, 0, 25], 0.5: 525 * np.array([10, 20, 0, 5]) / 35, 1.0: [175, 175, 0, 175]}
    for a, numbers in expected.items():
        rates = sampling.rates(FOUND, sampling.SamplingConfig(balance=a))
        np.testing.assert_allclose(rates * FOUND, numbers)


def test_limits_hold_for_every_class_that_is_there():
    rates = sampling.rates(FOUND, sampling.SamplingConfig(min_per_class=60, max_per_class=150))
    np.testing.assert_allclose(rates * FOUND, [100, 150, 0, 60])


def _chunks(labels, ratios):
    chunk = dict(
        background=(), background_known=True, recording_id="r", start_seconds=0.0,
        latitude=0.0, longitude=0.0, day_of_year=1.0, hour=1.0, spectrogram=np.zeros((2, 2), np.uint8),
    )  # fmt: skip
    return [
        schema.serialise(schema.Chunk(label=label, signal_to_noise=ratio, chunk_index=i, **chunk))
        for i, (label, ratio) in enumerate(zip(labels, ratios, strict=True))
    ]


@pytest.fixture(scope="module")
def stream():
    """2000 chunks: of class 0 1600, 1 300, 2 100; ratios from 0 to 1."""
    labels = np.random.default_rng(0).permutation([0] * 1600 + [1] * 300 + [2] * 100)
    return tf.data.Dataset.from_tensor_slices(_chunks(labels, np.arange(2000) / 2000))


def _counts(examples):
    labels = [int(schema.parse_label(example[None])["label"][0]) for example in examples]
    return np.bincount(labels, minlength=3)


@pytest.mark.parametrize("values", [{"balance": 0.5}, {"balance": 1.0}, {"min_per_class": 250, "max_per_class": 400}])
def test_the_stream_has_the_expected_frequencies(stream, values):
    settings = sampling.SamplingConfig(**values)
    found = np.array([1600, 300, 100])
    wanted = sampling.rates(found, settings)
    drawn = _counts(sampling.resample(stream, wanted, None, tf.constant([1, 2], tf.int64)))
    # each chunk adds a Bernoulli variable: 4 standard deviations
    fraction = wanted % 1
    np.testing.assert_array_less(np.abs(drawn - wanted * found), 4 * np.sqrt(found * fraction * (1 - fraction)) + 1)


def test_another_epoch_keeps_other_chunks(stream):
    settings = sampling.SamplingConfig(max_per_class=100)
    wanted = sampling.rates(np.array([1600, 300, 100]), settings)

    def kept(*seed):
        return list(sampling.resample(stream, wanted, None, tf.constant(seed, tf.int64)).as_numpy_iterator())

    assert kept(1, 2) == kept(1, 2)
    assert len(set(kept(1, 2)) & set(kept(1, 3))) < 0.7 * len(kept(1, 2))


def test_the_signal_to_noise_interval_is_a_filter(manifest, stream):
    settings = sampling.SamplingConfig(min_signal_to_noise=0.25, max_signal_to_noise=0.5)
    keeps = sampling.chunk_filter(manifest, settings)
    kept = sampling.resample(stream, np.ones(3), keeps, tf.constant([1, 2], tf.int64))
    ratios = schema.parse_label(tf.stack(list(kept)))["signal_to_noise"].numpy()
    assert len(ratios) == 501 and ratios.min() == 0.25 and ratios.max() == 0.5


def test_without_settings_the_stream_is_as_it_was(manifest, stream):
    settings = sampling.SamplingConfig()
    rates = sampling.rates(np.array([1600, 300, 100]), settings)
    keeps = sampling.chunk_filter(manifest, settings)
    assert keeps is None and sampling.resample(stream, rates, keeps, tf.constant([1, 2], tf.int64)) is stream


@pytest.fixture
def taught(manifest, tmp_path):
    """A manifest of two shards, and {chunk index: what the teacher gives its label in its recording}."""
    nan = np.nan
    # (recording, label, answers)
    rows = [
        ("a", 0, [0.8, 0.1]), ("a", 0, [0.3, 0.9]), ("a", 0, [0.41, 0.9]),
        ("b", 0, [0.02, 0.9]), ("b", 0, [0.005, 0.9]), ("b", 1, [0.9, 0.01]),
        ("c", 1, [0.9, nan]), ("c", 1, [0.9, nan]), ("d", 1, [0.0, 0.0]),
    ]  # fmt: skip
    shards = []
    for shard in range(2):
        name = f"train-{shard}.tfrecord"
        with shard_files.writing(str(tmp_path), name) as writer:
            for i in range(shard, len(rows), 2):
                recording, label, answers = rows[i]
                writer.write(
                    schema.Chunk(
                        spectrogram=np.zeros((2, 2), np.uint8), label=label, background=(), background_known=True,
                        recording_id=recording, chunk_index=i, start_seconds=0.0, signal_to_noise=0.5, latitude=0.0,
                        longitude=0.0, day_of_year=1.0, hour=1.0, teacher=answers,
                    )
                )  # fmt: skip
        shards.append(shard_files.describe_shard(str(tmp_path), name, writer.count))
    return dataclasses.replace(
        manifest, directory=str(tmp_path), shards={"train": tuple(shards), "val": (), "noise": ()},
        classes=taxonomy.Taxonomy(("x", "y"), ("x", "y")), teacher={"model": "m", "fingerprint": "", "classes": ["x"]},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("presence", "kept"), [(0.5, {0, 2, 3, 5, 6, 7, 8}), (0.2, {0, 1, 2, 3, 4, 5, 6, 7, 8}), (1.0, {0, 3, 5, 6, 7, 8})]
)
def test_chunks_in_which_the_teacher_hears_the_label_stay(taught, presence, kept):
    """By its most in recording and label; where it does not know the species, all stay."""
    settings = sampling.SamplingConfig(teacher_presence=presence)
    examples = tf.data.TFRecordDataset(taught.paths("train"))
    resampled = sampling.resample(
        examples, np.ones(2), sampling.chunk_filter(taught, settings), tf.constant([1, 2], tf.int64)
    )
    index = {"chunk_index": tf.io.FixedLenFeature([], tf.int64)}
    assert {int(tf.io.parse_single_example(e, index)["chunk_index"]) for e in resampled} == kept
    assert sampling.counts(taught, settings).sum() == len(kept)


def test_counts_follow_the_interval(manifest):
    plain = sampling.counts(manifest, sampling.SamplingConfig())
    np.testing.assert_array_equal(plain, manifest.chunks_per_class["train"])
    batches = list(shard_files.read(manifest, "train", 64))
    ratios = np.concatenate([batch["signal_to_noise"] for batch in batches])
    settings = sampling.SamplingConfig(min_signal_to_noise=float(np.median(ratios)))
    filtered = sampling.counts(manifest, settings)
    assert filtered.sum() == (ratios >= np.median(ratios)).sum() < plain.sum()
    assert sampling.chunks_per_epoch(manifest, settings) == pytest.approx(filtered.sum())


def test_an_interval_without_chunks_is_refused(manifest):
    with pytest.raises(config.InputError, match=r"min_signal_to_noise=0\.99"):
        sampling.counts(manifest, sampling.SamplingConfig(min_signal_to_noise=0.99))


def test_partners_are_others_of_the_same_species(stream):
    pairs = list(sampling.with_partners(stream).as_numpy_iterator())
    first, second = (schema.parse_label([pair[i] for pair in pairs])["label"].numpy() for i in (0, 1))
    np.testing.assert_array_equal(first, second)
    assert sum(own == other for own, other in pairs) <= 3  # the last of a species may be left alone
    alone = collections.Counter(own for own, _ in pairs)
    assert len(alone) == 2000 and set(alone.values()) == {1}


@pytest.mark.parametrize(
    "changes",
    [{"balance": 1.5}, {"min_per_class": 3, "max_per_class": 2}, {"min_per_class": -1}, {"teacher_presence": 2.0}],
)
def test_impossible_settings_are_refused(changes):
    with pytest.raises(config.InputError, match=f"--{next(iter(changes))}"):
        dataclasses.replace(sampling.SamplingConfig(), **changes)
