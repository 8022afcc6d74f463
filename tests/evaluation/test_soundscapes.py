import json
import shutil

import numpy as np
import pytest
import soundfile

from bird_tf import config
from bird_tf.audio import decode
from bird_tf.evaluation import calls, recording_tuning, soundscapes
from bird_tf.inference import ensembles, occurrence, scoring, segments
from bird_tf.labels.layouts import reader
from bird_tf.records import recordings_table
from bird_tf.scores import metrics
from tests import conftest
from tools import synthesise


@pytest.fixture(scope="module")
def soundscape(tmp_path_factory):
    folder = tmp_path_factory.mktemp("soundscape")
    synthesise.soundscape(str(folder), 23.0, 22050, seed=3, media_id=9)
    return folder


def _evaluate(model_path, folder, output, calls=None, *, decisions="", tuning=None, overlap=0.0, **values):
    return soundscapes.evaluate(
        soundscapes.SoundscapeConfig(
            source=reader.SourceConfig(audio=str(folder / "wav")),
            calls=str(calls or folder / "truth.csv"),
            output=str(output), chunking=decode.SegmentChunkingConfig(overlap_seconds=overlap),
            tuning=conftest.settings(recording_tuning.TuningConfig, **(tuning or {})),
            **{"occurrence_settings": occurrence.OccurrenceConfig(), **values},
        ),
        ensembles.Ensemble([model_path], decisions),
    )  # fmt: skip


