import importlib.util
import io
import os
import shutil
import stat
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from bird_tf.audio import foreign, reports, sound
from tests.audio.conftest import RATE, read, tone

HEAD = b"\0\0\0\x20ftypM4A " + bytes(50)

# stands in for ffmpeg: writes a file beside it to stdout as ffmpeg would, and notes how it was called
SCRIPT = """#!{python}
import os, sys
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "arguments"), "w") as file:
    file.write(" ".join(sys.argv[1:]))
if sys.argv[-1] != "-":
    sys.exit("  Duration: 00:01:02.50, start: 0.000000")
sys.stdout.buffer.write(open(os.path.join(here, "output"), "rb").read())
sys.stderr.write(open(os.path.join(here, "messages")).read())
"""


@pytest.fixture
def fake_ffmpeg(tmp_path, no_decoder):
    """Installs the fake with what it is to write. Returns its folder."""

    def install(output, messages=""):
        program = tmp_path / "bin" / "ffmpeg"
        program.write_text(SCRIPT.format(python=sys.executable))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        (tmp_path / "bin" / "output").write_bytes(output)
        (tmp_path / "bin" / "messages").write_text(messages)
        return tmp_path / "bin"

    return install


@pytest.fixture
def path(tmp_path):
    (tmp_path / "x.m4a").write_bytes(HEAD)
    return str(tmp_path / "x.m4a")


def _au(samples, rate=RATE):
    samples = np.asarray(samples, ">f4")
    header = struct.pack(">4sIIIII", b".snd", 32, 0xFFFFFFFF, 6, rate, samples.shape[1])
    return header + bytes(8) + samples.tobytes()


def test_ffmpeg_decodes_what_libsndfile_does_not(fake_ffmpeg, path):
    samples = np.stack([tone(70), -tone(70)], axis=1).astype(np.float32)
    folder = fake_ffmpeg(_au(samples) + b"rest")
    with sound.opened(path, report := reports.Report()) as opened:
        assert (opened.sample_rate_hz, opened.num_channels) == (RATE, 2)
        np.testing.assert_array_equal(np.concatenate(list(opened.blocks)), samples)
    assert report.note == "" and report.seconds == 70
    assert (
        f"-max_alloc 536870912 -nostats -v repeat+level+verbose -i file:{path} -map 0:a:0 -af asetpts="
        in (folder / "arguments").read_text()
    )
    np.testing.assert_array_equal(read(path, 3.5)[0], samples[round(3.5 * RATE) :, 0])
    assert sound.duration_seconds(path) == pytest.approx(8 * len(HEAD) / 20)  # no more than such a file can hold


def test_damage_that_ffmpeg_tells_is_told_without_its_addresses(fake_ffmpeg, path):
    fake_ffmpeg(_au(np.zeros((RATE, 1))), "[info] x\n[aac @ 0x55bcc1b395c0] [error] a bad frame\n[error] another\n")
    _, report = read(path)
    assert report.loss == "ffmpeg: [aac] a bad frame; later times may be too early; what could be decoded is used"


@pytest.mark.parametrize(
    "output", [b"", b".snd", b"RIFF" + bytes(100), _au(np.zeros((0, 1))), _au(np.zeros((9, 1)), 7)]
)
def test_what_holds_no_sound_for_ffmpeg_is_unreadable(fake_ffmpeg, path, output):
    fake_ffmpeg(output, "[info] x\n[error] moov atom not found\n")
    with pytest.raises(reports.UnreadableError, match=r"x\.m4a: "):
        read(path)


def test_silence_that_ffmpeg_puts_into_gaps_is_told(fake_ffmpeg, path):
    line = "[SWR @ 0x55bcc1b395c0] [verbose] adding 16000 audio samples of silence\n"
    fake_ffmpeg(_au(np.zeros((RATE, 1))), f"[info] x\n{2 * line}")
    assert "it has gaps of 2.0 s in all" in read(path)[1].loss


def _by_ffmpeg(folder, *arguments):
    command = ["ffmpeg", "-nostdin", "-v", "error", *arguments]
    subprocess.run(command, cwd=folder, check=True)


needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")


@pytest.fixture
def half(tmp_path):
    """`half.mka`, of 3 s. Returns its samples."""
    soundfile.write(tmp_path / "x.wav", tone(3), RATE)
    _by_ffmpeg(tmp_path, "-i", "x.wav", "-c:a", "pcm_s16le", "half.mka")
    return read(tmp_path / "half.mka")[0]


def _check_gaps(folder, half):
    (folder / "list").write_text("file half.mka\nduration 5\nfile half.mka\n")
    _by_ffmpeg(folder, "-f", "concat", "-i", "list", "-c", "copy", "gap.mka")
    samples, report = read(folder / "gap.mka")
    np.testing.assert_array_equal(samples, np.concatenate([half, np.zeros(2 * RATE), half]))
    assert "it has gaps of 2.0 s in all" in report.loss and report.seconds == 8
    picture = ["-f", "lavfi", "-i", "color=s=16x16:d=4"]
    _by_ffmpeg(folder, "-itsoffset", "1", "-i", "half.mka", *picture, "-map", "0", "-map", "1", "-c:a", "copy", "l.mkv")
    np.testing.assert_array_equal(read(folder / "l.mkv")[0], np.concatenate([np.zeros(RATE), half]))


