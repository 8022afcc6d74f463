import csv
import dataclasses
import math

import numpy as np
import pytest
import soundfile

from bird_tf import config
from bird_tf.audio import decode
from bird_tf.conversion import folds
from bird_tf.evaluation import soundscapes
from bird_tf.inference import ensembles, occurrence, segments
from bird_tf.labels.layouts import reader
from tests import conftest
from tools import mix_soundscapes


@pytest.fixture(scope="module")
def settings(data, manifest, tmp_path_factory):
    output = tmp_path_factory.mktemp("mixed")
    made = conftest.settings(
        mix_soundscapes.MixConfig, audio=data / "wav", records=manifest.directory, output=output, num_mixtures=2,
        seconds=12.0, calls=3, ratio_db=(30.0, 30.0),
    )  # fmt: skip
    mix_soundscapes.main(made)
    return made


def test_calls_are_at_the_times_in_the_truth(settings, manifest):
    with open(settings.output + "/mixtures.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 and {row["class_id"] for row in rows} <= set(manifest.classes.class_ids)
    for name in ("mix000", "mix001"):
        samples, rate = soundfile.read(f"{settings.output}/mixtures/{name}.wav")
        assert len(samples) == 12 * rate
        has_call = np.zeros(len(samples), bool)
        for row in rows:
            if row["media_id"] == name:
                has_call[round(float(row["start_seconds"]) * rate) : round(float(row["end_seconds"]) * rate)] = True
        assert np.median(np.abs(samples[has_call])) > 10 * np.median(np.abs(samples[~has_call]))


def test_mixtures_are_scored_and_noise_gives_only_false_alarms(settings, model_path, tmp_path):
    def score(name):
        return soundscapes.evaluate(
            soundscapes.SoundscapeConfig(
                source=reader.SourceConfig(audio=f"{settings.output}/{name}"), calls=f"{settings.output}/{name}.csv",
                output=str(tmp_path / name), chunking=decode.SegmentChunkingConfig(overlap_seconds=0.0),
                occurrence_settings=occurrence.OccurrenceConfig(),
            ),
            ensembles.Ensemble([model_path]),
        )  # fmt: skip

    mixed, noise = score("mixtures"), score("noise")
    assert mixed["num_segments"] == noise["num_segments"] == 6
    assert 0 < mixed["cmap"] <= 1 and noise["cmap"] != noise["cmap"]
    segments_per_hour = 6 / (24 / 3600)
    assert 0 <= noise["false_alarms_per_hour"]["f1"] <= segments_per_hour * 6


def test_false_alarms_are_counted_by_class_segment_and_hour(settings, model_path, tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "loudest", lambda scores: np.full((3, 6), 0.9))
    summary = soundscapes.evaluate(
        soundscapes.SoundscapeConfig(
            source=reader.SourceConfig(audio=f"{settings.output}/noise"), calls=f"{settings.output}/noise.csv",
            output=str(tmp_path), chunking=decode.SegmentChunkingConfig(overlap_seconds=0.0),
            occurrence_settings=occurrence.OccurrenceConfig(),
        ),
        ensembles.Ensemble([model_path], "none"),
    )  # fmt: skip
    assert summary["false_alarms_per_hour"]["f1"] == pytest.approx(3 * 6 / (12 / 3600))
    assert summary["precision"]["f1"] == 0.0 and math.isnan(summary["recall"]["f1"])


def test_noise_from_elsewhere_replaces_that_of_the_records(settings, tmp_path):
    """A tone of 440 Hz is in all backgrounds; a partial stretch at the end of a recording is left out."""
    (tmp_path / "noise").mkdir()
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(int(22050 * 2.5)) / 22050)
    soundfile.write(tmp_path / "noise" / "hum.wav", tone, 22050)
    changed = dataclasses.replace(settings, noise_audio=str(tmp_path / "noise"), output=str(tmp_path / "out"))
    mix_soundscapes.main(changed)
    bed, rate = soundfile.read(tmp_path / "out" / "noise" / "noise000.wav")
    power = np.abs(np.fft.rfft(bed)) ** 2
    assert len(bed) == 12 * rate and power[430 * 12 : 450 * 12].sum() > 0.9 * power.sum()
    (tmp_path / "noise" / "broken.wav").write_bytes(b"x")
    with pytest.raises(config.InputError, match=r"--noise_audio=.*broken.wav.*take it out"):
        mix_soundscapes.main(changed)


def test_records_without_noise_are_refused(settings, manifest, tmp_path):
    found = folds.recordings(manifest.directory)
    folds.regroup(manifest, str(tmp_path / "few"), {found[0].recording_id: "train"})
    few = conftest.settings(mix_soundscapes.MixConfig, audio="x", records=tmp_path / "few", output=tmp_path / "out")
    with pytest.raises(config.InputError, match="0 validation recordings"):
        mix_soundscapes.main(few)


def test_soundscapes_of_an_earlier_run_do_not_stay_among_those_of_a_later_one(settings, tmp_path):
    for count in (2, 1):
        mixing = dataclasses.replace(settings.mixtures, num_mixtures=count, seconds=2.0, calls=1)
        mix_soundscapes.main(dataclasses.replace(settings, mixtures=mixing, output=str(tmp_path)))
        (tmp_path / "noise" / "mine.wav").touch()
    assert [path.name for path in (tmp_path / "mixtures").iterdir()] == ["mix000.wav"]
    assert sorted(path.name for path in (tmp_path / "noise").iterdir()) == ["mine.wav", "noise000.wav"]
