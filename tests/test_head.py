"""A head on a backbone: from records to the exported model, for backbones inside and outside of its graph."""

import dataclasses
import json
import os
import pathlib
import shutil

import numpy as np
import pytest

import bird_tf
from bird_tf import config, convert, evaluate, files, predict, search, tf, train
from bird_tf.audio import decode
from bird_tf.inference import embedding_store, ensembles, labelled, model_files, saved_model
from bird_tf.input import dataset
from bird_tf.input.augment import augmentations
from bird_tf.models import architectures, head
from bird_tf.records import manifests, shard_files
from bird_tf.training import epochs, experiments, exporter, run_directory
from tests.backbones import conftest as toys
from tests.conftest import SMALL, settings, train_settings
from tools import serving_request

FEATURES = ("embedding", "backbone_answers")


@pytest.fixture(scope="module", params=["saved_model", "tflite"])
def records(request, data, manifest, tmp_path_factory):
    """Records with what a toy backbone says, which knows three of six species."""
    folder = tmp_path_factory.mktemp("head")
    labels, path = folder / "labels.txt", folder / "toy.tflite"
    labels.write_text("\n".join(manifest.classes.names[:3]))
    if request.param == "tflite":
        toys.write_tflite(path)
    else:
        path = folder / "toy"
        module = toys.Loudness()
        tf.saved_model.save(module, str(path), signatures=module.function())
    return convert.convert(
        settings(
            convert.ConvertConfig,
            audio=data / "wav",
            metadata=data / "xml",
            output=folder / "set",
            workers=1,
            val_share=0.3,
            group_by="recording",
            signal_threshold=0.005,
            noise_share=1.0,
            spectrogram=request.param == "saved_model",
            backbone=path,
            backbone_labels=labels,
            backbone_sample_rate_hz=toys.RATE,
            backbone_logits=True,
            **SMALL,
        )  # fmt: skip
    )


@pytest.fixture(scope="module")
def trained(records, tmp_path_factory):
    """The records, and the run of a head on them."""
    run_dir = tmp_path_factory.mktemp("trained") / "run"
    train.train(head_settings(records, run_dir))
    return records, run_dir


# what depends on the features alone, not on the kind of the backbone's file
of_features = pytest.mark.parametrize("records", ["tflite"], indirect=True)


def head_settings(records, run_dir, **values):
    defaults = {"architecture": "head", "loss": "sigmoid", "add_noise": False, "no_call_share": 0.2, "mixup": 0.5}
    return train_settings(records, run_dir, **{**defaults, **values})


def test_scores_from_audio_are_those_from_records(trained, source):
    records, run_dir = trained
    ensemble = ensembles.Ensemble([str(run_dir / exporter.EXPORT)])
    from_records = labelled.score_records(ensemble, records)
    recordings = [r for r in convert.reader.read(source)[0] if r.recording_id in from_records.recording_ids]
    from_audio = labelled.score_audio(ensemble, recordings, decode.ChunkingConfig())
    assert from_audio.recording_ids == from_records.recording_ids
    for ours, expected in zip(from_audio.member_probabilities, from_records.member_probabilities, strict=True):
        assert len(ours) and np.ptp(ours) > 0.01
        np.testing.assert_allclose(ours[:, : expected.shape[1]], expected, atol=2e-3)  # the records hold float16


@of_features
def test_it_hears_some_chunks_in_noise(records):
    def chunks(share):
        settings = dataset.DatasetConfig(batch_size=8, in_noise_share=share, no_call_share=0.25)
        stream = dataset.training(records, settings, augmentations.AugmentConfig(), seed=1, features=FEATURES)
        return [{name: batch[name].numpy() for name in FEATURES} for batch in stream.take(4)]

    clean, mixed, noisy = (chunks(share) for share in (0.0, 0.5, 1.0))
    num_noisy = 0
    for parts in zip(clean, mixed, noisy, strict=True):
        for name in FEATURES:
            same = [
                np.all((parts[1][name] == part[name]) | np.isnan(part[name]), axis=1) for part in (parts[0], parts[2])
            ]
            assert (same[0] | same[1]).all()
        num_noisy += np.sum(same[1] & ~same[0])
    assert 4 < num_noisy < 28
    without = dataclasses.replace(records, features={name: records.features[name] for name in FEATURES})
    settings = dataset.DatasetConfig(batch_size=8, no_call_share=0.25)
    old = dataset.training(without, settings, augmentations.AugmentConfig(), seed=1, features=FEATURES)
    np.testing.assert_array_equal(next(iter(old))["embedding"].numpy(), clean[0]["embedding"])


