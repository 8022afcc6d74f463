import numpy as np
import pytest
import scipy.stats
import soundfile

from bird_tf import config
from bird_tf.audio import decode
from bird_tf.evaluation import noise
from bird_tf.inference import ensembles
from bird_tf.scores import decisions


def test_the_interval_is_the_exact_one_of_a_count():
    rate, low, high = noise.rate_and_interval(np.array([3.0]), np.array([2.0]))
    assert rate == 1.5
    # a count of 3 or more at the lower end, and of 3 or less at the upper end, has probability 2.5 %
    assert scipy.stats.poisson.sf(2, 2 * low) == pytest.approx(0.025)
    assert scipy.stats.poisson.cdf(3, 2 * high) == pytest.approx(0.025)
    assert noise.rate_and_interval(np.zeros(4), np.ones(4)) == (0.0, 0.0, pytest.approx(-np.log(0.025) / 4))


def test_alarms_in_bursts_widen_the_interval():
    even = noise.rate_and_interval(np.full(10, 4.0), np.ones(10))
    burst = noise.rate_and_interval(np.array([40.0] + [0.0] * 9), np.ones(10))
    assert even[0] == burst[0] == 4 and burst[1] < even[1] and burst[2] > even[2]


def test_false_alarms_are_counted_by_species_segment_and_hour(model_path, tmp_path, generator):
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * generator.normal(size=22050 * 11), 22050)
    (tmp_path / "c.wav").write_bytes(b"x")
    ensemble = ensembles.Ensemble([model_path], "none")
    heard = noise.score_folder(ensemble, str(tmp_path), decode.ChunkingConfig())
    assert heard.hours.tolist() == pytest.approx([11 / 3600] * 2) and len(heard.skipped) == 1
    assert [scores.shape for scores in heard.loudest] == [(3, len(ensemble.classes))] * 2
    neutral = decisions.neutral(ensemble.classes, 1, "mean")
    neutral.chunk.thresholds["f1"][:] = 0
    ensemble.decisions = neutral
    alarms = noise.false_alarms(ensemble, heard.loudest, heard.hours)
    assert alarms["f1"]["rate"] == pytest.approx(2 * 3 * len(ensemble.classes) / (22 / 3600))
    assert alarms["f1"]["low"] < alarms["f1"]["rate"] < alarms["f1"]["high"] and "(f1; 95 %:" in noise.describe(alarms)


def test_synthesised_noise_is_scored_as_recordings_are(model_path):
    ensemble = ensembles.Ensemble([model_path])
    heard = noise.score_synthesised(ensemble, 3)
    assert len(heard.chunks) == 3 and heard.hours.sum() == pytest.approx(3 / 3600)
    assert all(scores.shape == (1, len(ensemble.classes)) for scores in heard.chunks)


def test_a_folder_without_a_readable_recording_is_refused(model_path, tmp_path):
    (tmp_path / "c.wav").write_bytes(b"x")
    for folder, words in ((tmp_path, "none of 1 recordings"), (tmp_path / "none", "--noise_audio=.*no such folder")):
        with pytest.raises(config.InputError, match=words):
            noise.score_folder(ensembles.Ensemble([model_path]), str(folder), decode.ChunkingConfig())
