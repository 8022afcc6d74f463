import collections
import dataclasses

import numpy as np
import pytest

from bird_tf import config, tf
from bird_tf.audio import activity
from bird_tf.input import sampling
from bird_tf.labels import taxonomy
from bird_tf.records import schema, shard_files
from tests.records.test_schema import answers_feature, with_answers_of_format

FOUND = np.array([100, 400, 0, 25])


def test_balance_draws_classes_by_a_power_of_their_count():
    expected = {0.0: [100, 400, 0, 25], 0.5: 525 * np.array([10, 20, 0, 5]) / 35, 1.0: [175, 175, 0, 175]}
    for a, numbers in expected.items():
        rates = sampling.rates(FOUND, sampling.SamplingConfig(balance=a))
        np.testing.assert_allclose(rates * FOUND, numbers)


def test_limits_hold_for_every_class_that_is_there():
    rates = sampling.rates(FOUND, sampling.SamplingConfig(min_per_class=60, max_per_class=150))
    np.testing.assert_allclose(rates * FOUND, [100, 150, 0, 60])


def _interval(lowest, highest):
    return activity.ActivityInterval(signal_interval=(lowest, highest))


def _chunk(**values):
    fields = {"recording_id": "r", "activity": 0.5, "background": (), "background_known": True, "start_seconds": 0.0}
    spectrogram = {schema.SPECTROGRAM: np.zeros((2, 2), np.uint8)}
    return schema.Chunk(features={**spectrogram, **values.pop("features", {})}, **{**fields, **values})


def _chunks(labels, activities):
    return [
        schema.serialise(_chunk(label=label, activity=value, chunk_index=i))
        for i, (label, value) in enumerate(zip(labels, activities, strict=True))
    ]


@pytest.fixture(scope="module")
def stream():
    """2000 chunks: 1600 of class 0, 300 of class 1, 100 of class 2; activities from 0 to 1."""
    labels = np.random.default_rng(0).permutation([0] * 1600 + [1] * 300 + [2] * 100)
    return tf.data.Dataset.from_tensor_slices(_chunks(labels, np.arange(2000) / 2000))


def _counts(examples):
    return np.bincount(schema.parse_label(tf.stack(list(examples)))["label"], minlength=3)


@pytest.mark.parametrize("values", [{"balance": 0.5}, {"balance": 1.0}, {"min_per_class": 250, "max_per_class": 400}])
def test_the_stream_has_the_expected_frequencies(stream, values):
    settings = sampling.SamplingConfig(**values)
    found = np.array([1600, 300, 100])
    rates = sampling.rates(found, settings)
    drawn = _counts(sampling.resample(stream, rates, None, tf.constant([1, 2], tf.int64)))
    # each chunk adds a Bernoulli variable: 4 standard deviations
    fraction = rates % 1
    np.testing.assert_array_less(np.abs(drawn - rates * found), 4 * np.sqrt(found * fraction * (1 - fraction)) + 1)


def test_another_epoch_uses_other_chunks(stream):
    settings = sampling.SamplingConfig(max_per_class=100)
    rates = sampling.rates(np.array([1600, 300, 100]), settings)

    def used(*seed):
        return list(sampling.resample(stream, rates, None, tf.constant(seed, tf.int64)).as_numpy_iterator())

    assert used(1, 2) == used(1, 2)
    assert len(set(used(1, 2)) & set(used(1, 3))) < 0.7 * len(used(1, 2))


def test_the_interval_of_activity_is_a_filter(manifest, stream):
    passes = sampling.chunk_filter(manifest, sampling.SamplingConfig(interval=_interval(0.25, 0.5)))
    used = sampling.resample(stream, np.ones(3), passes, tf.constant([1, 2], tf.int64))
    activities = schema.parse_label(tf.stack(list(used)))["activity"].numpy()
    assert len(activities) == 501 and activities.min() == 0.25 and activities.max() == 0.5


def test_with_default_settings_the_stream_does_not_change(manifest, stream):
    settings = sampling.SamplingConfig()
    rates = sampling.rates(np.array([1600, 300, 100]), settings)
    passes = sampling.chunk_filter(manifest, settings)
    assert passes is None and sampling.resample(stream, rates, passes, tf.constant([1, 2], tf.int64)) is stream


@pytest.fixture(params=[2, 3, 4], ids=lambda version: f"format {version}")
def with_answers(request, manifest, tmp_path):
    """Records of two training shards with the answers of a backbone."""
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
                chunk = _chunk(recording_id=recording, label=label, chunk_index=i)
                writer.write_serialised(with_answers_of_format(request.param, chunk, answers))
        shards.append(shard_files.describe_shard(str(tmp_path), name, writer.count))
    feature = answers_feature(request.param, 2)
    return dataclasses.replace(
        manifest, directory=str(tmp_path), shards={"train": tuple(shards), "val": (), "noise": ()},
        classes=taxonomy.Taxonomy(("x", "y"), ("x", "y")), format_version=request.param,
        features={**manifest.features, feature.name: feature},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("presence", "used"), [(0.5, {0, 2, 3, 5, 6, 7, 8}), (0.2, {0, 1, 2, 3, 4, 5, 6, 7, 8}), (1.0, {0, 3, 5, 6, 7, 8})]
)
def test_chunks_in_which_the_backbone_finds_the_label_are_used(with_answers, presence, used):
    """The limit is a share of the greatest answer of label and recording. Of unknown species all chunks are used."""
    settings = sampling.SamplingConfig(backbone_presence=presence)
    examples = tf.data.TFRecordDataset(with_answers.paths("train"))
    resampled = sampling.resample(
        examples, np.ones(2), sampling.chunk_filter(with_answers, settings), tf.constant([1, 2], tf.int64)
    )
    index = {"chunk_index": tf.io.FixedLenFeature([], tf.int64)}
    assert {int(tf.io.parse_single_example(e, index)["chunk_index"]) for e in resampled} == used
    assert sampling.counts(with_answers, settings).sum() == len(used)


