import importlib
import pathlib

import pytest
import soundfile

from bird_tf.labels.layouts import reader


@pytest.fixture
def rehearsal(monkeypatch):
    monkeypatch.syspath_prepend(str(pathlib.Path(__file__).parent.parent.parent / "tools"))
    return importlib.import_module("rehearse_scale")


def test_the_clips_are_a_birdclef_data_set(rehearsal, tmp_path):
    settings = rehearsal.Settings(classes=3, seconds=0.5, test_share=0.5, soundscape_minutes=0.05)
    rehearsal._make(str(tmp_path), settings, 8)
    found, _ = reader.read(
        reader.SourceConfig(audio=str(tmp_path / "train" / "audio"), metadata=str(tmp_path / "train" / "xml")), ""
    )
    assert [r.label for r in sorted(found, key=lambda r: r.recording_id)] == [f"c{n % 3:05d}" for n in range(8)]
    assert len(list((tmp_path / "test" / "audio").rglob("*.wav"))) == 4
    assert soundfile.info(next((tmp_path / "soundscapes").iterdir())).duration == 3.0


def _costs(rehearsal, *values):
    return [{"stage": rehearsal.Cost(*value)} for value in values]


def test_costs_are_continued_along_the_last_two_sizes(rehearsal):
    costs = _costs(rehearsal, (20.0, 1.0, 0.5), (30.0, 1.5, 1.0))
    assert rehearsal.extrapolate((100, 200), costs, 1000) == [("stage", "110.00", "5.50", "5.00", "")]


def test_what_grows_faster_than_the_data_is_named(rehearsal):
    """With the square of the recordings, and with the recordings above a fixed cost."""
    costs = _costs(rehearsal, *((count**2, 1.0 + count / 10, 2.0) for count in (1, 2, 4)))
    assert rehearsal.extrapolate((1, 2, 4), costs, 4)[0][-1] == "seconds"


def test_chance_is_not_taken_for_growth(rehearsal):
    costs = _costs(rehearsal, (100.0, 1.0, 0.0), (99.0, 1.0, 0.0), (104.0, 1.0, 0.0))
    assert rehearsal.extrapolate((10, 20, 40), costs, 40)[0][-1] == ""
