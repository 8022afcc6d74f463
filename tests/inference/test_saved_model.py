import shutil

import numpy as np
import pytest
from absl import logging

from bird_tf import config, tf
from bird_tf.backbones import exported
from bird_tf.inference import saved_model
from bird_tf.labels import taxonomy
from tests import conftest


def test_a_damaged_model_is_named(tmp_path, model_path):
    other = shutil.copytree(model_path, tmp_path / "other")
    fingerprint = (other / "fingerprint.pb").read_bytes()
    (other / "fingerprint.pb").write_bytes(b"\xff")
    with pytest.raises(config.InputError, match=r"other is damaged .*ingerprint"):
        saved_model.Model(str(other))
    (other / "fingerprint.pb").write_bytes(fingerprint)
    (other / "variables" / "variables.index").write_bytes(b"")
    with pytest.raises(config.InputError, match="other is damaged"):
        saved_model.Model(str(other))
    (other / "saved_model.pb").write_bytes(b"")
    with pytest.raises(config.InputError, match="other is damaged"):
        saved_model.Model(str(other))


def test_a_list_of_other_classes_is_refused(tmp_path, model_path):
    other = shutil.copytree(model_path, tmp_path / "other")
    path = str(other / "assets" / "classes.csv")
    classes = taxonomy.load(path)
    taxonomy.save(path, taxonomy.Taxonomy(classes.class_ids, classes.names[::-1]))
    assert saved_model.Model(str(other)).classes.names == classes.names[::-1]  # names may be corrected
    taxonomy.save(path, taxonomy.Taxonomy(classes.class_ids[::-1], classes.names[::-1]))
    with pytest.raises(config.InputError, match=r"classes\.csv is not the list of the classes that the model was"):
        saved_model.Model(str(other))
    conftest.with_free_classes(other)  # early models tell nothing but the number of classes
    assert saved_model.Model(str(other)).classes.class_ids == classes.class_ids[::-1]
    taxonomy.save(path, classes.subset(range(len(classes) - 1)))
    with pytest.raises(config.InputError, match=r"classes\.csv is not the list"):
        saved_model.Model(str(other))


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_outputs_do_not_depend_on_the_batch_size(attention_model_path, generator, batch_size):
    default = saved_model.Model(attention_model_path)
    samples = generator.normal(0, 0.1, (5, default.front_end.chunk_samples)).astype(np.float32)
    other = saved_model.Model(attention_model_path, batch_size)
    for method in ("embed", "spectrograms"):
        # sums in another order: float32
        np.testing.assert_allclose(getattr(other, method)(samples), getattr(default, method)(samples), atol=1e-5)
    for outputs in (
        other.predict_samples(samples),
        default.predict_features({"spectrogram": default.spectrograms(samples)}),
    ):
        for ours, expected in zip(outputs, default.predict_samples(samples), strict=True):
            np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_the_compiled_front_end_gives_what_the_stored_one_gives(model_path, generator, monkeypatch):
    """To 5e-5, as float32 is rounded in another order; silence stays silence."""
    model, stored = saved_model.Model(model_path), saved_model.Model(model_path)
    monkeypatch.setattr(stored, "_compiled_front_end", None)
    samples = generator.normal(0, 0.1, (20, model.front_end.chunk_samples)).astype(np.float32)
    samples[3], samples[4] = 0.0, np.sin(np.arange(len(samples[4])) / 3)
    np.testing.assert_allclose(model.spectrograms(samples), stored.spectrograms(samples), atol=5e-5)
    ours, expected = (each.predict_samples(samples).probabilities for each in (model, stored))
    np.testing.assert_allclose(ours, expected, atol=1e-4)
    assert model._compiled_front_end and not ours[3].any()


@pytest.fixture
def called(monkeypatch):
    """The signatures that a model calls."""
    signatures, call = [], saved_model.Model._call

    def recorded(self, signature, *arguments):
        signatures.append(signature)
        return call(self, signature, *arguments)

    monkeypatch.setattr(saved_model.Model, "_call", recorded)
    return signatures


@pytest.mark.parametrize("with_attention", [True, False])
def test_one_call_gives_outputs_and_embeddings(attention_model_path, model_path, generator, called, with_attention):
    model = saved_model.Model(attention_model_path if with_attention else model_path)
    samples = generator.normal(0, 0.1, (3, model.front_end.chunk_samples)).astype(np.float32)
    outputs = model.predict_samples(samples, embeddings=True)
    assert called == ["predict_and_embed"]
    plain = model.predict_samples(samples)
    assert plain.embeddings.shape == (3, 0)
    np.testing.assert_allclose(outputs.probabilities, plain.probabilities, atol=1e-6)
    np.testing.assert_allclose(outputs.attention_logits, plain.attention_logits, rtol=1e-5)
    np.testing.assert_allclose(outputs.embeddings, model.embed(samples), atol=1e-5)


def test_a_model_of_version_0_1_0_gives_embeddings_by_a_second_call(model_path, generator, called, monkeypatch):
    model = saved_model.Model(model_path)
    samples = generator.normal(0, 0.1, (3, model.front_end.chunk_samples)).astype(np.float32)
    expected = model.predict_samples(samples, embeddings=True)
    called.clear()
    monkeypatch.setattr(saved_model, "_PREDICT_AND_EMBED", "a signature that the model does not have")
    outputs = model.predict_samples(samples, embeddings=True)
    assert called == ["serving_default", "embed"]
    for ours, theirs in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_only_networks_with_attention_give_attention_logits(model_path, attention_model_path, generator):
    samples = generator.normal(0, 0.1, (2, saved_model.Model(model_path).front_end.chunk_samples)).astype(np.float32)
    assert np.isnan(saved_model.Model(model_path).predict_samples(samples).attention_logits).all()
    assert np.isfinite(saved_model.Model(attention_model_path).predict_samples(samples).attention_logits).all()


def test_the_fingerprint_is_that_of_the_folder_and_computed_once(model_path, monkeypatch):
    model = saved_model.Model(model_path)
    assert model.fingerprint == exported.fingerprint(model_path)
    monkeypatch.setattr(exported, "fingerprint", None)
    assert model.fingerprint


def test_what_happens_to_its_folder_later_does_not_change_a_model(tmp_path, model_path, monkeypatch):
    shutil.copytree(model_path, tmp_path / "model")
    expected = saved_model.Model(model_path)
    monkeypatch.chdir(tmp_path)
    model = saved_model.Model("model")
    monkeypatch.chdir("/")
    assert (model.path, model.folder) == ("model", str(tmp_path / "model"))
    shutil.rmtree(model.folder)
    counts = model.prior.num_recordings.tolist()
    assert counts == expected.prior.num_recordings.tolist() and sum(counts) > 0
    assert model.fingerprint == expected.fingerprint


def test_a_failed_write_leaves_the_log_as_it_was(tmp_path):
    before = logging.get_verbosity()
    (tmp_path / "file").write_text("")
    with pytest.raises(tf.errors.OpError):
        saved_model.write(tf.Module(), str(tmp_path / "file" / "model"), {})
    assert logging.get_verbosity() == before
