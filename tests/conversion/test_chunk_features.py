import numpy as np
import pytest

from bird_tf.backbones import sources
from bird_tf.conversion import chunk_features
from bird_tf.labels import taxonomy
from bird_tf.records import schema

CLASSES = taxonomy.Taxonomy(("gretit", "dodo"), ("Parus major", "Raphus cucullatus"))
DESCRIBED = {"title": "Toy 1", "fingerprint": "f", "embedding_size": 7}


class Stream:
    """Stands in for `windows.WindowStream`; it says the start of the chunk."""

    def __init__(self, model, path, chunk_seconds, channel):
        assert channel == "2"

    def answers(self, start_seconds):
        return np.float32([start_seconds, np.nan]), np.full(7, start_seconds, np.float32)


@pytest.fixture
def chunk(small_front_end):
    spectrogram = np.zeros((small_front_end.num_bands, small_front_end.num_frames), np.uint8)
    return schema.Chunk(
        features={schema.SPECTROGRAM: spectrogram}, label=0, background=[], background_known=True, recording_id="r",
        chunk_index=0, start_seconds=2.5, activity=0.0,
    )  # fmt: skip


def test_without_a_backbone_a_chunk_keeps_its_spectrogram(small_front_end, chunk):
    completed = chunk_features.completing("x.wav", small_front_end, None, CLASSES, True)(chunk)
    described = chunk_features.describe(small_front_end, None, 2, True)
    assert set(completed.features) == set(described) == {"spectrogram"}


@pytest.mark.parametrize("spectrogram", [True, False])
def test_what_is_written_is_what_is_described(small_front_end, chunk, monkeypatch, spectrogram):
    monkeypatch.setattr(chunk_features.backbone, "load", lambda source, classes: None)
    monkeypatch.setattr(chunk_features.windows, "WindowStream", Stream)
    source = sources.Source(name="x", model="x", labels="x", sample_rate_hz=8000, gives_logits=True)
    completed = chunk_features.completing("x.wav", small_front_end, source, CLASSES, spectrogram, "2")(chunk)
    described = chunk_features.describe(small_front_end, DESCRIBED, len(CLASSES), spectrogram)
    assert list(completed.features) == list(described)
    for name, feature in described.items():
        assert (completed.features[name].shape, completed.features[name].dtype) == (feature.shape, feature.dtype)
    assert described["embedding"].producer == "Toy 1" and described["embedding"].fingerprint == "f"
    np.testing.assert_array_equal(completed.features["backbone_answers"], np.float16([2.5, np.nan]))


def test_a_backbone_without_an_embedding_gives_answers_alone(small_front_end):
    described = chunk_features.describe(small_front_end, {**DESCRIBED, "embedding_size": 0}, 2, False)
    assert list(described) == ["backbone_answers"]
