import numpy as np
import pytest
import soundfile

from bird_tf import tf
from bird_tf.backbones import backbone, windows
from tests.backbones.conftest import RATE, sigmoid


def _clicks(path, seconds, *at, rate=RATE):
    samples = np.zeros(round(seconds * rate), np.float32)
    samples[[round(second * rate) for second in at]] = 0.9
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return str(path)


@pytest.mark.parametrize(
    ("chunk_seconds", "start", "click", "early", "late"),
    [
        (0.25, 0.5, 0.45, True, False),  # a window of 0.5 s is centred on the chunk: 0.375 … 0.875
        (0.25, 0.5, 0.80, False, True),
        (0.25, 0.5, 0.30, False, False),
        (0.25, 0.0, 0.05, True, False),  # zeros before the recording: -0.125 … 0.375
        (0.25, 0.0, 0.20, False, True),
        (0.25, 1.75, 1.90, False, True),  # and after its end
        (1.25, 0.5, 1.70, False, True),  # windows of 0.5 … 1.0, 0.875 … 1.375, 1.25 … 1.75
        (1.25, 0.5, 0.90, True, True),
        (1.25, 0.5, 0.45, False, False),
        (1.25, 0.5, 1.80, False, False),
    ],
)
def test_windows_cover_the_chunk(loaded, tmp_path, chunk_seconds, start, click, early, late):
    path = _clicks(tmp_path / "x.wav", 2.0, click)
    of_second_half, _, of_first_half = windows.WindowStream(loaded, path, chunk_seconds).probabilities(start)
    assert (of_first_half > 0.5, of_second_half > 0.5) == (early, late)


def test_a_stream_of_overlapping_chunks_equals_a_new_stream_for_each(loaded, tmp_path):
    path = _clicks(tmp_path / "x.wav", 24.0, 0.1, 3.3, 11.7, 23.9)
    starts = np.arange(0, 23.5, 0.75)
    stream = windows.WindowStream(loaded, path, 1.25)
    in_order = [stream.probabilities(start) for start in starts]
    alone = [windows.WindowStream(loaded, path, 1.25).probabilities(start) for start in starts]
    np.testing.assert_array_equal(in_order, alone)
    assert len(np.unique(np.round(in_order, 3), axis=0)) > 2


def test_a_recording_that_cannot_be_decoded_counts_as_silence(loaded, tmp_path):
    path = tmp_path / "x.wav"
    path.write_bytes(b"nothing")
    probabilities = windows.WindowStream(loaded, str(path), 1.0).probabilities(0.0)
    assert probabilities[0] == probabilities[2] == pytest.approx(sigmoid(-4), rel=1e-5)


def test_a_model_exported_by_bird_tf_needs_only_its_path(manifest, model_path, data):
    loaded = backbone.Backbone(backbone.BackboneConfig(backbone=model_path), manifest.classes)
    assert loaded.sample_rate_hz == manifest.front_end.sample_rate_hz and loaded.known.all()
    path = str(sorted((data / "wav").iterdir())[0])
    samples, _ = soundfile.read(path, dtype="float32")
    chunk = samples[None, : manifest.front_end.chunk_samples]
    expected = tf.saved_model.load(model_path).signatures["serving_default"](samples=tf.constant(chunk))
    probabilities = windows.WindowStream(loaded, path, manifest.front_end.chunk_seconds).probabilities(0.0)
    np.testing.assert_allclose(probabilities, expected["probabilities"][0], atol=1e-5)
