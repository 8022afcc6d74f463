import numpy as np
import pytest
import soundfile

from bird_tf import config
from bird_tf.audio import channels, decode, reports
from tests.audio.conftest import RATE, tone

QUIET, LOUD = 0.1 * np.random.default_rng(1).normal(size=2 * RATE), tone(2)


@pytest.fixture
def write(tmp_path):
    def write(*signals):
        soundfile.write(tmp_path / "x.wav", np.stack(signals, axis=1), RATE, subtype="FLOAT")
        return str(tmp_path / "x.wav")

    return write


def _heard(path, channel):
    report = reports.Report()
    return np.concatenate(list(decode.blocks(path, RATE, channel, report))), report


@pytest.mark.parametrize(
    ("channel", "expected"),
    [("mix", (QUIET + LOUD + 0) / 3), ("1", QUIET), ("2", LOUD), ("3", 0 * LOUD), ("loudest", LOUD)],
)
def test_the_channel_is_heard(write, channel, expected):
    heard, report = _heard(write(QUIET, LOUD, 0 * LOUD), channel)
    np.testing.assert_allclose(heard, expected, atol=1e-6)
    assert report.warnings == []


def test_of_a_single_channel_every_choice_that_it_has_gives_it(write):
    path = write(LOUD)
    for channel in ("mix", "loudest", "1"):
        np.testing.assert_allclose(_heard(path, channel)[0], LOUD, atol=1e-6)
    with pytest.raises(reports.UnreadableError, match=r"x\.wav: has one channel, and not the one of --channel=2"):
        _heard(path, "2")


def test_a_constant_offset_is_not_loud(write):
    np.testing.assert_allclose(_heard(write(0.9 + 0 * LOUD, QUIET), "loudest")[0], QUIET, atol=1e-6)


@pytest.mark.parametrize(
    ("signals", "warned"),
    [
        ((LOUD, -LOUD), "away"),
        ((LOUD, 0.05 - 0.8 * LOUD + 0.01 * QUIET), "to -19 dB"),
        ((LOUD, LOUD), ""),
        ((LOUD, QUIET), ""),
        ((LOUD, -0.2 * LOUD), ""),
        ((LOUD, 0 * LOUD), ""),
        ((0 * LOUD, 0 * LOUD), ""),
        ((LOUD,), ""),
    ],
)
def test_channels_that_cancel_are_warned_of(write, signals, warned):
    _, report = _heard(write(*signals), "mix")
    told = [f"its channels have opposite polarity and cancel each other {warned}"] if warned else []
    assert [warning[: len(start)] for warning, start in zip(report.warnings, told, strict=True)] == told
    assert _heard(write(*signals), "1")[1].warnings == []


@pytest.mark.parametrize("channel", ["0", "-1", "1.5", "left", "²", "٢", " 1", "9" * 5000])
def test_what_is_no_channel_is_refused(channel):
    with pytest.raises(config.InputError, match="--channel="):
        channels.check(channel)
    with pytest.raises(config.InputError, match="--channel="):
        decode.ChunkingConfig(channel=channel)
