import dataclasses

import numpy as np
import pytest

from bird_tf.audio import decode
from bird_tf.evaluation import context_search
from bird_tf.inference import ensembles, segments
from bird_tf.scores import context, thresholds


def test_the_plainest_context_wins_unless_another_gains_more_than_chance():
    plain, smooth, costly = context.Context(), context.Context(smoothing=0.2), context.Context(shifted=True)
    assert context_search.choose({plain: 0.5, smooth: 0.504, costly: 0.503}) == plain
    assert context_search.choose({plain: 0.5, smooth: 0.52, costly: 0.524}) == smooth
    assert context_search.choose({plain: 0.5, smooth: 0.4, costly: 0.6}) == costly


def _heard(ensemble, generator):
    """Ten soundscapes of 20 s; in the even ones class 0 calls in each chunk of 10 to 15 s, in the others never."""
    num_classes, scores, truth = len(ensemble.classes), [], []
    for number in range(10):
        start = np.arange(39) / 2  # shifted chunks of a second
        present = (start >= 10) & (start < 14.5) & (number % 2 == 0)
        probabilities = (0.05 * generator.random((39, num_classes))).astype(np.float32)
        # false calls of single chunks, as strong as the true ones are on the whole
        probabilities[:, 0] = np.where(present, 0.5, np.where(generator.random(39) < 0.15, 0.7, 0.02))
        logits = np.zeros(39)
        scores.append(
            ensembles.RecordingScores(
                path=str(number), duration_seconds=20.0, start_seconds=start, end_seconds=start + 1,
                member_probabilities=probabilities[None], probabilities=probabilities,
                member_attention_logits=logits[None], attention_logits=logits, embeddings=np.zeros((0, 0), np.float32),
            )
        )  # fmt: skip
        truth.append(np.zeros((4, num_classes), bool))
        truth[-1][2, 0] = number % 2 == 0
    return context_search.Heard(scores=scores, truth=truth, chunking=decode.ChunkingConfig())


def test_a_context_is_chosen_and_the_calibration_is_fitted_in_it(model_path, generator):
    ensemble = ensembles.Ensemble([model_path])
    before = ensemble.decisions
    found = context_search.tune(ensemble, _heard(ensemble, generator), "max", 0.9, 0, "here")
    decided = ensemble.decisions
    # the maximum falls for single false chunks; the chunks around them tell
    assert decided.context.active and found[decided.context.describe()] > found["none"] + 0.05 and len(found) == 24
    assert decided.in_context and decided.answers is decided.in_context
    assert (decided.chunk, decided.recording, decided.pooling) == (before.chunk, before.recording, before.pooling)
    assert decided.context_fitted_on == "40 segments of here" and decided.precision == 0.9
    threshold = decided.answers.thresholds["f1"][0]
    assert 0 < threshold < 1 and decided.answers.probabilities(np.array([0.02]))[0] < threshold


def test_thresholds_of_chunks_are_carried_over_to_the_context(model_path, generator):
    ensemble = ensembles.Ensemble([model_path])
    least = np.where(np.arange(len(ensemble.classes)) == 0, 0.6, thresholds.NEVER)
    chunk = dataclasses.replace(ensemble.decisions.chunk, thresholds={"f1": least, "precision": least})
    ensemble.decisions = dataclasses.replace(ensemble.decisions, chunk=chunk)
    heard = _heard(ensemble, generator)
    before = np.concatenate([segments.loudest(scores) for scores in heard.own(ensemble)])
    context_search.tune(ensemble, heard, "max", 0.9, 0, "here", carry_thresholds=True)
    decided = ensemble.decisions
    after = np.concatenate([segments.loudest(scores) for scores in heard.in_context(ensemble)])
    assert decided.context.active and (before != after).any()
    for carried in decided.answers.thresholds.values():
        called = decided.answers.probabilities(after) >= carried[0]
        assert 0 < called.sum() <= (chunk.probabilities(before) >= 0.6).sum()
        assert (carried[1:] == thresholds.NEVER).all()


@pytest.mark.parametrize("asked", [context.Context(), context.Context(smoothing=0.4, shifted=True)])
def test_soundscapes_are_answered_where_chunks_lie_without_the_shifted_ones(model_path, generator, asked):
    ensemble = ensembles.Ensemble([model_path])
    heard = _heard(ensemble, generator)
    assert {len(scores.probabilities) for scores in heard.in_context(ensemble)} == {20}