@of_features
def test_its_statistics_are_those_of_the_training_chunks(trained):
    records, run_dir = trained
    _, network = run_directory.load(str(run_dir))
    [batch] = shard_files.read(records, "train", 1000, records.select(["embedding"], "x"))
    embeddings = batch["embedding"].numpy()  # not those in noise
    statistics = network.get_layer("standardised").get_weights()
    standardised, varying = np.asarray(head.standardised(embeddings, *statistics)), embeddings.std(axis=0) > 0
    assert varying.sum() == 2 and np.abs(standardised[:, varying].mean(axis=0)).max() < 0.6
    np.testing.assert_allclose(standardised[:, varying].std(axis=0), 1.0, atol=0.5)
    assert not standardised[:, ~varying].any()


def test_it_starts_as_the_backbone(generator):
    network = architectures.build(
        architectures.ModelConfig(architecture="head"), {"embedding": (5,), "backbone_answers": (3,)}, 3
    )
    answers = np.float32([[1.5, np.nan, -7.0]])
    batch = {"embedding": generator.normal(0, 9, (1, 5)).astype(np.float32), "backbone_answers": answers}
    logits = architectures.call(network, batch, training=False)["logits"].numpy()
    assert logits[0, [0, 2]].tolist() == [1.5, -7.0]
    assert logits[0, 1] < -2  # an unknown class is rare until something is learnt of it


@of_features
def test_a_strong_penalty_keeps_it_at_the_backbone(records, tmp_path):
    train.train(head_settings(records, tmp_path / "run", l2=1e4, optimizer="sgd", learning_rate=1e-6))
    model = saved_model.Model(str(tmp_path / "run" / exporter.EXPORT))
    [batch] = shard_files.read(records, "val", 1000, records.select(FEATURES, "the test"))
    logits = model.logits(model.from_records(batch, records.classes)).numpy()
    known = ~np.isnan(batch["backbone_answers"].numpy())
    assert known.any() and not known.all()
    np.testing.assert_allclose(logits[known], batch["backbone_answers"].numpy()[known], atol=1e-3)


def test_plain_tensorflow_loads_it_with_its_backbone_if_that_is_a_saved_model(trained, data):
    _, run_dir = trained
    model = saved_model.Model(str(run_dir / exporter.EXPORT))
    assert bird_tf.load(model.path).sample_rate_hz == toys.RATE
    recording = str(next((data / "wav").glob("*.wav")))
    spans = np.concatenate(list(decode.ChunkStream(
        recording, model.hearing, decode.ChunkingConfig(), 8
    )))  # fmt: skip
    expected = model.predict_samples(spans, embeddings=True)
    assert expected.embeddings.shape == (len(spans), toys.SIZE)
    np.testing.assert_allclose(model.embed(spans), expected.embeddings, atol=1e-6)
    signatures = tf.saved_model.load(model.path).signatures
    copies = os.path.join(model.path, model_files.BACKBONE)
    if "serving_default" not in signatures:
        assert sorted(os.listdir(copies)) == ["labels.txt", "toy.tflite"]
        return
    assert not os.path.exists(copies)
    asked = serving_request.body(serving_request.RequestConfig(model=model.path, audio=recording))
    assert {len(instance["samples"]) for instance in asked["instances"]} == {model.hearing.span_samples}
    served = signatures["serving_default"](samples=tf.constant(spans))
    np.testing.assert_allclose(served["scores"], expected.probabilities, atol=1e-6)


@of_features
def test_commands_take_it_as_any_other_model(trained, data, model_path, tmp_path):
    records, run_dir = trained
    model = str(run_dir / exporter.EXPORT)
    evaluate.evaluate(
        settings(evaluate.EvaluateConfig, model=(model,), records=records.directory, tune=True, synthetic_noise=2)
    )
    summary = predict.predict(
        settings(predict.PredictConfig, model=(model, model_path), audio=data / "wav", output=tmp_path / "predictions")
    )
    assert summary["num_recordings"] == 18
    assert files.exists(os.path.join(model, "assets", "decisions.json"))


