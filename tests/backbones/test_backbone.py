"""Backbones, and what conversion and training do with their answers."""

import collections
import dataclasses
import pickle
import random
import re

import numpy as np
import pytest
import soundfile

from bird_tf import config, convert, executor, tf
from bird_tf.backbones import backbone, sources
from bird_tf.conversion import execution, folds
from bird_tf.inference import saved_model
from bird_tf.input import dataset, streams
from bird_tf.input.augment import augmentations
from bird_tf.labels import taxonomy
from bird_tf.records import manifests, recordings_table, schema, shard_files
from tests import damage
from tests.backbones.conftest import CLASSES, RATE, SIZE, WINDOW, Loudness, embedding, make_source, window, write_tflite
from tests.test_convert import _bytes, _settings

MIXTURES = {"backbone_mixtures": 2, "backbone_noise": False, "val_share": 0.3, "shard_minutes": 0.3}


def test_answers_are_those_of_our_classes_by_latin_name(loaded):
    logits, embeddings = loaded.answers(np.stack([window(0.5), window(0.0, 0.75)]))
    np.testing.assert_allclose(logits, [[-4, np.nan, 0], [2, np.nan, -4]], atol=1e-5)
    np.testing.assert_allclose(embeddings, [embedding(0.5), embedding(0.0, 0.75)], atol=1e-6)
    assert loaded.known.tolist() == [True, False, True]


def test_a_backbone_that_knows_no_class_needs_an_embedding(tflite_path, tmp_path, caplog):
    labels = tmp_path / "strange.txt"
    labels.write_text("a\nb\nc\n")
    backbone.describe(make_source(tflite_path, labels), CLASSES)
    assert "does not know 3 of 3 classes (Turdus merula, Raphus cucullatus, Parus Major)" in caplog.text
    loaded = backbone.Backbone(make_source(tflite_path, labels), CLASSES)
    logits, embeddings = loaded.answers(window(0.5)[None])
    assert np.isnan(logits).all() and embeddings[0].tolist() == embedding(0.5).tolist()
    without = tmp_path / "without"
    module = Loudness()
    tf.saved_model.save(module, str(without), signatures=module.function(outputs=("scores",)))
    with pytest.raises(
        config.InputError,
        match=r"knows none of the 3 classes, .* no embedding; compare .*strange.txt with theirs, as T",
    ):
        backbone.Backbone(make_source(without, labels), CLASSES)


def outputs_of(names, *class_ids, asked=None):
    lines = [(line, line.partition("_")[0]) for line in names]
    return backbone.matching_outputs(lines, taxonomy.Taxonomy(class_ids, class_ids), asked).tolist()


def test_classes_are_found_in_any_spelling_and_by_their_common_names():
    labels = "Turdus merula_Common Blackbird", "Parus major_Great Tit", "Parus_ater"
    ours = "great_tit", "turdus_merula", "Parus ater_Coal Tit", "Corvus corone", "Parus major"
    assert outputs_of(labels, *ours) == [1, 0, 2, -1, 1]
    assert outputs_of(["Parus major_Song", "Turdus merula_Song"], "song") == [-1]


def test_a_warning_names_classes_of_one_output(tflite_path, labels, caplog):
    ours = "Great Tit", "Parus major", "Turdus merula", "dodo", "roc"
    backbone.describe(make_source(tflite_path, labels), taxonomy.Taxonomy(ours, ours))
    assert "one output for several classes (Great Tit and Parus major): if they are one species" in caplog.text


def test_a_class_that_a_description_does_not_name_has_no_output(tflite_path, labels):
    source = make_source(tflite_path, labels)
    assert outputs_of(["Parus major_Great Tit"], "Great Tit", "Parus major", asked=["Parus major"]) == [-1, 0]
    described = {**backbone.describe(source, CLASSES), "classes": ["blackb"]}  # as of an earlier version
    found = backbone.Backbone(sources.from_description(described, "the head"), CLASSES)
    assert found.known.tolist() == [True, False, False]


