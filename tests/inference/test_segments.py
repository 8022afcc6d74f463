import numpy as np
import pytest

from bird_tf.inference import ensembles, segments
from bird_tf.scores import pooling


def _scores(probabilities, start, seconds, duration, logits):
    return ensembles.RecordingScores(
        path="x.wav", duration_seconds=duration, start_seconds=start, end_seconds=start + seconds,
        member_probabilities=probabilities[None], probabilities=probabilities, member_attention_logits=logits[None],
        attention_logits=logits, embeddings=np.zeros((len(start), 0), np.float32),
    )  # fmt: skip


@pytest.mark.parametrize("method", ["mean", "attention"])
def test_segments_last_five_seconds_and_the_last_one_may_be_partial(generator, method):
    probabilities, logits = generator.random((12, 3)), generator.normal(0, 1, 12)
    start = np.arange(12.0)
    scores = _scores(probabilities, start, 1, 12.0, logits)
    pooled = segments.pooled(scores, method)
    parts = [slice(0, 5), slice(5, 10), slice(10, 12)]
    expected = [pooling.pool(probabilities[part], method, logits[part]) for part in parts]
    np.testing.assert_allclose(pooled, expected)


def test_a_chunk_is_a_detection_where_half_of_it_lies(generator):
    """Chunks of 3 s, each half a chunk after the one before, in segments of 5 s; the last one is a second long."""
    start = np.arange(0, 12.1, 1.5)  # 0, 1.5, 3, 4.5, 6, 7.5, 9, 10.5, 12
    scores = _scores(generator.random((9, 2)), start, 3, 16.0, np.zeros(9))
    inside = [start[np.isin(scores.probabilities[:, 0], own[:, 0])].tolist() for own in segments.chunks(scores)]
    assert inside == [[0, 1.5, 3], [4.5, 6, 7.5], [9, 10.5, 12], [12]]
    np.testing.assert_array_equal(segments.loudest(scores)[1], scores.probabilities[3:6].max(axis=0))
    # a chunk that is longer than a segment counts where it fills half of it
    longer = _scores(generator.random((2, 1)), np.array([0.0, 12.0]), 12, 24.0, np.zeros(2))
    assert [len(own) for own in segments.chunks(longer)] == [1, 1, 1, 1, 1]
