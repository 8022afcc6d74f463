import numpy as np
import pytest

from bird_tf.inference import ensembles, segments
from bird_tf.scores import pooling


@pytest.mark.parametrize("method", ["mean", "attention"])
def test_segments_last_five_seconds_and_the_last_one_may_be_partial(generator, method):
    probabilities, logits = generator.random((12, 3)), generator.normal(0, 1, 12)
    start = np.arange(12.0)
    scores = ensembles.RecordingScores(
        path="x.wav", duration_seconds=12.0, start_seconds=start, end_seconds=start + 1,
        member_probabilities=probabilities[None], probabilities=probabilities, member_attention_logits=logits[None],
        attention_logits=logits, embeddings=np.zeros((12, 0), np.float32),
    )  # fmt: skip
    pooled = segments.pooled(scores, method)
    parts = [slice(0, 5), slice(5, 10), slice(10, 12)]
    expected = [pooling.pool(probabilities[part], method, logits[part]) for part in parts]
    np.testing.assert_allclose(pooled, expected)