def test_a_file_that_crashes_its_library_is_refused(tflite_path, labels, monkeypatch):
    monkeypatch.setattr(executor, "survives", lambda *_, **__: False)
    with pytest.raises(config.InputError, match=r"backbone\.tflite crashes or blocks the library that loads it"):
        backbone.describe(make_source(tflite_path, labels), CLASSES)


def test_a_replaced_file_is_answered_by_the_new_one(labels, tmp_path):
    path, louder = tmp_path / "backbone.tflite", write_tflite(tmp_path / "louder.tflite", gain=2.0)
    before = make_source(write_tflite(path), labels)

    def loudness(source):
        return backbone.load(source, CLASSES).answers(window(0.5)[None])[1][0, 0]

    assert loudness(before) == 0.5
    louder.replace(path)
    after = make_source(path, labels)
    assert (loudness(after), loudness(before)) == (1.0, 0.5)  # each as its fingerprint says
    backbone._loaded.cache_clear()
    with pytest.raises(config.InputError, match=r"backbone\.tflite or .*labels\.txt has changed since the work began"):
        loudness(pickle.loads(pickle.dumps(before)))  # as a worker gets it
    path.write_bytes(write_tflite(tmp_path / "quiet.tflite", gain=0.5).read_bytes())  # in place, as `cp` does
    assert loudness(make_source(path, labels)) == 0.25


@pytest.mark.slow
def test_no_damage_of_a_tflite_file_ends_the_process(tflite_path, labels, tmp_path):
    crashes, generator = 0, random.Random(0)
    for number in range(8):
        path = tmp_path / f"{number}.tflite"
        path.write_bytes(damage.damaged(tflite_path.read_bytes(), generator))
        try:
            backbone.describe(make_source(path, labels), CLASSES)
        except config.InputError as error:
            crashes += "crashes or blocks" in str(error)
    assert crashes


def test_probabilities_become_logits(tmp_path, labels):
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None, WINDOW], tf.float32)])
    def call(inputs):
        return {"probabilities": inputs[:, :3]}

    tf.saved_model.save(module, str(tmp_path), signatures=call)
    loaded = backbone.Backbone(make_source(tmp_path, labels, gives_logits=False), CLASSES)
    windows = np.zeros((1, WINDOW), np.float32)
    windows[0, :3] = 0.25, 9.0, 0.5  # we do not have the class of the second one
    logits, embeddings = loaded.answers(windows)
    np.testing.assert_allclose(logits[0], [0, np.nan, -np.log(3)], atol=1e-6)
    assert embeddings.shape == (1, 0)
    windows[0, 0] = 2.0
    with pytest.raises(config.InputError, match="add --backbone_logits"):
        loaded.answers(windows)
    windows[0, 0] = np.nan
    with pytest.raises(config.InputError, match="no finite numbers"):
        loaded.answers(windows)


@pytest.mark.parametrize("logits", [True, False])
def test_a_warning_tells_of_probabilities_that_are_taken_for_logits(tmp_path, labels, caplog, logits):
    module = Loudness()

    @tf.function(input_signature=[tf.TensorSpec([1, WINDOW], tf.float32)], autograph=False)
    def call(inputs):
        found = module(inputs)["scores"]
        return {"a": found if logits else tf.sigmoid(found)}

    tf.saved_model.save(module, str(tmp_path), signatures=call)
    backbone.describe(make_source(tmp_path, labels), CLASSES)
    assert ("as probabilities are; if it gives these, leave the flag out" in caplog.text) != logits


def test_a_warning_names_classes_of_several_outputs(tflite_path, tmp_path, caplog):
    path = tmp_path / "labels.txt"
    path.write_text("Turdus merula_call\nengine\nTurdus merula_song\n")
    backbone.describe(make_source(tflite_path, path), CLASSES)
    assert "several outputs for 1 classes" in caplog.text and "may miss sounds: Turdus merula" in caplog.text


