import dataclasses
import itertools

import numpy as np
import pytest

from bird_tf import config, tf
from bird_tf.input import dataset, pseudo_labels, streams
from bird_tf.input.augment import augmentations
from bird_tf.records import learnt, manifests, shard_files

PLAIN = augmentations.AugmentConfig()
SETTINGS = dataset.DatasetConfig(batch_size=8, shuffle_buffer=64, no_call_share=0.25, background="positive")


@pytest.fixture
def pseudo(manifest):
    """The noise chunks of `manifest` as unlabelled ones; chunk i has 0.1 · (1 + i mod 7) for class i mod 6."""
    count, num_classes = manifest.num_chunks("noise"), len(manifest.classes)
    indices = np.arange(count)
    labels = np.zeros((count, num_classes), np.float16)
    labels[indices, indices % num_classes] = 0.1 * (1 + indices % 7)
    return pseudo_labels.PseudoLabels(
        directory=manifest.directory, class_ids=manifest.classes.class_ids, labels=labels,
        rates=np.ones(count, np.float32), backbones=({"name": "b", "fingerprint": "f"},),
        learnt=learnt.Learnt(frozenset({("recording", "digest", 8000)})),
    )  # fmt: skip


@pytest.fixture
def folder(pseudo, tmp_path):
    pseudo_labels.save(str(tmp_path / "labels"), pseudo)
    return str(tmp_path / "labels")


def _batches(manifest, folder, count, share=1.0, **values):
    asked = dataset.Taught(pseudo=pseudo_labels.PseudoLabelConfig(pseudo_labels=folder, pseudo_share=share))
    stream = dataset.training(manifest, SETTINGS, PLAIN, seed=1, taught=asked, **values)
    return [{name: value.numpy() for name, value in batch.items()} for batch in itertools.islice(stream, count)]


def test_what_is_saved_is_read(pseudo, folder):
    read = pseudo_labels.load(folder)
    np.testing.assert_array_equal(read.labels, pseudo.labels)
    assert (read.directory, read.class_ids, read.learnt) == (pseudo.directory, pseudo.class_ids, pseudo.learnt)
    assert read.backbones == pseudo.backbones
    other = dataclasses.replace(pseudo, labels=pseudo.labels / 2)
    before = pseudo_labels.digest(folder)
    pseudo_labels.save(folder, other)
    assert pseudo_labels.digest(folder) != before


def test_labelled_chunks_get_an_unlabelled_one_and_chunks_without_a_call_none(manifest, folder):
    plain = dataset.training(manifest, SETTINGS, PLAIN, seed=1)
    for batch, before in zip(_batches(manifest, folder, 3), plain, strict=False):
        has_call = batch["label"] >= 0
        np.testing.assert_array_equal(batch["label"], before["label"])
        assert has_call.sum() == 6
        changed = (batch["spectrogram"] != before["spectrogram"].numpy()).any(axis=(1, 2))
        np.testing.assert_array_equal(changed, has_call)
        assert (batch["targets"] >= before["targets"].numpy() - 1e-6).all() and batch["targets"].max() <= 1
        added = np.where(before["targets"].numpy() == 0, batch["targets"], 0).max(axis=1)
        assert set(np.round(10 * added[has_call])) <= set(range(8)) and added.any()
        assert (batch["weights"] == 1).all()


def test_equal_seeds_give_equal_batches_also_from_within_an_epoch(manifest, folder):
    steps = streams.steps_per_epoch(manifest, SETTINGS)
    whole = _batches(manifest, folder, steps + 3, 0.5)
    again = _batches(manifest, folder, 1, 0.5, start=streams.Start(epoch=1, step=2))
    for name in whole[0]:
        np.testing.assert_array_equal(again[0][name], whole[steps + 2][name])
    assert any((a["spectrogram"] != b["spectrogram"]).any() for a, b in itertools.pairwise(whole))


def test_each_chunk_keeps_its_label_and_comes_as_often_as_its_rate_says(manifest, pseudo):
    rates = np.where(np.arange(len(pseudo.rates)) % 2 == 0, 2.0, 0.0).astype(np.float32)
    source = pseudo_labels.UnlabelledStream(dataclasses.replace(pseudo, rates=rates), manifest)
    [every] = shard_files.read(manifest, "noise", 1000, ())
    keys = zip(every["recording_id"].numpy(), every["chunk_index"].numpy(), strict=True)
    numbers = {(recording.decode(), index): number for number, (recording, index) in enumerate(keys)}
    found = []
    for serialised, labels in source.one_pass(tf.constant([1, 2], tf.int64), 64).as_numpy_iterator():
        example = tf.train.Example.FromString(serialised).features.feature
        number = numbers[
            example["recording_id"].bytes_list.value[0].decode(), example["chunk_index"].int64_list.value[0]
        ]
        np.testing.assert_array_equal(labels, pseudo.labels[number])
        found.append(number)
    assert sorted(found) == sorted(list(range(0, len(rates), 2)) * 2)


def test_recordings_are_drawn_by_the_sum_of_their_greatest_labels():
    labels = np.array([[0.5, 0.0], [0.1, 0.3], [0.2, 0.0]])
    # recording a: 0.5 + 0.3 for two chunks; recording b: 0.2 for one
    np.testing.assert_allclose(pseudo_labels.rates(["a", "a", "b"], labels), [1.2, 1.2, 0.6])
    assert (pseudo_labels.rates(["a", "b"], np.zeros((2, 2))) == 1).all()


def test_what_does_not_fit_is_refused(manifest, pseudo, folder, tmp_path):
    with pytest.raises(config.InputError, match="pseudo_share"):
        pseudo_labels.PseudoLabelConfig(pseudo_share=0.0)
    with pytest.raises(config.InputError, match="holds no pseudo-labels"):
        pseudo_labels.load(str(tmp_path))
    others = tuple(reversed(pseudo.class_ids))
    for changed, words in (
        ({"class_ids": others}, "other classes"),
        ({"labels": pseudo.labels[1:]}, "do not belong"),
        ({"directory": str(tmp_path)}, r"are not at .*; name the labels where their self-training wrote them"),
    ):
        with pytest.raises(config.InputError, match=words):
            pseudo_labels.UnlabelledStream(dataclasses.replace(pseudo, **changed), manifest)
    front_end = dataclasses.replace(manifest.front_end, top_db=60.0)
    other = dataclasses.replace(manifests.load(manifest.directory), front_end=front_end)
    with pytest.raises(config.InputError, match="front-end"):
        pseudo_labels.UnlabelledStream(pseudo, other)
    with pytest.raises(config.InputError, match="without spectrograms"):
        _batches(manifest, folder, 1, features=())
