import collections
import dataclasses
import itertools

import numpy as np
import pytest

from bird_tf import config
from bird_tf.audio import activity, frontend
from bird_tf.input import dataset, sampling, streams
from bird_tf.input.augment import augmentations
from bird_tf.records import shard_files

PLAIN = augmentations.AugmentConfig()
VARIED = augmentations.AugmentConfig(roll_time=0.5, roll_frequency=0.1, gaussian_noise=0.05, add_noise=True)


@pytest.fixture
def settings():
    return dataset.DatasetConfig(batch_size=4, shuffle_buffer=64)


def _take(batches, count):
    return [{name: value.numpy() for name, value in batch.items()} for batch in itertools.islice(batches, count)]


def _equal(first, second):
    return all(np.array_equal(a[name], b[name]) for a, b in zip(first, second, strict=True) for name in a)


def test_equal_seeds_give_equal_batches(manifest, settings):
    first = _take(dataset.training(manifest, settings, VARIED, seed=1), 6)
    assert _equal(first, _take(dataset.training(manifest, settings, VARIED, seed=1), 6))
    assert not _equal(first, _take(dataset.training(manifest, settings, VARIED, seed=2), 6))


def test_a_start_at_an_epoch_gives_the_batches_of_a_run_from_the_start(manifest, settings):
    steps = streams.steps_per_epoch(manifest, settings)
    whole = _take(dataset.training(manifest, settings, VARIED, seed=1), 2 * steps + 2)
    assert _equal(
        whole[2 * steps :], _take(dataset.training(manifest, settings, VARIED, seed=1, start=streams.Start(epoch=2)), 2)
    )
    assert not _equal(whole[:steps], whole[steps : 2 * steps])


@pytest.mark.parametrize(("epoch", "step"), [(0, 2), (1, 1)])
def test_a_start_within_an_epoch_gives_the_batches_of_a_run_from_the_start(manifest, settings, epoch, step):
    skipped = epoch * streams.steps_per_epoch(manifest, settings) + step
    whole = _take(dataset.training(manifest, settings, VARIED, seed=1), skipped + 4)
    start = streams.Start(epoch=epoch, step=step)
    assert _equal(whole[skipped:], _take(dataset.training(manifest, settings, VARIED, 1, start), 4))


def test_an_epoch_has_every_chunk_about_once(manifest, settings):
    steps = streams.steps_per_epoch(manifest, settings)
    times = collections.Counter(
        spectrogram.tobytes()
        for batch in _take(dataset.training(manifest, settings, PLAIN, seed=1), steps)
        for spectrogram in batch["spectrogram"]
    )
    count = manifest.num_chunks("train")
    assert abs(sum(times.values()) - count) <= settings.batch_size / 2
    assert len(times) >= count - settings.batch_size


def test_batches_are_full_even_if_the_records_hold_fewer_chunks(manifest):
    settings = dataset.DatasetConfig(batch_size=manifest.num_chunks("train") + 3)
    [batch] = _take(dataset.training(manifest, settings, VARIED, seed=0), 1)
    assert len(batch["spectrogram"]) == settings.batch_size


def test_shapes_types_and_ranges(manifest, settings):
    [batch] = _take(dataset.training(manifest, settings, VARIED, seed=0), 1)
    front_end, num_classes = manifest.front_end, len(manifest.classes)
    assert batch["spectrogram"].shape == (4, front_end.num_bands, front_end.num_frames)
    assert batch["spectrogram"].dtype == np.float32
    assert batch["spectrogram"].min() >= 0 and batch["spectrogram"].max() <= 1
    assert batch["targets"].shape == batch["weights"].shape == (4, num_classes)


def test_without_noise_records_add_noise_changes_nothing(manifest, settings):
    without_noise = dataclasses.replace(manifest, shards={**manifest.shards, "noise": ()})
    only_noise = augmentations.AugmentConfig(add_noise=True, augment_probability=1.0)
    assert _equal(
        _take(dataset.training(without_noise, settings, only_noise, seed=1), 3),
        _take(dataset.training(without_noise, settings, PLAIN, seed=1), 3),
    )


def test_noise_records_are_blended_in(manifest, settings):
    blended = augmentations.AugmentConfig(add_noise=True, augment_probability=1.0)
    plain = _take(dataset.training(manifest, settings, PLAIN, seed=1), 1)[0]
    noisy = _take(dataset.training(manifest, settings, blended, seed=1), 1)[0]
    np.testing.assert_array_equal(plain["label"], noisy["label"])
    assert (np.abs(plain["spectrogram"] - noisy["spectrogram"]).mean(axis=(1, 2)) > 0.01).all()


