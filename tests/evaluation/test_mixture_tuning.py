import dataclasses
import json
import shutil

import numpy as np
import pytest

from bird_tf import config, evaluate
from bird_tf.audio import noises
from bird_tf.evaluation import mixture_tuning, mixtures, noise
from bird_tf.inference import ensembles, leaks
from bird_tf.records import recordings_table
from tests import conftest


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(mixture_tuning, "_MIXTURES", mixtures.MixtureConfig(num_mixtures=2, seconds=12.0, calls=4))
    monkeypatch.setattr(mixture_tuning, "_NUM_SYNTHESISED", 3)


def _settings(manifest, model, tmp_path, **values):
    flags = {"records": manifest.directory, "tune": True, "tune_on_mixtures": True, "synthetic_noise": 4, "worst": 0}
    return conftest.settings(
        evaluate.EvaluateConfig, model=[model], output=tmp_path / "results", **{**flags, **values}
    )  # fmt: skip


def test_one_command_tunes_recordings_chunks_and_answers_over_time(model_path, manifest, tmp_path):
    model = str(shutil.copytree(model_path, tmp_path / "model"))
    summary = evaluate.evaluate(_settings(manifest, model, tmp_path))
    decided = ensembles.Ensemble([model]).decisions
    assert decided.in_context and decided.recording.slope != 1
    assert "validation" not in decided.fitted_on and "recordings of" in decided.fitted_on
    assert decided.context_fitted_on.endswith(f"6 segments of {tmp_path}/results/mixtures/mixtures")
    for rule, least in decided.chunk.thresholds.items():  # they are carried over, not fitted on the mixtures
        np.testing.assert_array_equal(decided.in_context.thresholds[rule] > 1, least > 1)
    tried = summary["mixtures"]["context_cmap"]
    assert len(tried) == 24 and summary["mixtures"]["context"] == decided.context.describe()
    assert json.loads((tmp_path / "results" / "summary.json").read_text())["mixtures"]["context_cmap"] == tried
    # the same decisions lie beside the results, for an ensemble
    beside = ensembles.Ensemble([model_path], str(tmp_path / "results" / "decisions.json")).decisions
    assert beside.in_context and beside.in_context.slope == decided.in_context.slope
    assert (beside.context, beside.context_fitted_on) == (decided.context, decided.context_fitted_on)
    # only validation recordings are mixed
    judged = {r.label for r in recordings_table.read(manifest.directory) if r.split == "val"}
    assert {row["class_id"] for row in conftest.table(tmp_path / "results" / "mixtures" / "mixtures.csv")} <= judged


def test_without_noise_of_ones_own_it_is_synthesised_and_other_noise_than_the_thresholds_are_above(
    model_path, manifest, tmp_path, monkeypatch
):
    noise._synthesised.cache_clear()
    drawn, original = [], noises.synthesise
    monkeypatch.setattr(noises, "synthesise", lambda *given: drawn.append(given[-1]) or original(*given))
    evaluate.evaluate(_settings(manifest, shutil.copytree(model_path, tmp_path / "m"), tmp_path))
    thresholds, beds = {n for n in drawn if n < 1000}, {n for n in drawn if n >= 1000}
    assert thresholds == set(range(4)) and len(beds) == 3


def test_recordings_that_the_model_has_learnt_from_are_left_out(model_path, manifest, tmp_path, monkeypatch):
    every = {r.recording_id for r in recordings_table.read(manifest.directory)}
    monkeypatch.setattr(mixture_tuning.leaks.Leaks, "among", lambda self, judged: leaks.Found([], every))
    with pytest.raises(config.InputError, match="has learnt from all validation recordings"):
        evaluate.evaluate(_settings(manifest, shutil.copytree(model_path, tmp_path / "m"), tmp_path))


def test_recordings_may_lie_elsewhere_now(model_path, manifest, data, tmp_path):
    moved = dataclasses.replace(manifest, converter={**manifest.converter, "audio": str(tmp_path)})
    with pytest.raises(config.InputError, match="is not there"):
        mixtures.validation_calls(moved)
    assert mixtures.validation_calls(moved, str(data / "wav")) == mixtures.validation_calls(manifest)
    assert mixtures.validation_noise(moved) == []


def test_nothing_is_tuned_if_the_recordings_are_not_there(model_path, manifest, tmp_path):
    model = shutil.copytree(model_path, tmp_path / "m")
    (tmp_path / "empty").mkdir()
    with pytest.raises(config.InputError, match="is not there; --audio=DIR names the folder"):
        evaluate.evaluate(_settings(manifest, model, tmp_path, audio=tmp_path / "empty"))
    assert not (model / "assets" / "decisions.json").exists() and not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "flags", [{"tune": False}, {"records": "", "audio": "x"}, {"records": "", "segments": "x.csv", "audio": "x"}]
)
def test_it_belongs_to_tune_and_records(manifest, tmp_path, flags):
    with pytest.raises(config.InputError, match="--tune_on_mixtures without --tune --records"):
        _settings(manifest, "m", tmp_path, **flags)