def test_a_query_is_heard_as_the_recordings_were(trained, data, tmp_path):
    _, run_dir = trained
    model = saved_model.Model(str(run_dir / exporter.EXPORT))
    predict.predict(
        settings(predict.PredictConfig, model=(model.path,), audio=data / "wav", output=tmp_path, embeddings=True)
    )
    path, store = sorted((data / "wav").iterdir())[4], embedding_store.Embeddings(str(tmp_path))
    for at in (0.0, 1.0):
        stored, *_ = store.at(path.name, at)
        np.testing.assert_allclose(model.embed(search._span(str(path), model, at, "mix")[None])[0], stored, atol=1e-5)


@pytest.mark.parametrize("records", ["tflite"], indirect=True)  # it is no part of the graph
def test_a_backbone_that_is_gone_or_changed_is_named(trained, tmp_path):
    _, run_dir = trained
    model = pathlib.Path(shutil.copytree(run_dir / exporter.EXPORT, tmp_path / "model"))
    samples = np.zeros((1, saved_model.Model(str(model)).hearing.span_samples), np.float32)
    labels = model / model_files.BACKBONE / "labels.txt"
    labels.write_text(labels.read_text()[::-1])
    with pytest.raises(config.InputError, match="is another one; install or copy"):
        saved_model.Model(str(model)).predict_samples(samples)
    labels.unlink()
    with pytest.raises(config.InputError, match=r"needs its backbone .* is not there"):
        saved_model.Model(str(model)).predict_samples(samples)


def test_it_is_exported_again_with_its_own_copy_of_a_backbone_that_is_gone(trained, tmp_path):
    copy = pathlib.Path(shutil.copytree(trained[1], tmp_path / "run"))
    described = json.loads((copy / "run.json").read_text())
    described["backbone"]["model"] = described["backbone"]["model"].replace("toy", "moved/toy")
    (copy / "run.json").write_text(json.dumps(described))
    kept = copy / exporter.EXPORT / model_files.BACKBONE
    if kept.exists():
        exporter.export(str(copy))
        assert sorted(os.listdir(kept)) == ["labels.txt", "toy.tflite"]
        (kept / "toy.tflite").write_bytes(b"another")
        with pytest.raises(config.InputError, match="is another one; install or copy"):
            exporter.export(str(copy))
        shutil.rmtree(kept)
    with pytest.raises(config.InputError, match=r"the head needs its backbone .*moved.* is not there"):
        exporter.export(str(copy))


@of_features
def test_records_that_do_not_fit_are_refused(trained, manifest, tmp_path):
    records, run_dir = trained
    with pytest.raises(config.InputError, match="--architecture=head needs the feature embedding"):
        train.train(head_settings(manifest, tmp_path / "run"))
    with pytest.raises(config.InputError, match="--time_mask without spectrograms has no effect"):
        train.train(head_settings(records, tmp_path / "masked", time_mask=0.1))
    model = saved_model.Model(str(run_dir / exporter.EXPORT))
    other = {n: dataclasses.replace(f, fingerprint="other") for n, f in records.features.items()}
    with pytest.raises(config.InputError, match="of another version or of another backbone"):
        model.check_records(dataclasses.replace(records, features=other))
    rate = {**records.backbone, "sample_rate_hz": 16000}
    with pytest.raises(config.InputError, match="the same backbone, asked in different ways: sample_rate_hz 8000 / 16"):
        model.check_records(dataclasses.replace(records, backbone=rate))
    early = {name: records.backbone[name] for name in ("model", "fingerprint")}
    model.check_records(dataclasses.replace(records, backbone=early))
    few = manifests.taxonomy.Taxonomy(records.classes.class_ids[1:], records.classes.names[1:])
    with pytest.raises(config.InputError, match=f"no answers .* for 1 classes .*: {records.classes.class_ids[0]};"):
        model.check_records(dataclasses.replace(records, classes=few))
    fewer = {**records.backbone, "classes": records.backbone["classes"][1:]}  # as of earlier versions: by fewer names
    with pytest.raises(config.InputError, match=f"no answers .* for 1 classes .*: {records.backbone['classes'][0]};"):
        model.check_records(dataclasses.replace(records, backbone=fewer))