def _changed(settings, **values):
    return dataclasses.replace(settings, **values)


def test_class_balance_decides_length_and_content_of_an_epoch(manifest, settings):
    most = 10 * max(manifest.chunks_per_class["train"])
    balanced = _changed(settings, sampling=sampling.SamplingConfig(min_per_class=most))
    steps = streams.steps_per_epoch(manifest, balanced)
    present = sum(count > 0 for count in manifest.chunks_per_class["train"])
    assert steps == round(present * most / 4) > streams.steps_per_epoch(manifest, settings)
    labels = np.concatenate([b["label"] for b in _take(dataset.training(manifest, balanced, PLAIN, seed=1), steps)])
    drawn = np.bincount(labels, minlength=len(manifest.classes))
    # an epoch may be a few chunks longer or shorter, since the repetitions are random
    assert np.abs(drawn[drawn > 0] - most).max() < 0.2 * most and np.sum(drawn > 0) == present


def test_only_chunks_within_the_interval_of_activity_are_used(manifest, settings):
    interval = activity.ActivityInterval(signal_interval=(0.02, 1.0))
    filtered = _changed(settings, sampling=sampling.SamplingConfig(interval=interval))
    allowed, all_ = set(), 0
    for batch in shard_files.read(manifest, "train", 64):
        inside = batch["activity"].numpy() >= 0.02
        all_ += len(inside)
        allowed |= {s.tobytes() for s in frontend.dequantise(batch["spectrogram"]).numpy()[inside]}
    steps = streams.steps_per_epoch(manifest, filtered)
    assert steps == round(len(allowed) / 4) < round(all_ / 4)
    batches = _take(dataset.training(manifest, filtered, PLAIN, seed=1), steps)
    assert {s.tobytes() for b in batches for s in b["spectrogram"]} <= allowed


def test_no_call_chunks_are_noise_and_hold_no_species(manifest, settings):
    quarter = _changed(settings, no_call_share=0.25)
    assert streams.steps_per_epoch(manifest, quarter) > streams.steps_per_epoch(manifest, settings)
    noise = {
        s.tobytes()
        for batch in shard_files.read(manifest, "noise", 64)
        for s in frontend.dequantise(batch["spectrogram"]).numpy()
    }
    for batch in _take(dataset.training(manifest, quarter, PLAIN, seed=1), 3):
        assert batch["label"][3] == -1 and batch["targets"][3].sum() == 0 and batch["weights"][3].min() == 1
        assert batch["spectrogram"][3].tobytes() in noise and (batch["label"][:3] >= 0).all()


@pytest.mark.parametrize("values", [{"same_species": 1.0}, {"mixup": 1.0}, {"or_mixup": 1.0}])
def test_mixing_reproduces_and_resumes(manifest, settings, values):
    mixing = augmentations.AugmentConfig(**values)
    whole = _take(dataset.training(manifest, settings, mixing, seed=1), 4)
    assert _equal(
        whole[2:], _take(dataset.training(manifest, settings, mixing, seed=1, start=streams.Start(step=2)), 2)
    )
    plain = _take(dataset.training(manifest, settings, PLAIN, seed=1), 4)
    assert not _equal(whole, plain)
    several = [(batch["targets"] > 0).sum(axis=1).max() > 1 for batch in whole]
    assert any(several) is (values.keys() != {"same_species"})


def test_records_without_training_chunks_are_refused(manifest, settings):
    with pytest.raises(config.InputError, match="no training chunk"):
        dataset.training(dataclasses.replace(manifest, shards={**manifest.shards, "train": ()}), settings, PLAIN, 0)


def test_evaluation_keeps_order_and_remainder(manifest):
    batches = _take(dataset.evaluation(manifest, dataset.DatasetConfig(batch_size=5)), 10**6)
    assert sum(len(batch["label"]) for batch in batches) == manifest.num_chunks("val")
    again = _take(dataset.evaluation(manifest, dataset.DatasetConfig(batch_size=1000)), 10**6)
    np.testing.assert_array_equal(
        np.concatenate([b["spectrogram"] for b in batches]), np.concatenate([b["spectrogram"] for b in again])
    )