@pytest.mark.parametrize("outputs", [{"scores"}, {"scores", "embedding"}])
def test_several_answers_for_a_window_are_refused(tmp_path, labels, outputs):
    """As of YAMNet, which answers for each frame; how many there are is known only when it is asked."""

    @tf.function(input_signature=[tf.TensorSpec([WINDOW], tf.float32)], autograph=False)
    def call(inputs):
        frames = tf.reshape(inputs, [4, -1])
        frames = tf.boolean_mask(frames, frames[:, 0] < 1)
        found = {"scores": frames[:, :3], "embedding": frames[:, :7]}
        return {name: found[name] for name in outputs}

    tf.saved_model.save(tf.Module(), str(tmp_path), signatures=call)
    with pytest.raises(config.InputError, match=r"gives 12 scores and (0|28) numbers .*; need 3 and (0|7): one answer"):
        backbone.describe(make_source(tmp_path, labels), CLASSES)


@pytest.fixture(scope="module")
def with_answers(data, model_path, tmp_path_factory):
    """Records with the features of a backbone that does not know the last two classes."""
    output = tmp_path_factory.mktemp("with_answers") / "set"
    return convert.convert(_settings_with_answers(data, output, model_path))


def _settings_with_answers(data, output, model_path, **values):
    flags = {"backbone": model_path, "max_classes": 4, "signal_threshold": 0.005, "group_by": "recording"}
    return _settings(data, output, **flags | values)


def test_records_hold_the_features_for_any_number_of_workers(data, with_answers, model_path, tmp_path):
    described = with_answers.backbone
    assert described["name"] == model_path and len(described["classes"]) == 4
    assert manifests.load(with_answers.directory) == with_answers
    features = with_answers.features
    in_noise = ["embedding_in_noise", "backbone_answers_in_noise"]
    assert list(features) == ["spectrogram", "embedding", "backbone_answers", *in_noise]
    assert features["embedding"].shape == (described["embedding_size"],) and features["embedding"].dtype == "float16"
    assert features["backbone_answers"].fingerprint == described["fingerprint"]
    for split in manifests.SPLITS:
        for batch in shard_files.read(with_answers, split, 100):
            for name in ("embedding", "backbone_answers"):
                clean, noisy = batch[name].numpy(), batch[f"{name}_in_noise"].numpy()
                assert np.isfinite(clean).all() and np.isfinite(noisy).all()
                assert np.abs(clean).max() > 0 and np.abs(clean - noisy).max() > 0.01
    assert with_answers.num_chunks("noise") and with_answers.num_chunks("val")
    again = convert.convert(_settings_with_answers(data, tmp_path / "again", model_path, workers=2))
    assert _bytes(again.directory) == _bytes(with_answers.directory)


def test_idle_workers_are_told(data, model_path, tmp_path, monkeypatch, caplog):
    shards = []

    def stop(tasks, *_):
        shards.append(len(tasks))
        raise KeyboardInterrupt

    monkeypatch.setattr(convert.execution, "run", stop)

    def told(name, **values):
        caplog.clear()
        with caplog.at_level("INFO", logger="absl"), pytest.raises(KeyboardInterrupt):
            convert.convert(_settings_with_answers(data, tmp_path / name, model_path, **values))
        return [r.getMessage() for r in caplog.records if "workers busy" in r.getMessage()]

    assert not told("two", workers=2, shard_minutes=60)  # a shard to train, and one to validate
    (message,) = told("three", workers=3, shard_minutes=60)
    assert "2 shards keep 2 of 3 workers busy" in message
    minutes = float(re.search(r"--shard_minutes=(\S+) ", message)[1])
    assert not told("again", workers=3, shard_minutes=minutes)
    assert shards[:2] == [2, 2] and shards[2] >= 3


