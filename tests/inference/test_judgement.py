import numpy as np
import pytest

from bird_tf import config
from bird_tf.audio import decode
from bird_tf.inference import ensembles, judgement, occurrence, scoring
from bird_tf.labels import metadata


def test_chunks_and_the_whole_are_calibrated_and_species_elsewhere_have_no_chance(model_path, data, tmp_path):
    ensemble = ensembles.Ensemble([model_path])
    path = str(sorted((data / "wav").iterdir())[0])
    [scored] = scoring.score_recordings(ensemble, [("a", path)], decode.ChunkingConfig())
    before = scored.scores.probabilities.copy()
    species = tmp_path / "species.txt"
    species.write_text(ensemble.classes.class_ids[0])
    elsewhere = judgement.JudgementConfig(occurrence_settings=occurrence.OccurrenceConfig(species_list=str(species)))
    recording = metadata.Recording(recording_id="a", path=path)
    pooled = judgement.Judge(ensemble, elsewhere).judge(recording, scored.scores)
    assert pooled[0] > 0 and not pooled[1:].any()
    expected = ensemble.decisions.chunk.probabilities(before)[:, 0]
    np.testing.assert_allclose(scored.scores.probabilities[:, 0], expected, rtol=1e-6)
    assert not scored.scores.probabilities[:, 1:].any()


def test_what_cannot_be_used_is_refused_before_any_work(model_path):
    with pytest.raises(config.InputError, match="pooling"):
        judgement.JudgementConfig(pooling="loudest")
    with pytest.raises(config.InputError, match="overlap_seconds"):
        judgement.Judge(
            ensembles.Ensemble([model_path]),
            judgement.JudgementConfig(chunking=decode.ChunkingConfig(overlap_seconds=9)),
        )
