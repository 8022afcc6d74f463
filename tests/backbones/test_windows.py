import numpy as np
import pytest
import soundfile

from bird_tf.audio import decode
from bird_tf.backbones import backbone, windows
from tests.backbones.conftest import CLASSES, RATE, make_source


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
    (of_second_half, _, of_first_half), found = windows.WindowStream(loaded, path, chunk_seconds).answers(start)
    assert (of_first_half > 0, of_second_half > 0) == (early, late)
    assert (found[0] > 0, found[1] > 0) == (early, late)


def test_a_stream_of_overlapping_chunks_equals_a_new_stream_for_each(loaded, tmp_path):
    path = _clicks(tmp_path / "x.wav", 24.0, 0.1, 3.3, 11.7, 23.9)
    starts = np.arange(0, 23.5, 0.75)
    stream = windows.WindowStream(loaded, path, 1.25)
    in_order = [stream.answers(start) for start in starts]
    alone = [windows.WindowStream(loaded, path, 1.25).answers(start) for start in starts]
    for found, expected in zip(zip(*in_order, strict=True), zip(*alone, strict=True), strict=True):
        np.testing.assert_array_equal(found, expected)
        assert len(np.unique(np.round(found, 3), axis=0)) > 2


def test_the_embedding_is_the_mean_over_windows_and_a_shared_window_is_computed_once(tflite_path, labels, tmp_path):
    loaded = backbone.Backbone(make_source(tflite_path, labels), CLASSES)
    path = _clicks(tmp_path / "x.wav", 3.0, 0.6)
    stream, computed, answers = windows.WindowStream(loaded, path, 1.0), [], loaded.answers
    loaded.answers = lambda samples: computed.extend(samples) or answers(samples)
    first, second = stream.answers(0.0)[1], stream.answers(0.5)[1]
    np.testing.assert_allclose([first[:2], second[:2]], [[0.45, 0], [0.45, 0]], atol=1e-6)
    assert len(computed) == 3


def test_a_chunk_in_noise_is_the_same_chunk_and_changes_nothing_of_the_stream(loaded, tmp_path):
    path = _clicks(tmp_path / "x.wav", 4.0, 0.1, 1.3, 2.2)
    plain, stream = (windows.WindowStream(loaded, path, 1.25) for _ in range(2))
    for start in (0.0, 0.75, 1.5):
        expected = plain.answers(start)
        for found, wanted in zip(stream.answers(start), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
        for found, wanted in zip(stream.answers_in_noise(start, 120.0, 3), expected, strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-4)  # 120 dB below the chunk
        drowned = stream.answers_in_noise(start, -20.0, 3)
        assert np.abs(drowned[1] - expected[1]).max() > 0.01


def test_a_recording_that_cannot_be_decoded_counts_as_silence(loaded, tmp_path):
    path = tmp_path / "x.wav"
    path.write_bytes(b"nothing")
    logits, _ = windows.WindowStream(loaded, str(path), 1.0).answers(0.0)
    assert logits[0] == logits[2] == pytest.approx(-4, rel=1e-5)


@pytest.mark.parametrize("chunk_seconds", [0.25, 0.5, 1.25])
def test_answers_from_a_stream_of_spans_equal_those_of_the_converter(tflite_path, labels, tmp_path, chunk_seconds):
    """Also at another rate than the recording's, and computed by several threads."""
    path = _clicks(tmp_path / "x.wav", 3.1, 0.1, 0.6, 1.31, 2.9, rate=11025)
    converter, threaded = (backbone.Backbone(make_source(tflite_path, labels), CLASSES, n) for n in (1, 4))
    chunking, heard = decode.ChunkingConfig(overlap_seconds=0.125), windows.hears(threaded, chunk_seconds)
    streamed = [
        windows.answers(threaded, heard, spans) for spans in decode.ChunkStream(path, heard, chunking, batch_size=3)
    ]
    logits, embeddings = (np.concatenate(parts) for parts in zip(*streamed, strict=True))
    stream = windows.WindowStream(converter, path, chunk_seconds)
    for i, found in enumerate(zip(logits, embeddings, strict=True)):
        for ours, theirs in zip(found, stream.answers(i * (chunk_seconds - 0.125)), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert len(np.unique(embeddings, axis=0)) > 2
