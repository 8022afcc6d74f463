import dataclasses

import numpy as np
import pytest

from bird_tf import config
from bird_tf.audio import decode
from bird_tf.inference import ensembles, judgement, occurrence, scoring
from bird_tf.labels import metadata
from bird_tf.scores import context


def test_chunks_and_the_whole_are_calibrated_and_species_elsewhere_have_no_chance(model_path, data, tmp_path):
    ensemble = ensembles.Ensemble([model_path])
    path = str(sorted((data / "wav").iterdir())[0])
    [scored] = scoring.score_recordings(ensemble, [("a", path)], decode.ChunkingConfig())
    before = scored.scores.probabilities.copy()
    species = tmp_path / "species.txt"
    species.write_text(ensemble.classes.class_ids[0])
    elsewhere = judgement.JudgementConfig(occurrence_settings=occurrence.OccurrenceConfig(species_list=str(species)))
    recording = metadata.Recording(recording_id="a", path=path)
    answered, pooled = judgement.Judge(ensemble, elsewhere).judge(recording, scored.scores)
    assert pooled[0] > 0 and not pooled[1:].any()
    expected = ensemble.decisions.chunk.probabilities(before)[:, 0]
    np.testing.assert_allclose(answered.probabilities[:, 0], expected, rtol=1e-6)
    assert not answered.probabilities[:, 1:].any()


def test_answers_are_in_context_and_the_whole_recording_is_not(model_path, data):
    ensemble = ensembles.Ensemble([model_path])
    path = str(sorted((data / "wav").iterdir())[0])
    recording = metadata.Recording(recording_id="a", path=path)

    def judged():
        judge = judgement.Judge(ensemble, judgement.JudgementConfig())
        [scored] = scoring.score_recordings(ensemble, [("a", path)], judge.chunking)
        return judge.judge(recording, scored.scores)

    plain, pooled = judged()
    around = context.Context(smoothing=0.4, best_chunk=1.0)
    ensemble.decisions = dataclasses.replace(
        ensemble.decisions, context=around,
        in_context=dataclasses.replace(ensemble.decisions.chunk, intercept=-1.0),
    )  # fmt: skip
    changed, still_pooled = judged()
    np.testing.assert_array_equal(still_pooled, pooled)
    assert (changed.start_seconds == plain.start_seconds).all()
    assert (changed.probabilities < plain.probabilities).all()


def test_a_recording_is_never_more_probable_than_its_best_chunk(model_path, data):
    ensemble = ensembles.Ensemble([model_path])
    decided = ensemble.decisions
    ensemble.decisions = dataclasses.replace(
        decided,
        recording=dataclasses.replace(decided.recording, slope=6.0, intercept=5.0),
        chunk=dataclasses.replace(decided.chunk, slope=2.7, intercept=-2.0),
    )
    judge = judgement.Judge(ensemble, judgement.JudgementConfig())
    paths = map(str, sorted((data / "wav").iterdir())[:3])
    lowered = 0
    for scored in scoring.score_recordings(ensemble, [(path, path) for path in paths], judge.chunking):
        answered, pooled = judge.judge(metadata.Recording(recording_id="a", path=""), scored.scores)
        assert (pooled <= answered.probabilities.max(axis=0)).all() and (pooled > 0).any()
        lowered += (pooled == answered.probabilities.max(axis=0)).sum()
    assert lowered


def test_what_cannot_be_used_is_refused_before_any_work(model_path):
    with pytest.raises(config.InputError, match="pooling"):
        judgement.JudgementConfig(pooling="loudest")
    with pytest.raises(config.InputError, match="overlap_seconds"):
        judgement.Judge(
            ensembles.Ensemble([model_path]),
            judgement.JudgementConfig(chunking=decode.ChunkingConfig(overlap_seconds=9)),
        )
