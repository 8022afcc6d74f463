"""Backbones, and what conversion and training do with their answers."""

import numpy as np
import pytest

from bird_tf import config, convert, tf
from bird_tf.backbones import backbone
from bird_tf.input import dataset
from bird_tf.input.augment import augmentations
from bird_tf.records import manifests, schema
from tests.backbones.conftest import CLASSES, RATE, WINDOW, make_config, sigmoid
from tests.test_convert import _bytes, _settings


def test_probabilities_are_those_of_our_classes_by_latin_name(loaded):
    windows = np.zeros((2, WINDOW), np.float32)
    windows[0, 10], windows[1, -10] = 0.5, -0.75
    quiet = sigmoid(-4)
    np.testing.assert_allclose(
        loaded.probabilities(windows), [[quiet, np.nan, 0.5], [sigmoid(2), np.nan, quiet]], rtol=1e-5
    )
    assert loaded.known.tolist() == [True, False, True]


def test_models_that_do_not_fit_are_refused_in_one_line(model, labels, tmp_path):
    few = tmp_path / "few.txt"
    few.write_text("Parus major\n")
    strange = tmp_path / "strange.txt"
    strange.write_text("a\nb\nc\n")
    for values, words in [
        ({"backbone": tmp_path / "none"}, "no such file"),
        ({"backbone": few}, "can be loaded"),
        ({"backbone_labels": ""}, "--backbone_labels"),
        ({"backbone_sample_rate_hz": 0}, "--backbone_sample_rate_hz"),
        ({"backbone_labels": few}, r"output \[batch, 1\]"),
        ({"backbone_labels": strange}, "knows none of the 3 classes"),
    ]:
        given = {"backbone": model, "backbone_labels": labels, **values}
        with pytest.raises(config.InputError, match=words):
            backbone.Backbone(make_config(given.pop("backbone"), given.pop("backbone_labels"), **given), CLASSES)
    with pytest.raises(config.InputError, match="--backbone_logits"):
        backbone.Backbone(make_config(model, labels, backbone_logits=False), CLASSES).probabilities(
            np.ones((1, WINDOW), np.float32)
        )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("teacher_model", "backbone"),
        ("teacher_labels", "backbone_labels"),
        ("teacher_sample_rate_hz", "backbone_sample_rate_hz"),
        ("teacher_logits", "backbone_logits"),
    ],
)
def test_earlier_names_of_flags_are_refused_with_the_new_name(old, new):
    with pytest.raises(config.InputError, match=f"--{old} is now called --{new}:"):
        config.parse(convert.ConvertConfig, ["--audio=a", "--output=o", f"--{old}=1"])


@pytest.fixture(scope="module")
def with_answers(data, model_path, tmp_path_factory):
    """Records with answers of a backbone that does not know the last two classes."""
    output = tmp_path_factory.mktemp("with_answers") / "set"
    return convert.convert(_settings_with_answers(data, output, model_path))


def _settings_with_answers(data, output, model_path, **values):
    return _settings(data, output, **{"backbone": model_path, "max_classes": 4, "signal_threshold": 0.0, **values})


def test_records_hold_the_answers_for_any_number_of_workers(data, with_answers, model_path, tmp_path, monkeypatch):
    assert with_answers.backbone["model"] == model_path and len(with_answers.backbone["classes"]) == 4
    assert manifests.load(with_answers.directory).backbone == with_answers.backbone
    for split in ("train", "val"):
        for block in tf.data.TFRecordDataset(with_answers.paths(split)).batch(100):
            answers = schema.parse_backbone(block, 4, with_answers.format_version)["backbone_answers"].numpy()
            assert answers.shape == (len(block), 4) and (answers >= 0).all() and (answers <= 1).all()
    again = convert.convert(_settings_with_answers(data, tmp_path / "again", model_path, workers=2))
    assert _bytes(again.directory) == _bytes(with_answers.directory)


def test_another_backbone_on_an_unfinished_directory_is_refused(data, manifest, model, tmp_path, monkeypatch):
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(manifest.classes.names[:3]))
    chosen = _settings(
        data,
        tmp_path / "x",
        backbone=model,
        backbone_labels=labels,
        backbone_sample_rate_hz=RATE,
        backbone_logits=True,
    )
    monkeypatch.setattr(convert, "_run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
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
    chosen = dataset.DatasetConfig(batch_size=4, backbone_weight=0.25)
    plain = augmentations.AugmentConfig()
    stored = {}
    for block in tf.data.TFRecordDataset(with_answers.paths("train")).batch(100):
        spectrograms = schema.parse_spectrogram(block, with_answers.front_end).numpy() / np.float32(255)
        parsed = schema.parse_backbone(block, 4, with_answers.format_version)
        for spectrogram, answers, label in zip(spectrograms, parsed["backbone_answers"], parsed["label"], strict=True):
            stored[np.round(spectrogram, 4).tobytes()] = 0.25 * answers.numpy() + 0.75 * np.eye(4)[label]
    batch = next(iter(dataset.training(with_answers, chosen, plain, seed=0)))
    for spectrogram, targets in zip(batch["spectrogram"].numpy(), batch["targets"].numpy(), strict=True):
        np.testing.assert_allclose(targets, stored[np.round(spectrogram, 4).tobytes()], atol=1e-6)