def test_features_are_what_the_model_says_of_the_chunk(data, with_answers, model_path):
    signature = tf.saved_model.load(model_path).signatures["predict_and_embed"]
    batch = next(iter(shard_files.read(with_answers, "val", 5)))
    for recording, start, stored, answers in zip(
        *(batch[name].numpy() for name in ("recording_id", "start_seconds", "embedding", "backbone_answers")),
        strict=True,
    ):
        samples, rate = soundfile.read(data / "wav" / f"DEMO_RN{recording.decode()}.wav", dtype="float32")
        first, size = round(start * rate), with_answers.front_end.chunk_samples
        outputs = signature(samples=tf.constant(np.pad(samples, (0, size))[None, first : first + size]))
        own = taxonomy.load(f"{model_path}/assets/classes.csv")
        columns = [own.index(class_id) for class_id in with_answers.classes.class_ids]
        np.testing.assert_allclose(stored, outputs["embeddings"][0], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(tf.sigmoid(answers), outputs["probabilities"].numpy()[0, columns], atol=1e-3)


@pytest.fixture(scope="module")
def with_mixtures(data, model_path, tmp_path_factory):
    output = tmp_path_factory.mktemp("with_mixtures") / "set"
    return convert.convert(_settings_with_answers(data, output, model_path, **MIXTURES))


def _mixtures(manifest):
    """{split: mixtures, with recording and partner}."""
    found = {}
    for part in manifests.MIXED:
        [block] = tf.data.TFRecordDataset(manifest.paths(part)).batch(10_000)
        parsed = {**schema.parse(block, manifest.features.values()), **schema.parse_order(block)}
        found[part] = {name: tensor.numpy() for name, tensor in parsed.items()}
    return found


def test_mixtures_are_of_chunks_that_may_train_and_of_recordings_of_the_same_side(with_mixtures):
    sides = {r.recording_id: r.split for r in recordings_table.read(with_mixtures.directory, with_unused=True)}
    for part, found in _mixtures(with_mixtures).items():
        both = zip(found["recording_id"], found["partner_id"], strict=True)
        pairs = [(own.decode(), other.decode()) for own, other in both]
        assert {sides[i] for pair in pairs for i in pair} == {"train" if part == "mixed" else "val"}
        assert sum(own != other for own, other in pairs) > len(pairs) / 2  # the first recording of a shard has no other
    assert with_mixtures.num_chunks("mixed") == 2 * with_mixtures.num_chunks("train")
    both = with_mixtures.with_all_for_training()
    assert both.num_chunks("mixed") == 2 * sum(with_mixtures.selected_for_refit.chunks_per_class)


def test_other_chunks_are_the_same_with_mixtures_and_for_any_number_of_workers(
    data, with_mixtures, model_path, tmp_path
):
    plain = convert.convert(
        _settings_with_answers(data, tmp_path / "plain", model_path, **{**MIXTURES, "backbone_mixtures": 0})
    )
    assert not any(plain.shards.get(part) for part in manifests.MIXED)
    for part in (*manifests.SPLITS, *manifests.SPARE):
        assert plain.shards[part] == with_mixtures.shards[part]
    again = convert.convert(_settings_with_answers(data, tmp_path / "again", model_path, **MIXTURES, workers=2))
    assert _bytes(again.directory) == _bytes(with_mixtures.directory)


def test_the_spectrogram_of_a_mixture_is_of_the_sound_that_the_backbone_hears(with_mixtures, model_path):
    model, found = saved_model.Model(model_path), _mixtures(with_mixtures)["mixed"]
    own = [model.classes.index(class_id) for class_id in with_mixtures.classes.class_ids]
    heard = model.from_records({"spectrogram": tf.constant(found["spectrogram"])}, with_mixtures.classes)
    outputs = model.predict_features({name: tensor.numpy() for name, tensor in heard.items()})
    answers = tf.sigmoid(found["backbone_answers"]).numpy()
    np.testing.assert_allclose(outputs.probabilities[:, own], answers, atol=0.02)
    plain = next(iter(shard_files.read(with_mixtures, "train", 1000)))["backbone_answers"].numpy()
    assert np.abs(found["backbone_answers"][::2] - found["backbone_answers"][1::2]).mean() > 0.1  # two of each chunk
    assert not np.isin(found["backbone_answers"][:, 0], plain[:, 0]).any()


def test_of_mixtures_only_what_the_backbone_says_is_learnt(with_mixtures, caplog):
    plain = {"batch_size": 8, "shuffle_buffer": 64}
    asked = dataset.DatasetConfig(**plain, mixtures=True, backbone_weight=0.5, background="positive")
    training = (with_mixtures, asked, augmentations.AugmentConfig())
    steps = streams.steps_per_epoch(with_mixtures, asked)
    assert steps == streams.steps_per_epoch(with_mixtures, dataset.DatasetConfig(**plain))
    seen = collections.Counter()
    for batch in dataset.training(*training, seed=0, features=("spectrogram", "backbone_answers")).take(4 * steps):
        certain, answers = batch["targets"].numpy(), tf.sigmoid(batch["backbone_answers"]).numpy()
        is_mixture = np.isclose(certain, answers, atol=1e-6).all(axis=1)
        seen.update(is_mixture.tolist())
        np.testing.assert_allclose(
            certain[~is_mixture].max(axis=1), 0.5 + 0.5 * answers[~is_mixture, batch["label"].numpy()[~is_mixture]],
            atol=1e-5,
        )  # fmt: skip
        assert (batch["weights"].numpy() == 1).all()
    assert 0.5 < seen[True] / seen.total() < 0.8  # two of three
    unasked = dataclasses.replace(asked, mixtures=False)
    batches = dataset.training(with_mixtures, unasked, training[2], seed=0, features=("spectrogram",)).take(steps)
    labelled = [batch["targets"].numpy().max(axis=1) for batch in batches]
    assert np.concatenate(labelled).min() >= 0.5
    alone = dataclasses.replace(asked, backbone_weight=0.0)
    with caplog.at_level("INFO", logger="absl"):
        for batch in dataset.training(with_mixtures, alone, training[2], seed=0).take(steps):
            assert (batch["targets"].numpy().max(axis=1) == 1).all() and (batch["weights"].numpy() == 1).all()
    assert "--mixtures: no head is the --teacher" in caplog.text


def test_a_fold_has_the_mixtures_of_which_both_recordings_train(with_mixtures, tmp_path):
    ids = sorted({i.decode() for i in _mixtures(with_mixtures)["mixed"]["recording_id"]})
    sides = {recording: "train" if number % 3 else "val" for number, recording in enumerate(ids)}
    made = folds.regroup(with_mixtures, str(tmp_path / "fold"), sides)
    assert manifests.load(made.directory) == made
    everything, found = _mixtures(with_mixtures)["mixed"], _mixtures(made)
    pairs = list(zip(everything["recording_id"], everything["partner_id"], strict=True))
    for part, side in zip(manifests.MIXED, ("train", "val"), strict=True):
        expected = [pair for pair in pairs if {sides[i.decode()] for i in pair} == {side}]
        assert list(zip(found[part]["recording_id"], found[part]["partner_id"], strict=True)) == expected
        assert 0 < len(expected) < len(pairs)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"backbone": ""}, "--backbone_mixtures without --backbone"),
        ({"backbone_mixtures": -1}, "--backbone_mixtures=-1: need a number"),
        ({"spectrogram": False}, "leave out --spectrogram=false"),
        ({"max_chunks_per_class": 5}, "leave out --max_chunks_per_class"),
        ({"sample_rate_hz": 44100}, "the backbone hears 22050 Hz, .* need --sample_rate_hz=44100"),
    ],
)
def test_mixtures_that_cannot_be_made_are_refused(data, model_path, tmp_path, values, words):
    asked = _settings_with_answers(data, tmp_path / "set", model_path, **{**MIXTURES, **values})
    with pytest.raises(config.InputError, match=words):
        convert.convert(asked)
    assert not (tmp_path / "set").exists()