def test_metrics_are_those_of_the_segments(model_path, soundscape, tmp_path):
    summary = _evaluate(model_path, soundscape, tmp_path)
    ensemble = ensembles.Ensemble([model_path])
    [recording] = scoring.score_recordings(
        ensemble, [("9", str(soundscape / "wav" / "DEMO_RN9.wav"))], decode.ChunkingConfig()
    )
    chunks = recording.scores.probabilities  # of a second each, the last one shorter
    scores = np.stack([np.sqrt(np.square(chunks[i : i + 5]).mean(axis=0)) for i in range(0, 25, 5)])
    truth = np.zeros((5, len(ensemble.classes)), bool)
    for line in (soundscape / "truth.csv").read_text().splitlines()[1:]:
        _, class_id, start, end = line.split(",")
        truth[int(float(start) // 5) : int(float(end) // 5) + 1, ensemble.classes.index(class_id)] = True
    assert summary["num_segments"] == 5 and summary["num_recordings"] == 1
    assert summary["cmap"] == pytest.approx(metrics.class_mean_average_precision(scores, truth), abs=1e-6)
    assert json.loads((tmp_path / "segments.json").read_text())["cmap"] == summary["cmap"]


def test_segments_of_one_class_have_no_ranking_metric(generator):
    scores, truth = generator.random((9, 1)), np.arange(9)[:, None] < 3
    found = soundscapes.headline(scores, truth)
    assert np.isnan(found["mlrap"]) and found["cmap"] == metrics.class_mean_average_precision(scores, truth)


def test_chunks_overlap_by_half_unless_an_overlap_is_asked_for(model_path, soundscape, tmp_path):
    found = {overlap: _evaluate(model_path, soundscape, tmp_path, overlap=overlap) for overlap in (None, 0.5, 0.0)}
    assert {**found[None], "flags": 0} == {**found[0.5], "flags": 0} and found[None]["overlap_seconds"] == 0.5
    assert found[0.0]["overlap_seconds"] == 0.0 and found[0.0]["cmap"] != found[0.5]["cmap"]


def test_precision_and_recall_are_of_the_species_called_in_segments(model_path, soundscape, tmp_path, monkeypatch):
    """Two species are called in each of five segments. One of them calls in two of these, the other one never."""
    lines = (soundscape / "truth.csv").read_text().splitlines()
    classes = ensembles.Ensemble([model_path]).classes
    present = classes.index(lines[1].split(",")[1])
    truth = [lines[0], f"9,{classes.class_ids[present]},1.0,7.0", f"9,{classes.class_ids[present - 2]},1.0,2.0"]
    (tmp_path / "truth.csv").write_text("\n".join(truth))
    called = np.isin(np.arange(len(classes)), [present, present - 1 if present else 1])
    monkeypatch.setattr(segments, "loudest", lambda scores: np.tile(np.where(called, 0.9, 0.1), (5, 1)))
    summary = _evaluate(model_path, soundscape, tmp_path / "out", tmp_path / "truth.csv")
    assert summary["precision"]["f1"] == pytest.approx(2 / 10)
    assert summary["recall"]["f1"] == pytest.approx(2 / 3)


def test_calls_are_asked_for_in_the_channel_that_is_heard(model_path, soundscape, tmp_path, monkeypatch):
    read, asked = calls.read, []
    monkeypatch.setattr(calls, "read", lambda *given: asked.append(given[-1]) or read(*given))
    _evaluate(model_path, soundscape, tmp_path)
    assert asked == ["mix"]


def test_attention_weighs_the_chunks_of_a_segment(attention_model_path, model_path, soundscape, tmp_path):
    summary = _evaluate(attention_model_path, soundscape, tmp_path, tuning={"pooling": "attention"})
    assert summary["pooling"] == "attention" and summary["num_segments"] == 5
    with pytest.raises(config.InputError, match=r"--pooling=attention: .* gives no attention"):
        _evaluate(model_path, soundscape, tmp_path, tuning={"pooling": "attention"})


def test_mixed_calls_that_the_model_has_learnt_from_are_told(model_path, soundscape, data, manifest, tmp_path, caplog):
    learnt, judged = (
        data / "wav" / next(r for r in recordings_table.read(manifest.directory) if r.split == split).path
        for split in ("train", "val")
    )
    header, *lines = (soundscape / "truth.csv").read_text().splitlines()
    for path, number in ((judged, 0), (learnt, 1)):
        rows = [f"{header},cut_from", *(f"{line},{path}" for line in lines)]
        (tmp_path / "truth.csv").write_text("\n".join(rows))
        assert _evaluate(model_path, soundscape, tmp_path / "out", tmp_path / "truth.csv")["num_learnt"] == number
        assert ("has learnt from 1 of the 1 recordings that the calls were cut from" in caplog.text) == bool(number)


def test_recordings_without_a_call_count_and_broken_ones_are_listed(model_path, soundscape, tmp_path, caplog):
    folder = tmp_path / "set"
    (folder / "wav").mkdir(parents=True)
    for path in (soundscape / "wav").iterdir():
        (folder / "wav" / path.name).write_bytes(path.read_bytes())
    soundfile.write(folder / "wav" / "silent_RN10.wav", np.zeros(22050 * 7), 22050)
    (folder / "wav" / "broken_RN11.wav").write_bytes(b"x")
    summary = _evaluate(model_path, folder, tmp_path / "out", soundscape / "truth.csv")
    assert (summary["num_segments"], summary["num_recordings"], summary["num_skipped"]) == (7, 2, 1)
    assert "truth.csv has no row of 2 of 3 recordings: they count as recordings without a call" in caplog.text
    [skipped] = conftest.table(tmp_path / "out" / "skipped.csv")
    assert skipped["file"].endswith("broken_RN11.wav") and "cannot be decoded" in skipped["reason"]


def test_recordings_of_equal_names_are_told_apart_by_their_folders(model_path, soundscape, tmp_path):
    header, *lines = (soundscape / "truth.csv").read_text().splitlines()
    for folder in ("a", "b"):
        (tmp_path / "wav" / folder).mkdir(parents=True)
        shutil.copy(soundscape / "wav" / "DEMO_RN9.wav", tmp_path / "wav" / folder)
    shutil.copy(soundscape / "wav" / "DEMO_RN9.wav", tmp_path / "wav" / "b" / "y.wav")
    for name, words in (
        ("9", "no recording 9; 2 recordings have this MediaId"),
        ("c/x.wav", "no recording c/x"),
        ("a/y.wav", "no recording a/y"),
    ):
        (tmp_path / "truth.csv").write_text("\n".join([header, *(f"{name},{line.split(',', 1)[1]}" for line in lines)]))
        with pytest.raises(config.InputError, match=f"--segments=.*{words}"):
            _evaluate(model_path, tmp_path, tmp_path / "out")
    (tmp_path / "wav" / "b" / "y.wav").unlink()
    (tmp_path / "truth.csv").write_text(
        "\n".join([header, *(f"b/DEMO_RN9.wav,{line.split(',', 1)[1]}" for line in lines)])
    )
    summary = _evaluate(model_path, tmp_path, tmp_path / "out")
    assert (summary["num_recordings"], summary["num_segments"]) == (2, 10)


def test_noise_alone_has_false_alarms_and_no_metric(model_path, soundscape, tmp_path):
    (tmp_path / "truth.csv").write_text("media_id,class_id,start_seconds,end_seconds\n")
    (tmp_path / "list.txt").write_text("fistul\n")
    listed = occurrence.OccurrenceConfig(species_list=str(tmp_path / "list.txt"))
    summary = _evaluate(model_path, soundscape, tmp_path / "out", tmp_path / "truth.csv", occurrence_settings=listed)
    assert np.isnan(summary["cmap"]) and np.isnan(summary["without_prior"]["cmap"])
    stored = json.loads((tmp_path / "out" / "segments.json").read_text())
    assert stored["without_prior"]["cmap"] is None and stored["false_alarms_per_hour"]["f1"] >= 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("9,strang,0,1", "species that the model does not know: strang"),
        ("9,fistul,now,1", "line 2"),
        ("77,fistul,0,1", "has no recording 77"),
        ("9,fistul,1,99\n9,fistul,23000,23500", r"1 of 2 calls are past the end of .*9\.wav .*first at 23000\.0 s; do"),
    ],
)
def test_calls_that_do_not_fit_are_refused(model_path, soundscape, tmp_path, line, words):
    (tmp_path / "truth.csv").write_text(f"media_id,class_id,start_seconds,end_seconds\n{line}\n")
    with pytest.raises(config.InputError, match=words):
        _evaluate(model_path, soundscape, tmp_path, tmp_path / "truth.csv")


def test_tuned_decisions_are_stored_in_the_model_and_used_by_later_evaluations(model_path, soundscape, tmp_path):
    model = str(shutil.copytree(model_path, tmp_path / "model"))
    tuned = _evaluate(model, soundscape, tmp_path / "tuned", tuning={"tune": True, "synthetic_noise": 8})
    assert tuned["tuned_on_these"] and len(tuned["context_cmap"]) == 24
    decided = ensembles.Ensemble([model]).decisions
    assert decided.in_context and "5 segments" in decided.context_fitted_on
    assert tuned["context_cmap"][decided.context.describe() or "none"] == pytest.approx(tuned["cmap"])
    again = _evaluate(model, soundscape, tmp_path / "again")
    assert again["context"] == tuned["context"] and again["cmap"] == pytest.approx(tuned["cmap"], abs=0.02)
    (tmp_path / "none.csv").write_text("media_id,class_id,start_seconds,end_seconds\n")
    with pytest.raises(config.InputError, match=r"--tune --segments=.*: no call"):
        _evaluate(model, soundscape, tmp_path / "none", tmp_path / "none.csv", tuning={"tune": True})
