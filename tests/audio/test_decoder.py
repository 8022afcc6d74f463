import io
import re
import struct

import numpy as np
import pytest
import soundfile

from bird_tf.audio import decoder, reports, sound
from tests.audio import test_wav
from tests.audio.conftest import RATE, SECONDS, read, tone, wav_bytes

# {description: (WAV header's size of the sound as a share of the truth, length that is read, words)}
LYING = {
    "after a power loss": (0, SECONDS, "its header tells 0.0 s of sound, the file holds 12.0 s"),
    "too small": (0.25, SECONDS, "its header tells 3.0 s of sound, the file holds 12.0 s"),
    "of a pipe": (0xFFFFFFFF, SECONDS, ""),
    "cut off": (2, SECONDS, "12.0 of 24.0 s cannot be decoded (the file ends early); the rest is used"),
    "right": (1, SECONDS, ""),
}


@pytest.mark.parametrize("what", LYING)
def test_a_wav_is_read_by_the_size_of_the_file(tmp_path, what):
    share, seconds, words = LYING[what]
    size = share if share > 100 else round(share * 2 * SECONDS * RATE)
    path = tmp_path / "x.wav"
    path.write_bytes(wav_bytes(tone(), claimed=size))
    samples, report = read(path)
    assert len(samples) == seconds * RATE and words in report.note and bool(report.note) == bool(words)
    path.write_bytes(wav_bytes(tone()))
    np.testing.assert_array_equal(samples, read(path)[0])


@pytest.mark.parametrize(("kind", "field"), [("RF64", b"ds64"), ("W64", b"data")])
def test_a_long_wav_is_read_by_the_size_of_the_file(tmp_path, kind, field):
    path = tmp_path / "x.wav"
    soundfile.write(path, tone(), RATE, format=kind)
    expected, content = read(path)[0], bytearray(path.read_bytes())
    at = content.index(field) + 16  # behind a name of 4 and two sizes, or behind one of 16
    content[at : at + 8] = bytes(8)
    path.write_bytes(content)
    samples, report = read(path)
    np.testing.assert_array_equal(samples, expected)
    assert "its header tells 0.0 s" in report.note


@pytest.mark.parametrize(("kind", "kept", "words"), [("RF64", 1.0, ""), ("WAV", 1.0, ""), ("RF64", 0.75, "ends early")])
def test_bw64_is_read_as_rf64(tmp_path, kind, kept, words):
    path = tmp_path / "x.wav"
    soundfile.write(path, tone(), RATE, format=kind, subtype="PCM_16")
    expected, content = read(path)[0], path.read_bytes()
    path.write_bytes(b"BW64" + content[4 : round(kept * len(content))])
    samples, report = read(path)
    np.testing.assert_array_equal(samples[: len(samples) - 1], expected[: len(samples) - 1])
    assert len(samples) == pytest.approx(kept * len(expected), rel=1e-3) and words in report.note
    assert bool(report.note) == bool(words) and sound.duration_seconds(str(path)) >= len(samples) / RATE - 0.1


def test_a_wav_of_more_than_4_gib_whose_size_wrapped_is_read_to_its_end(tmp_path):
    path, length = tmp_path / "x.wav", (1 << 32) + 10 * RATE * 2
    end = tone(5)
    header = wav_bytes(tone(5), claimed=length & 0xFFFFFFFF)
    path.write_bytes(header)
    with open(path, "r+b") as file:  # zeros between take no room on the disk
        file.seek(44 + length - 2 * len(end))
        file.write((end * 32767).astype("<i2").tobytes())
    whole = length / 2 / RATE
    assert sound.duration_seconds(str(path)) == pytest.approx(whole)
    samples, report = read(path, start=whole - 5)
    np.testing.assert_allclose(samples, end, atol=1e-4)
    assert "its header tells 10.0 s of sound, the file holds 134227.7 s" in report.note


def _encoded(samples, channels, rate, **options):
    stored = io.BytesIO()
    soundfile.write(stored, np.stack([samples] * channels, axis=1), rate, **options)
    return stored.getvalue()


