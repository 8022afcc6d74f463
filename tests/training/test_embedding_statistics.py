import numpy as np
import pytest

from bird_tf import tf
from bird_tf.input import dataset, streams
from bird_tf.training import embedding_statistics


def _measure(monkeypatch, embeddings, size=2):
    batches = tf.data.Dataset.from_tensor_slices({"embedding": np.float32(embeddings)}).batch(size)

    def training(manifest, settings, *_, **__):
        assert settings.in_noise_share == 0.0  # as the backbone heard them without noise
        return batches.repeat()

    embedding_statistics._measured.cache_clear()
    monkeypatch.setattr(dataset, "training", training)
    monkeypatch.setattr(streams, "steps_per_epoch", lambda *_: len(embeddings) // size)
    return embedding_statistics.measure(None, dataset.DatasetConfig(), 0)


def test_it_is_mean_and_variance_over_one_epoch(monkeypatch, generator):
    embeddings = generator.normal(3.0, [1.0, 2.0, 0.5], (40, 3)).astype(np.float32)
    mean, variance = _measure(monkeypatch, embeddings)
    np.testing.assert_allclose(mean, embeddings.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(variance, embeddings.var(axis=0), rtol=1e-4)


def test_the_same_chunks_are_measured_once(monkeypatch):
    found = _measure(monkeypatch, [[1.0], [2.0]])
    monkeypatch.setattr(dataset, "training", None)
    assert embedding_statistics.measure(None, dataset.DatasetConfig(), 0) is found
    with pytest.raises(TypeError):
        embedding_statistics.measure(None, dataset.DatasetConfig(), 1)


def test_a_number_that_hardly_varies_is_not_blown_up(monkeypatch):
    _, variance = _measure(monkeypatch, [[0.0, 1.0], [0.0, -1.0], [1e-6, 1.0], [0.0, -1.0]])
    assert variance[1] == pytest.approx(1.0) and variance[0] == pytest.approx(0.005)
