import dataclasses

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

    def answers_in_noise(self, start_seconds, ratio_db, number):
        return np.float32([ratio_db, np.nan]), np.full(7, number % 2**10, np.float32)


def _hearer(front_end, source, spectrogram, in_noise):
    return chunk_features.Hearer(
        "x.wav", front_end, source, CLASSES, spectrogram=spectrogram, in_noise=in_noise, channel="2"
    )


@pytest.fixture
def chunk(small_front_end):
    spectrogram = np.zeros((small_front_end.num_bands, small_front_end.num_frames), np.uint8)
    return schema.Chunk(
        features={schema.SPECTROGRAM: spectrogram}, label=0, background=[], background_known=True, recording_id="r",
        chunk_index=0, start_seconds=2.5, activity=0.0,
    )  # fmt: skip


def test_without_a_backbone_a_chunk_keeps_its_spectrogram(small_front_end, chunk):
    completed = _hearer(small_front_end, None, True, False).completed(chunk)
    described = chunk_features.describe(small_front_end, None, 2, True, False)
    assert set(completed.features) == set(described) == {"spectrogram"}


@pytest.fixture
def source(monkeypatch):
    monkeypatch.setattr(chunk_features.backbone, "load", lambda source, classes: None)
    monkeypatch.setattr(chunk_features.windows, "WindowStream", Stream)
    return sources.Source(name="x", model="x", labels="x", sample_rate_hz=8000, gives_logits=True)


@pytest.mark.parametrize(("spectrogram", "in_noise"), [(True, True), (True, False), (False, True)])
def test_what_is_written_is_what_is_described(small_front_end, chunk, source, spectrogram, in_noise):
    completed = _hearer(small_front_end, source, spectrogram, in_noise).completed(chunk)
    described = chunk_features.describe(small_front_end, DESCRIBED, len(CLASSES), spectrogram, in_noise)
    assert list(completed.features) == list(described)
    for name, feature in described.items():
        assert (completed.features[name].shape, completed.features[name].dtype) == (feature.shape, feature.dtype)
    assert described["embedding"].producer == "Toy 1" and described["embedding"].fingerprint == "f"
    np.testing.assert_array_equal(completed.features["backbone_answers"], np.float16([2.5, np.nan]))


def test_each_chunk_has_noise_of_its_own_and_the_same_again(small_front_end, chunk, source):
    completed = _hearer(small_front_end, source, False, True).completed
    chunks = [dataclasses.replace(chunk, chunk_index=i) for i in range(200)]
    found = [completed(chunk).features for chunk in (*chunks, chunks[0])]
    ratios_db = np.array([features["backbone_answers_in_noise"][0] for features in found])
    assert ratios_db[0] == ratios_db[-1] and len(set(ratios_db)) > 150
    assert -5 <= ratios_db.min() < -3 and 18 < ratios_db.max() <= 20
    assert len({features["embedding_in_noise"][0] for features in found}) > 150


def test_a_partner_is_of_another_recording_and_old_ones_make_room(chunk, generator):
    partners = chunk_features.Partners()
    assert partners.draw(chunk, generator) is None
    for number in range(600):
        other = dataclasses.replace(chunk, recording_id=str(number // 100), chunk_index=number)
        partners.keep(other, np.float32([number]))
    drawn = [partners.draw(dataclasses.replace(chunk, recording_id="5"), generator) for _ in range(1000)]
    assert {recording for recording, _ in drawn} == {"0", "1", "2", "3", "4"}
    assert all(int(span[0]) // 100 == int(recording) for recording, span in drawn)
    assert 30 < len({int(span[0]) for _, span in drawn}) < 64


def test_a_backbone_without_an_embedding_gives_answers_alone(small_front_end):
    described = chunk_features.describe(small_front_end, {**DESCRIBED, "embedding_size": 0}, 2, False, True)
    assert list(described) == ["backbone_answers", "backbone_answers_in_noise"]