@needs_ffmpeg
def test_times_behind_gaps_are_right(tmp_path, half):
    _check_gaps(tmp_path, half)


@needs_ffmpeg
@pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="needs PyAV, the extra bird-tf[formats]")
def test_times_behind_gaps_are_right_with_pyav(tmp_path, half, monkeypatch):
    monkeypatch.setattr(foreign.shutil, "which", lambda name: None)
    _check_gaps(tmp_path, half)


@needs_ffmpeg
@pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="needs PyAV, the extra bird-tf[formats]")
@pytest.mark.parametrize(("suffix", "codec"), [("mka", "flac"), ("mov", "pcm_s16le")])
def test_pyav_tells_that_a_file_ends_early(tmp_path, monkeypatch, suffix, codec):
    soundfile.write(tmp_path / "x.wav", tone(30), RATE)
    path = tmp_path / f"x.{suffix}"
    _by_ffmpeg(tmp_path, "-i", "x.wav", "-c:a", codec, "-movflags", "faststart", path.name)
    monkeypatch.setattr(foreign.shutil, "which", lambda name: None)
    assert not read(path)[1].note
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "its header tells 30.0 s of sound, the file holds 1" in read(path)[1].loss


@needs_ffmpeg
def test_time_stamps_that_begin_anew_hide_no_sound(tmp_path, half):
    (tmp_path / "two.mka").write_bytes((tmp_path / "half.mka").read_bytes() * 2)
    samples, report = read(tmp_path / "two.mka")
    np.testing.assert_array_equal(samples, np.concatenate([half, half]))
    assert report.note == ""


@pytest.mark.parametrize("suffix", foreign.SUFFIXES)
def test_without_a_decoder_the_advice_is_to_install_one(no_decoder, tmp_path, suffix):
    path = tmp_path / f"x{suffix.upper()}"
    path.write_bytes(b"\1" * 100)
    advice = "Kaleidoscope" if suffix in (".wac", ".w4v") else r"install ffmpeg, or pip install 'bird-tf\[formats\]'"
    with pytest.raises(reports.UnreadableError, match=advice):
        read(path)
    assert sound.duration_seconds(str(path)) == 0


def test_the_first_bytes_tell_a_format_whatever_the_name(no_decoder, tmp_path):
    (tmp_path / "x.wav").write_bytes(HEAD)
    with pytest.raises(reports.UnreadableError, match="install ffmpeg"):
        read(tmp_path / "x.wav")
    (tmp_path / "y.wav").write_bytes(b"no audio" * 9)
    with pytest.raises(reports.UnreadableError, match="cannot be decoded"):
        read(tmp_path / "y.wav")


def _caf_of_unknown_size():
    stored = io.BytesIO()
    soundfile.write(stored, tone(3), RATE, format="CAF")
    content = bytearray(stored.getvalue())
    at = content.index(b"data") + 4
    content[at : at + 8] = b"\xff" * 8
    return bytes(content)


# an Ogg with FLAC, and a CAF of which only the head is there
OTHERS = {"x.ogg": b"OggS\0\2" + bytes(22) + b"\x7fFLAC" + bytes(60), "x.caf": b"caff\0\1\0\0desc" + bytes(80)}


@pytest.mark.parametrize("name", OTHERS)
def test_what_libsndfile_does_not_read_of_a_kind_is_left_to_ffmpeg(fake_ffmpeg, tmp_path, name, monkeypatch):
    (tmp_path / name).write_bytes(OTHERS[name])
    fake_ffmpeg(_au(np.ones((RATE, 1))))
    samples, report = read(tmp_path / name)
    assert samples.tolist() == [1] * RATE and report.note == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(reports.UnreadableError, match=rf"libsndfile does not read this {name[1:]}: install ffmpeg"):
        read(tmp_path / name)


@needs_ffmpeg
def test_a_caf_of_unknown_size_is_read(tmp_path):
    (tmp_path / "x.caf").write_bytes(_caf_of_unknown_size())
    samples, report = read(tmp_path / "x.caf")
    np.testing.assert_allclose(samples, tone(3), atol=2**-15)
    assert report.note == "" and sound.duration_seconds(str(tmp_path / "x.caf")) == pytest.approx(3)


@pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="needs PyAV, the extra bird-tf[formats]")
def test_pyav_decodes_where_there_is_no_ffmpeg(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    path = tmp_path / "x.caf"
    soundfile.write(path, np.stack([tone(30), -tone(30)], axis=1), RATE, subtype="ALAC_16")
    with foreign.opened(str(path)) as (rate, channels, blocks):
        found, expected = np.concatenate(list(blocks)), soundfile.read(path)[0]
    assert (rate, channels) == (RATE, 2) and foreign.duration_seconds(str(path)) == pytest.approx(30)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    path.write_bytes(b"no audio")
    with pytest.raises(foreign.ForeignError, match="PyAV finds no sound"), foreign.opened(str(path)):
        pass
