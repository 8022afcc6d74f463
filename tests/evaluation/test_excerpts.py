import io

import numpy as np
import PIL.Image
import pytest
import soundfile

from bird_tf.audio import decode
from bird_tf.evaluation import excerpts

RATE = 16000


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """A recording of 40 s, as a function of its suffix."""
    folder = tmp_path_factory.mktemp("long")
    sound = np.random.default_rng(0).normal(0, 0.1, (40 * RATE, 2)).astype(np.float32)

    def write(suffix):
        soundfile.write(folder / f"x.{suffix}", sound, RATE)
        return str(folder / f"x.{suffix}")

    return write


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg"])
def test_a_jump_gives_what_reading_from_the_start_gives(long, suffix, monkeypatch):
    path = long(suffix)
    after_jump = excerpts.samples(path, RATE, 35.0, 36.5)
    monkeypatch.setattr(excerpts, "_JUMP_SECONDS", 1e9)
    streamed = excerpts.samples(path, RATE, 35.0, 36.5)
    assert len(after_jump) == len(streamed) == 1.5 * RATE
    np.testing.assert_allclose(after_jump, streamed, atol=1e-4)


def test_an_excerpt_at_the_end_is_shorter(long):
    assert len(excerpts.samples(long("wav"), RATE, 39.0, 42.0)) == RATE
    assert len(excerpts.samples(long("wav"), RATE, 41.0, 42.0)) == 0


def test_what_is_no_recording_is_told(tmp_path):
    (tmp_path / "x.wav").write_bytes(b"no audio")
    for start in (0.0, 100.0):
        with pytest.raises(decode.UnreadableError, match=r"x\.wav"):
            excerpts.samples(str(tmp_path / "x.wav"), RATE, start, start + 1)


def test_the_sound_is_as_loud_as_it_can_be():
    found, rate = soundfile.read(io.BytesIO(excerpts.mp3(0.01 * np.sin(np.arange(64000) / 5).astype(np.float32))))
    assert rate == 32000 and 0.8 < np.abs(found).max() <= 1.0


def test_the_picture_shows_a_tone_at_its_height(librosa):
    tone = np.sin(2 * np.pi * 8000 * np.arange(64000) / 32000).astype(np.float32)
    image = np.asarray(PIL.Image.open(io.BytesIO(excerpts.picture(tone))).convert("L"), float)
    assert image.shape == (128, 200)
    lowest, mel, highest = librosa.hz_to_mel(np.array([150.0, 8000.0, 15000.0]))
    assert image.mean(axis=1).argmax() == pytest.approx(128 * (highest - mel) / (highest - lowest), abs=2)


def test_very_short_sounds_have_a_picture():
    assert excerpts.picture(np.zeros(10, np.float32))