CUT_OFF = {
    "AIFF": [("PCM_16", "FILE"), ("PCM_24", "FILE"), ("FLOAT", "FILE"), ("IMA_ADPCM", "FILE")],
    "AU": [("PCM_16", "FILE"), ("PCM_16", "LITTLE"), ("ULAW", "FILE")],
    "NIST": [("PCM_16", "LITTLE"), ("PCM_16", "BIG"), ("ULAW", "FILE")],
    "VOC": [("PCM_16", "FILE"), ("ULAW", "FILE")],
    "WAV": [("PCM_16", "BIG")],  # RIFX
    "W64": [("PCM_16", "FILE")],
}


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", CUT_OFF)
def test_the_lost_end_of_a_file_is_told(tmp_path, kind, channels):
    for subtype, endian in CUT_OFF[kind]:
        whole = _encoded(tone(6), channels, RATE, format=kind, subtype=subtype, endian=endian)
        (tmp_path / "x").write_bytes(whole)
        expected, report = read(tmp_path / "x")
        assert not report.note and len(expected) == pytest.approx(6 * RATE, abs=1)
        (tmp_path / "x").write_bytes(whole[: len(whole) // 2])
        samples, report = read(tmp_path / "x", start=1.0)
        assert "of 6.0 s cannot be decoded (the file ends early)" in report.loss
        num_whole = len(samples) - 64 * (subtype == "IMA_ADPCM")  # the last block is cut through
        np.testing.assert_array_equal(samples[:num_whole], expected[RATE:][:num_whole])
        assert 1.9 < len(samples) / RATE < 2.1 and report.lost_seconds == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("subtype", ["MS_ADPCM", "IMA_ADPCM", "GSM610", "G721_32", "NMS_ADPCM_16"])
@pytest.mark.parametrize("kind", ["WAV", "W64", "RF64"])
def test_the_lost_end_of_compressed_sound_in_a_wav_is_told(tmp_path, kind, subtype):
    if not soundfile.check_format(kind, subtype):
        pytest.skip("libsndfile does not write it")
    whole = _encoded(tone(6), 1, RATE, format=kind, subtype=subtype)
    (tmp_path / "x.wav").write_bytes(whole)
    assert not read(tmp_path / "x.wav")[1].note
    (tmp_path / "x.wav").write_bytes(whole[: len(whole) // 3])
    samples, report = read(tmp_path / "x.wav")
    assert len(samples) / RATE == pytest.approx(2, abs=0.3) and "s cannot be decoded (the file ends" in report.loss
    assert report.seconds == pytest.approx(6, abs=0.3) and report.lost_seconds == pytest.approx(4, abs=0.3)


@pytest.mark.parametrize(("kind", "at"), [("AU", 8), ("AIFF", 42)])
@pytest.mark.parametrize("told", [0xFFFFFFFF, 0x7F000008])
def test_a_length_that_a_pipe_left_open_is_no_loss(tmp_path, kind, at, told):
    whole = bytearray(_encoded(tone(6), 1, RATE, format=kind, subtype="PCM_16"))
    assert int.from_bytes(whole[at : at + 4], "big") in (2 * 6 * RATE, 2 * 6 * RATE + 8)
    whole[at : at + 4] = told.to_bytes(4, "big")
    (tmp_path / "x").write_bytes(whole)
    samples, report = read(tmp_path / "x")
    assert len(samples) == 6 * RATE and not report.note


@pytest.mark.parametrize(
    ("kind", "endian", "channels"),
    [("PCM_16", "FILE", 1), ("PCM_24", "FILE", 2), ("ULAW", "LITTLE", 2), ("G721_32", "FILE", 1)],
)
def test_sound_behind_the_end_that_an_au_tells_is_told(tmp_path, kind, endian, channels):
    one = _encoded(tone(3), channels, RATE, format="AU", subtype=kind, endian=endian)
    (tmp_path / "x").write_bytes(one)
    assert not read(tmp_path / "x")[1].note
    (tmp_path / "x").write_bytes(2 * one)
    samples, report = read(tmp_path / "x")
    if kind == "G721_32":  # is read to the end of the file
        assert len(samples) > 6 * RATE and not report.note
    else:
        assert report.note == "its header tells 3.0 s of sound, 3.0 s that follow are not read"


@pytest.mark.parametrize("known", [True, False], ids=["", "of unknown length"])
@pytest.mark.parametrize("count", [1, 300, 9000])
def test_times_behind_damage_in_flac_stay_right(coded, count, known):
    one = coded("flac")
    content, half = bytearray(one.content), len(one.content) // 2
    content[half : half + count] = bytes(b ^ 0x5A for b in content[half : half + count])
    if not known:
        content[21] &= 0xF0
        content[22:26] = bytes(4)
    samples, report = one.read(bytes(content))
    assert len(samples) == len(one.samples)
    [(start, end)] = report.lost
    first, last = round(start * RATE), round(end * RATE)
    np.testing.assert_array_equal(samples[:first], one.samples[:first])
    np.testing.assert_array_equal(samples[last:], one.samples[last:])
    assert not samples[first:last].any() and 0 < end - start < 2
    assert report.lost_share(start, end) == pytest.approx(1) and report.lost_share(0, start) == 0
    assert report.loss.startswith(f"{end - start:.1f} of 12.0 s cannot be decoded")


@pytest.mark.parametrize("at", [26_500, 50_000])
def test_silence_that_the_decoder_puts_in_for_missing_frames_is_lost(tmp_path, at):
    content = _encoded(tone(), 1, RATE, format="FLAC", subtype="PCM_S8")
    (tmp_path / "x").write_bytes(content)
    whole = read(tmp_path / "x")[0]
    (tmp_path / "x").write_bytes(content[:at] + content[at + 8000 :])
    samples, report = read(tmp_path / "x")
    [(start, end)] = report.lost
    assert 1 < end - start < 1.6 and len(samples) == len(whole)
    first, last = round(start * RATE), round(end * RATE)
    np.testing.assert_array_equal(samples[:first], whole[:first])
    np.testing.assert_array_equal(samples[last:], whole[last:])


def test_a_seek_table_is_not_believed_behind_missing_bytes(coded):
    one, frame = coded("flac"), 4096
    spots = range(0, len(one.samples), 5 * frame)
    places = [round(spot * len(one.content) / len(one.samples)) for spot in spots]
    table = b"".join(struct.pack(">QQH", spot, place, frame) for spot, place in zip(spots, places, strict=True))
    content = one.content[:42] + b"\x03" + len(table).to_bytes(3, "big") + table + one.content[42:]
    samples, report = one.read(content[:85_000] + content[145_000:])
    [(start, end)] = report.lost
    assert end - start < 3.2  # without the table, 2.6 s
    np.testing.assert_array_equal(samples[round(end * RATE) :], one.samples[round(end * RATE) :])


def test_a_block_that_is_full_before_an_error_is_not_lost(coded, monkeypatch):
    whole = decoder._SoundFile.read

    def fails_at_its_end(self, *args, **settings):
        block = whole(self, *args, **settings)
        if len(block):
            raise soundfile.LibsndfileError(2)
        return block

    monkeypatch.setattr(decoder._SoundFile, "read", fails_at_its_end)
    samples, report = coded("flac").read(coded("flac").content)
    np.testing.assert_array_equal(samples[: 10 * RATE], coded("flac").samples[: 10 * RATE])
    assert report.lost_seconds < 1


def test_a_damaged_end_costs_no_more_than_it(coded):
    one = coded("flac")
    samples, report = one.read(one.content[:-2000])
    assert len(samples) > 0.9 * len(one.samples) and report.lost[0][1] == pytest.approx(SECONDS)
    np.testing.assert_array_equal(samples, one.samples[: len(samples)])


@pytest.mark.parametrize(
    ("rate", "channels", "words"), [(1 << 30, 1, "1073741824 Hz"), (0, 1, "0 Hz"), (RATE, 0, "0 channels")]
)
def test_a_header_that_says_what_cannot_be_is_refused(tmp_path, rate, channels, words):
    path = tmp_path / "x.wav"
    content = bytearray(wav_bytes(tone(1)))
    content[22:28] = struct.pack("<HI", channels, rate)
    path.write_bytes(content)
    with pytest.raises(reports.UnreadableError, match=rf"x\.wav: its header says {words}"):
        read(path)
    assert sound.duration_seconds(str(path)) == 0


def test_a_length_that_the_file_cannot_hold_is_not_believed(coded):
    content = bytearray(coded("flac").content)
    content[22] ^= 0x80  # 2^31 samples
    _, report = coded("flac").read(bytes(content))
    assert report.lost == [] and "s of sound, the file holds 12.0 s" in report.note
    assert sound.duration_seconds(str(coded("flac").folder / "changed")) < 60 * 60 * 24 * 10


@pytest.mark.parametrize("kind", ["WAV", "W64", "AIFF", "AU", "CAF"])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_of_16_bits_are_those_of_libsndfile(tmp_path, generator, kind, channels):
    samples = generator.integers(-32768, 32768, (11 * RATE, channels), np.int16)
    samples[:2] = [[-32768], [32767]]
    soundfile.write(tmp_path / "x", samples, RATE, format=kind)
    expected = soundfile.read(tmp_path / "x", dtype="float32", always_2d=True)[0][:, 0]
    np.testing.assert_array_equal(read(tmp_path / "x")[0], expected)


def test_after_an_error_in_a_16_bit_file_no_sample_is_lost(tmp_path, monkeypatch):
    path, whole = tmp_path / "x.wav", decoder._SoundFile.read

    def fails_later(self, frames=-1, dtype="float64", **settings):
        if dtype == "int16" and self.tell() > 0:
            whole(self, 100, dtype)
            raise soundfile.LibsndfileError(2)
        return whole(self, frames, dtype, **settings)

    path.write_bytes(wav_bytes(tone()))
    expected = read(path)[0]
    monkeypatch.setattr(decoder._SoundFile, "read", fails_later)
    samples, report = read(path)
    np.testing.assert_array_equal(samples, expected)
    assert not report.note


@pytest.mark.parametrize("kind", ["MP3", "OGG", "FLAC"])
@pytest.mark.parametrize(
    "streams", [((1, RATE), (2, RATE)), ((2, RATE), (1, RATE)), ((1, RATE), (2, 24000), (1, RATE))]
)
def test_joined_files_of_other_rates_and_channels_are_read_to_the_end(tmp_path, kind, streams):
    path, whole = tmp_path / "x", []
    with open(path, "wb") as file:
        for channels, rate in streams:
            file.write(_encoded(tone(3, rate), channels, rate, format=kind))
            whole.append(tone(3))
    samples, report = read(path)
    assert len(samples) == 3 * RATE * len(streams) and not report.note and report.seconds == 3 * len(streams)
    for number, expected in enumerate(whole):
        found = samples[3 * RATE * number :][: 3 * RATE]
        assert np.corrcoef(found[500:-500], expected[500:-500])[0, 1] > 0.99  # in time to the sample
    later, _ = read(path, start=4.0)
    np.testing.assert_array_equal(later, samples[4 * RATE :])


def test_later_channels_are_heard_as_their_mean(tmp_path):
    left, silent = tone(1), np.zeros(RATE)
    stored = io.BytesIO()
    soundfile.write(stored, np.stack([left, silent], axis=1), RATE, format="FLAC")
    (tmp_path / "x").write_bytes(_encoded(silent, 1, RATE, format="FLAC") + stored.getvalue())
    np.testing.assert_allclose(read(tmp_path / "x")[0][RATE:], left / 2, atol=1e-4)


def test_times_behind_damage_in_joined_files_stay_right(tmp_path):
    one, two = _encoded(tone(3), 1, RATE, format="FLAC"), _encoded(tone(3, 24000), 2, 24000, format="FLAC")
    half = len(two) // 2
    damaged = two[:half] + bytes(3000) + two[half + 3000 :]
    (tmp_path / "x").write_bytes(one + two + one)
    whole = read(tmp_path / "x")[0]
    for content, lost in ((one + damaged + one, (4, 5.5)), (one + two[: len(two) // 2] + one, (4, 6))):
        (tmp_path / "x").write_bytes(content)
        samples, report = read(tmp_path / "x")
        [(start, end)] = report.lost
        assert len(samples) == 9 * RATE and lost[0] < start < end <= lost[1] and "cannot be decoded" in report.loss
        np.testing.assert_array_equal(samples[-3 * RATE :], whole[-3 * RATE :])
        behind = slice(round(end * RATE) + 500, 6 * RATE)  # in time to the sample
        if end < 6:
            assert np.corrcoef(samples[behind], whole[behind])[0, 1] > 0.99


def _told(content, num_samples):
    """A FLAC file whose header tells so many samples."""
    return content[:22] + num_samples.to_bytes(4, "big") + content[26:]


def _tag(content):
    return b"ID3\4\0\0" + bytes([0, 0, len(content) >> 7, len(content) & 127]) + content


@pytest.mark.parametrize("start", [0, 2, 8])
@pytest.mark.parametrize("front", [b"", _tag(bytes(300))], ids=["", "tagged"])
def test_a_flac_whose_header_tells_too_little_is_read_to_its_end(coded, tmp_path, front, start):
    one = coded("flac")
    (tmp_path / "x").write_bytes(front + _told(one.content, 5 * RATE))
    samples, report = read(tmp_path / "x", start)
    np.testing.assert_array_equal(samples, one.samples[start * RATE :])
    assert report.note == "its header tells 5.0 s of sound, the file holds 12.0 s, which are used"
    assert not report.lost and report.seconds == SECONDS


def test_frames_that_ffmpeg_joined_below_the_first_header_are_read_to_the_end(coded):
    one = coded("flac")
    frames = one.content[re.search(rb"\xff[\xf8\xf9]", one.content).start() :]
    samples, report = one.read(one.content + frames)
    np.testing.assert_array_equal(samples, np.tile(one.samples, 2))
    assert "tells 12.0 s of sound, the file holds 24.0 s" in report.note
    half = len(frames) // 2
    samples, report = one.read(one.content + frames[:half] + bytes(9000) + frames[half + 9000 :])
    assert len(samples) > 16 * RATE and "lost sync" in report.loss


def test_header_of_each_joined_file_may_tell_too_little(coded):
    one = coded("flac")
    samples, report = one.read(2 * _told(one.content, 5 * RATE))
    np.testing.assert_array_equal(samples, np.tile(one.samples, 2))
    assert report.note.count("tells 5.0 s of sound, the file holds 12.0 s") == 2


def test_joined_flac_files_with_tags_are_read_to_the_end(coded):
    one = coded("flac")
    tagged = _tag(bytes(90)) + _tag(bytes(5000)) + one.content
    samples, report = one.read(2 * tagged)
    np.testing.assert_array_equal(samples, np.tile(one.samples, 2))
    assert not report.note
    half = len(tagged) // 2
    samples, report = one.read(tagged[:half] + tagged[half + 9000 :])
    assert len(samples) == len(one.samples) and 0.2 < report.lost_seconds < 1


@pytest.mark.parametrize("start", [0, 11])
@pytest.mark.parametrize("end", [b"TAG" + bytes(125), bytes(50_000), b"\xff\xf8" * 9000, bytes(9000) + b"\xff\xf8\xc9"])
def test_what_follows_the_sound_of_a_flac_is_no_damage(coded, end, start):
    one = coded("flac")
    path = one.folder / "changed"
    path.write_bytes(one.content + end)
    samples, report = read(path, start)
    np.testing.assert_array_equal(samples, one.samples[start * RATE :])
    assert not report.note and report.seconds == SECONDS


def test_a_part_that_cannot_be_opened_is_damage(tmp_path):
    one = _encoded(tone(3), 1, RATE, format="FLAC")
    (tmp_path / "x").write_bytes(one + b"fLaC\0\0\0\x22" + bytes(60))
    samples, report = read(tmp_path / "x")
    assert len(samples) == 3 * RATE and "a part of it cannot be decoded" in report.loss


def _mpeg_wav(folder, content, claimed=None):
    """A WAV file with the content of an mp3 file, whose header tells a byte rate that is not the right one."""
    test_wav.write(folder / "in.wav", code=0x55, sound=content, claimed=claimed, rate=RATE)
    return folder / "in.wav"


def test_an_mp3_in_a_wav_is_read_as_the_mp3(coded, tmp_path):
    one = coded("mp3")
    expected, _ = one.read(one.content)
    samples, report = read(_mpeg_wav(tmp_path, one.content))
    np.testing.assert_array_equal(samples, expected)
    assert not report.note


def test_frames_of_an_mp3_in_a_wav_that_are_lost_leave_later_times_right(coded, tmp_path):
    one = coded("mp3")
    at = len(one.content) // 3
    samples, report = read(_mpeg_wav(tmp_path, one.content[:at] + bytes(5000) + one.content[at + 5000 :]))
    assert one.lag(samples, 2) == one.lag(samples, SECONDS - 1) == 0
    assert "damaged in 1 place" in report.loss and 0 < report.lost_seconds < 2.5


def test_of_an_mp3_in_a_wav_that_is_cut_off_the_rest_is_told(coded, tmp_path):
    one = coded("mp3")
    half = one.content[: len(one.content) // 2]
    samples, report = read(_mpeg_wav(tmp_path, half, claimed=len(one.content)))
    assert len(samples) < 0.6 * SECONDS * RATE
    assert report.lost_seconds == pytest.approx(SECONDS / 2, abs=0.5) and report.damage


def test_mp2_in_a_wav_is_read_as_mp2(tmp_path):
    frame = b"\xff\xfd\x84\xc0".ljust(144 * 128000 // 48000, b"\0")  # a silent one of 24 ms
    samples, report = read(_mpeg_wav(tmp_path, 100 * frame))
    assert not report.note and report.sample_rate_hz == 48000 and len(samples) == 100 * 1152
