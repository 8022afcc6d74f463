import collections
import dataclasses
import itertools

import numpy as np
import pytest

from bird_tf import config, tf
from bird_tf.audio import activity, frontend, noises
from bird_tf.input import dataset, sampling
from bird_tf.input.augment import augmentations
from bird_tf.models import losses
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
    steps = dataset.steps_per_epoch(manifest, settings)
    whole = _take(dataset.training(manifest, settings, VARIED, seed=1), 2 * steps + 2)
    assert _equal(whole[2 * steps :], _take(dataset.training(manifest, settings, VARIED, seed=1, epoch=2), 2))
    assert not _equal(whole[:steps], whole[steps : 2 * steps])


@pytest.mark.parametrize(("epoch", "step"), [(0, 2), (1, 1)])
def test_a_start_within_an_epoch_gives_the_batches_of_a_run_from_the_start(manifest, settings, epoch, step):
    skipped = epoch * dataset.steps_per_epoch(manifest, settings) + step
    whole = _take(dataset.training(manifest, settings, VARIED, seed=1), skipped + 4)
    assert _equal(whole[skipped:], _take(dataset.training(manifest, settings, VARIED, 1, epoch=epoch, step=step), 4))


def test_an_epoch_has_every_chunk_about_once(manifest, settings):
    steps = dataset.steps_per_epoch(manifest, settings)
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
    steps = dataset.steps_per_epoch(manifest, balanced)
    present = sum(count > 0 for count in manifest.chunks_per_class["train"])
    assert steps == round(present * most / 4) > dataset.steps_per_epoch(manifest, settings)
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
    steps = dataset.steps_per_epoch(manifest, filtered)
    assert steps == round(len(allowed) / 4) < round(all_ / 4)
    batches = _take(dataset.training(manifest, filtered, PLAIN, seed=1), steps)
    assert {s.tobytes() for b in batches for s in b["spectrogram"]} <= allowed


def test_no_call_chunks_are_noise_and_hold_no_species(manifest, settings):
    quarter = _changed(settings, no_call_share=0.25)
    assert dataset.steps_per_epoch(manifest, quarter) > dataset.steps_per_epoch(manifest, settings)
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
    assert _equal(whole[2:], _take(dataset.training(manifest, settings, mixing, seed=1, step=2), 2))
    plain = _take(dataset.training(manifest, settings, PLAIN, seed=1), 4)
    assert not _equal(whole, plain)
    several = [(batch["targets"] > 0).sum(axis=1).max() > 1 for batch in whole]
    assert any(several) is (values.keys() != {"same_species"})


def test_no_call_shares_that_leave_nothing_are_refused():
    with pytest.raises(config.InputError, match="--no_call_share"):
        dataset.DatasetConfig(no_call_share=0.99, batch_size=4)


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


def _targets(settings, background, known):
    parsed = {
        "label": tf.constant([1], tf.int64),
        "background": tf.constant(np.reshape(background, (1, -1)), tf.int64),
        "background_known": tf.constant([known]),
    }
    made = dataset.targets(parsed, 4, settings)
    return made["targets"].numpy()[0].tolist(), made["weights"].numpy()[0].tolist()


@pytest.mark.parametrize(
    ("values", "background", "known", "targets", "weights"),
    [
        ({"background": "negative"}, [2, -1], True, [0, 1, 0, 0], [1, 1, 1, 1]),
        ({"background": "ignore"}, [2, -1], True, [0, 1, 0, 0], [1, 1, 0, 1]),
        ({"background": "positive", "background_weight": 0.5}, [2, 3], True, [0, 1, 0.5, 0.5], [1, 1, 1, 1]),
        ({"background": "positive", "background_loss_weight": 0.2}, [2], True, [0, 1, 0.5, 0], [1, 1, 0.2, 1]),
        ({"background": "ignore"}, [1], True, [0, 1, 0, 0], [1, 1, 1, 1]),
        ({"background": "positive"}, [], True, [0, 1, 0, 0], [1, 1, 1, 1]),
        ({"unknown_background": "ignore"}, [], False, [0, 1, 0, 0], [0, 1, 0, 0]),
        ({"unknown_background": "ignore"}, [], True, [0, 1, 0, 0], [1, 1, 1, 1]),
        ({"background": "positive", "unknown_background": "ignore"}, [3], False, [0, 1, 0, 0.5], [0, 1, 0, 1]),
    ],
)
def test_targets(values, background, known, targets, weights):
    assert _targets(dataset.DatasetConfig(**values), background, known) == (targets, pytest.approx(weights))


@pytest.mark.parametrize(
    ("target", "weight", "answer", "share", "expected"),
    [
        (1.0, 1.0, 0.6, 0.25, (0.9, 1.0)),  # both know the class: blended
        (0.0, 0.0, 0.6, 0.25, (0.6, 1.0)),  # only the backbone knows it
        (1.0, 1.0, np.nan, 0.25, (1.0, 1.0)),  # only the label knows it
        (0.0, 0.0, np.nan, 0.25, (0.0, 0.0)),  # none knows it
        (1.0, 1.0, 0.6, 1.0, (0.6, 1.0)),
        (1.0, 1.0, np.nan, 1.0, (1.0, 1.0)),
    ],
)
def test_targets_from_labels_are_blended_with_answers(target, weight, answer, share, expected):
    label_targets = {"targets": tf.constant([[target]]), "weights": tf.constant([[weight]])}
    made = dataset.blend_targets(label_targets, tf.constant([[answer]], tf.float32), share)
    assert (made["targets"].numpy().item(), made["weights"].numpy().item()) == pytest.approx(expected)


def test_blended_targets_give_blended_losses(generator):
    logits, truth, answers = (tf.constant(generator.uniform(0, 1, (3, 5)), tf.float32) for _ in range(3))
    sigmoid, ones = losses.LossConfig(loss="sigmoid"), tf.ones((3, 5))
    made = dataset.blend_targets({"targets": truth, "weights": ones}, answers, 0.3)
    both = losses.loss(logits, truth, ones, sigmoid), losses.loss(logits, answers, ones, sigmoid)
    mixed = losses.loss(logits, made["targets"], made["weights"], sigmoid)
    assert float(mixed) == pytest.approx(0.7 * float(both[0]) + 0.3 * float(both[1]), rel=1e-5)


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
    assert not dataset.has_noise(quiet, off) and dataset.has_noise(manifest, off)
    with pytest.raises(config.InputError, match="--synthetic_noise"):
        dataset.DatasetConfig(synthetic_noise=-1)