def test_without_spectrograms_records_hold_the_rest(data, with_answers, tflite_path, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(with_answers.classes.names[:3]))
    flags = {"backbone_labels": labels, "backbone_sample_rate_hz": RATE, "backbone_logits": True, "spectrogram": False}
    flags |= {"backbone_noise": False}
    made = convert.convert(_settings_with_answers(data, tmp_path / "set", tflite_path, **flags))
    assert list(made.features) == ["embedding", "backbone_answers"]
    assert made.chunks_per_class == with_answers.chunks_per_class
    [batch] = shard_files.read(made, "val", 1000)
    assert "spectrogram" not in batch and batch["embedding"].shape == (made.num_chunks("val"), SIZE)
    assert np.isnan(batch["backbone_answers"]).mean(axis=0).tolist() == [0, 0, 0, 1]
    with pytest.raises(config.InputError, match=r"this training needs the feature spectrogram, and .* convert without"):
        dataset.training(made, dataset.DatasetConfig(), augmentations.AugmentConfig(), seed=0)
    with pytest.raises(config.InputError, match="--spectrogram=false without --backbone has no effect"):
        convert.convert(_settings(data, tmp_path / "none", spectrogram=False))


def test_another_backbone_on_an_unfinished_directory_is_refused(
    data, manifest, saved_model_path, tmp_path, monkeypatch
):
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(manifest.classes.names[:3]))
    chosen = _settings(
        data,
        tmp_path / "x",
        backbone=saved_model_path,
        backbone_labels=labels,
        backbone_sample_rate_hz=RATE,
        backbone_logits=True,
    )
    monkeypatch.setattr(execution, "run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    for _ in range(2):  # with the same one the conversion may go on
        with pytest.raises(KeyboardInterrupt):
            convert.convert(chosen)
    labels.write_text("\n".join(manifest.classes.names[2::-1]))
    with pytest.raises(config.InputError, match="the backbone's files was"):
        convert.convert(chosen)


def test_training_on_records_without_answers_refuses_flags_that_need_them(manifest):
    plain = augmentations.AugmentConfig()
    for changes in (
        {"backbone_weight": 0.5},
        {"sampling": dataset.sampling.SamplingConfig(backbone_presence=0.1)},
    ):
        with pytest.raises(config.InputError, match="convert with --backbone"):
            dataset.training(manifest, dataset.DatasetConfig(**changes), plain, seed=0)


def test_training_blends_the_answers_into_the_targets(with_answers):
    chosen = dataset.DatasetConfig(batch_size=4, backbone_weight=0.25, in_noise_share=0.0)
    plain = augmentations.AugmentConfig()
    stored = {}
    for batch in shard_files.read(with_answers, "train", 100):
        probabilities = tf.sigmoid(batch["backbone_answers"]).numpy()
        for found, answers, label in zip(batch["embedding"].numpy(), probabilities, batch["label"], strict=True):
            stored[found.tobytes()] = 0.25 * answers + 0.75 * np.eye(4)[label]
    batch = next(iter(dataset.training(with_answers, chosen, plain, seed=0, features=("embedding",))))
    assert "spectrogram" not in batch
    for found, targets in zip(batch["embedding"].numpy(), batch["targets"].numpy(), strict=True):
        np.testing.assert_allclose(targets, stored[found.tobytes()], atol=1e-6)


def test_training_gives_the_features_that_are_asked_for_of_noise_chunks_too(with_answers):
    chosen = dataset.DatasetConfig(batch_size=4, no_call_share=0.25)
    names = ("spectrogram", "embedding", "backbone_answers")
    noise = {e.tobytes() for batch in shard_files.read(with_answers, "noise", 100) for e in batch["embedding"].numpy()}
    augmented = augmentations.AugmentConfig(add_noise=True, augment_probability=1.0)
    batch = next(iter(dataset.training(with_answers, chosen, augmented, seed=0, features=names)))
    assert [len(batch[name]) for name in names] == [4, 4, 4]
    assert batch["label"].numpy()[3] == -1 and batch["embedding"].numpy()[3].tobytes() in noise
    [first, *_] = dataset.evaluation(with_answers, chosen, names)
    assert first["embedding"].shape[1:] == batch["embedding"].shape[1:] and "targets" in first
