import numpy as np
import pytest
import soundfile

from bird_tf.audio import reports
from tests.audio.conftest import read


def test_the_loss_is_told_in_seconds():
    report = reports.Report(seconds=60.0, lost=[(1.0, 2.5), (59.0, 60.0)], damage="the file ends early")
    assert report.lost_seconds == 2.5
    assert report.loss == "2.5 of 60.0 s cannot be decoded (the file ends early); the rest is used"
    report.warnings.append("its header is wrong")
    assert report.note == f"{report.loss}; its header is wrong"


def test_a_short_loss_is_told_without_seconds():
    assert reports.Report(seconds=60.0, damage="damaged").loss == "damaged; what could be decoded is used"
    assert reports.Report(seconds=60.0).note == ""


def test_the_share_of_a_span_that_is_lost():
    report = reports.Report(lost=[(1.0, 2.0), (3.0, 4.0)])
    spans = [(0, 1), (1, 2), (0, 4), (1.5, 3.5), (2, 3)]
    assert [report.lost_share(*span) for span in spans] == pytest.approx([0, 1, 0.5, 0.5, 0])


@pytest.mark.parametrize(("rate", "channels"), [(1 << 30, 1), (0, 1), (999, 1), (48000, 0), (48000, 257)])
def test_a_header_that_no_recorder_writes_is_refused(rate, channels):
    reports.check_header("x.wav", 48000, 2)
    with pytest.raises(reports.UnreadableError, match=r"x\.wav: its header says"):
        reports.check_header("x.wav", rate, channels)


@pytest.mark.parametrize(
    ("name", "comment", "is_told"),
    [("20230501_050000T.WAV", "Recorded at 05:00:00 01/05/2023 (UTC) by AudioMoth 24F319046043D8C1", True),
     ("20230501_050000T.flac", "Recorded at 05:00:00 01/05/2023 (UTC) by AudioMoth 24F319046043D8C1", True),
     ("20230501_050000T.WAV", "Recorded by hand", False),
     ("20230501_050000.WAV", "Recorded at 05:00:00 01/05/2023 (UTC) by AudioMoth 24F319046043D8C1", False)],
)  # fmt: skip
def test_a_recording_without_its_quiet_parts_is_told(tmp_path, name, comment, is_told):
    with soundfile.SoundFile(tmp_path / name, "w", 8000, 1) as file:
        file.comment = comment
        file.write(np.ones(8000) / 2)
    assert ("later times are too early" in read(tmp_path / name)[1].note) == is_told