def test_background_counts_where_the_backbone_finds_it(manifest, tmp_path):
    rows = [("a", [0.9, 0.8, 0.1], [1, 2]), ("a", [0.9, 0.1, 0.09], [1, 2]), ("b", [0.9, 0.1, np.nan], [1, 2])]
    with shard_files.writing(str(tmp_path), "train-0.tfrecord") as writer:
        for i, (recording, answers, background) in enumerate(rows):
            chunk = _chunk(recording_id=recording, label=0, background=background, chunk_index=i)
            writer.write_serialised(with_answers_of_format(4, chunk, answers))
    feature = answers_feature(4, 3)
    records = dataclasses.replace(
        manifest, directory=str(tmp_path), classes=taxonomy.Taxonomy(tuple("xyz"), tuple("xyz")),
        shards={"train": (shard_files.describe_shard(str(tmp_path), "train-0.tfrecord", 3),)},
        features={**manifest.features, feature.name: feature},
    )  # fmt: skip
    examples = list(tf.data.TFRecordDataset(records.paths("train")))
    unheard = sampling.unheard(records, sampling.SamplingConfig(backbone_presence=0.5))
    np.testing.assert_array_equal(unheard(tf.stack(examples)), [[0, 0, 0], [0, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(unheard(tf.stack(examples[1:2])), [[0, 1, 0]])
    assert sampling.unheard(records, sampling.SamplingConfig()) is None


def test_counts_follow_the_interval(manifest):
    plain = sampling.counts(manifest, sampling.SamplingConfig())
    np.testing.assert_array_equal(plain, manifest.chunks_per_class["train"])
    batches = list(shard_files.read(manifest, "train", 64))
    activities = np.concatenate([batch["activity"] for batch in batches])
    settings = sampling.SamplingConfig(interval=_interval(float(np.median(activities)), 1.0))
    filtered = sampling.counts(manifest, settings)
    assert filtered.sum() == (activities >= np.median(activities)).sum() < plain.sum()
    assert sampling.chunks_per_epoch(manifest, settings) == pytest.approx(filtered.sum())


def test_records_that_are_written_anew_are_counted_anew(manifest, tmp_path):
    def counted(labels):
        with shard_files.writing(str(tmp_path), "train-0.tfrecord") as writer:
            for i, label in enumerate(labels):
                answers = [0.9, 0.1 if i else 0.9, 0.9]
                writer.write_serialised(with_answers_of_format(4, _chunk(label=label, chunk_index=i), answers))
        feature, shard = (
            answers_feature(4, 3),
            shard_files.describe_shard(str(tmp_path), "train-0.tfrecord", len(labels)),
        )
        records = dataclasses.replace(
            manifest, directory=str(tmp_path), classes=taxonomy.Taxonomy(tuple("xyz"), tuple("xyz")),
            shards={"train": (shard,)}, features={**manifest.features, feature.name: feature},
        )  # fmt: skip
        settings = [sampling.SamplingConfig(**v) for v in ({"interval": _interval(0.1, 1)}, {"backbone_presence": 0.5})]
        return [sampling.counts(records, chosen).tolist() for chosen in settings]

    assert counted([0, 1, 2]) == [[1, 1, 1], [1, 1, 1]]
    assert counted([1, 1, 2]) == [[0, 2, 1], [0, 1, 1]]


def test_an_interval_without_chunks_is_refused(manifest):
    with pytest.raises(config.InputError, match=r"--signal_interval=0\.99,1\.0"):
        sampling.counts(manifest, sampling.SamplingConfig(interval=_interval(0.99, 1.0)))


def test_partners_are_others_of_the_same_species(stream):
    pairs = list(sampling.with_partners(stream).as_numpy_iterator())
    first, second = (schema.parse_label([pair[i] for pair in pairs])["label"].numpy() for i in (0, 1))
    np.testing.assert_array_equal(first, second)
    assert sum(own == other for own, other in pairs) <= 3  # the last chunk of a species may be its own partner
    times = collections.Counter(own for own, _ in pairs)
    assert len(times) == 2000 and set(times.values()) == {1}


@pytest.mark.parametrize(
    "changes",
    [{"balance": 1.5}, {"min_per_class": 3, "max_per_class": 2}, {"min_per_class": -1}, {"backbone_presence": 2.0}],
)
def test_impossible_settings_are_refused(changes):
    with pytest.raises(config.InputError, match=f"--{next(iter(changes))}"):
        dataclasses.replace(sampling.SamplingConfig(), **changes)