@of_features
def test_answers_follow_the_order_of_the_models_classes(trained):
    records, run_dir = trained
    model = saved_model.Model(str(run_dir / exporter.EXPORT))
    order = manifests.taxonomy.Taxonomy(records.classes.class_ids[::-1], records.classes.names[::-1])
    [batch] = shard_files.read(records, "val", 1000, records.select(FEATURES, "the test"))
    turned = {**batch, "backbone_answers": batch["backbone_answers"][:, ::-1]}
    np.testing.assert_array_equal(
        model.from_records(turned, order)["backbone_answers"],
        model.from_records(batch, records.classes)["backbone_answers"],
    )


@of_features
def test_answers_for_classes_that_the_backbone_did_not_know_in_the_training_do_not_count(trained):
    records, run_dir = trained
    model = saved_model.Model(str(run_dir / exporter.EXPORT))
    [batch] = shard_files.read(records, "val", 1000, records.select(FEATURES, "the test"))
    first = model.description.backbone["classes"][0]
    fewer = {**model.description.backbone, "classes": [c for c in model.description.backbone["classes"] if c != first]}
    model.description = dataclasses.replace(model.description, backbone=fewer)
    found = model.from_records(batch, records.classes)["backbone_answers"].numpy()
    assert np.isnan(found[:, records.classes.index(first)]).all()


with_spectrograms = pytest.mark.parametrize("records", ["saved_model"], indirect=True)


def _student_settings(trained, run_dir, **values):
    records, head_dir = trained
    teacher = (str(head_dir / exporter.EXPORT),)
    return train_settings(records, run_dir, **{"loss": "sigmoid", "teacher": teacher, "epochs": 1, **values})


@with_spectrograms
def test_a_student_learns_what_the_head_says_of_the_stored_features(trained, tmp_path):
    chosen = _student_settings(trained, tmp_path, teacher_weight=1.0, or_mixup=0.0, add_noise=False)
    records, head_dir = trained
    experiment = experiments.Experiment(chosen, records, tf.distribute.get_strategy())
    batch = next(iter(experiment.batches()))
    model = saved_model.Model(str(head_dir / exporter.EXPORT))
    said = {}
    for stored in shard_files.read(records, "train", 100, records.select(["spectrogram", *FEATURES], "the test")):
        expected = model.predict_features({name: stored[name].numpy() for name in FEATURES}).probabilities
        said |= dict(zip((s.tobytes() for s in stored["spectrogram"].numpy()), expected, strict=True))
    pixels = np.round(batch["spectrogram"].numpy() * 255).astype(np.uint8)
    assert len(pixels) == 8 and set(batch) == {"spectrogram", "targets", "weights"}
    for spectrogram, targets in zip(pixels, batch["targets"].numpy(), strict=True):
        np.testing.assert_allclose(targets, said[spectrogram.tobytes()], atol=1e-5)


@with_spectrograms
def test_a_student_learns_the_embedding_too_and_is_exported_alone(trained, tmp_path):
    chosen = _student_settings(trained, tmp_path / "run", embedding_weight=1.0, ema=0.9, or_mixup=0.5)
    records, _ = trained
    experiment = experiments.Experiment(chosen, records, tf.distribute.get_strategy())
    batch = next(iter(experiment.batches()))
    losses_seen = [experiment.state.step(batch)[0] for _ in range(30)]
    assert losses_seen[-1] < 0.8 * losses_seen[0]
    epochs.validate(experiment)
    train._finish(experiment)
    experiment.events.close()
    model = saved_model.Model(str(tmp_path / "run" / exporter.EXPORT))
    assert [feature.name for feature in model.features] == ["spectrogram"]
    assert not any("projection" in name for name, _ in tf.train.list_variables(f"{model.path}/variables/variables"))
    assert model.description.backbones
    summary = evaluate.evaluate(settings(evaluate.EvaluateConfig, model=(model.path,), records=records.directory))
    assert 0 < summary["mlrap"] <= 1


@with_spectrograms
def test_teachers_of_two_kinds_and_answers_twice_are_refused(trained, run_dir, tmp_path):
    head = _student_settings(trained, tmp_path / "a").teachers.teacher
    with pytest.raises(config.InputError, match="name heads, or networks of spectrograms, but not both"):
        train.train(_student_settings(trained, tmp_path / "a", teacher=(*head, str(run_dir / exporter.EXPORT))))
    with pytest.raises(config.InputError, match="--backbone_weight beside a head as --teacher has no effect"):
        train.train(_student_settings(trained, tmp_path / "b", backbone_weight=0.5))
