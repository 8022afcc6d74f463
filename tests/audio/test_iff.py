import numpy as np
import pytest
import soundfile

from bird_tf.audio import decode, iff, parts, reports, sound

RATE, SECONDS = 8000, 4
SAMPLES = np.random.default_rng(0).integers(-9000, 9000, SECONDS * RATE, np.int16)
# the name of the sound's chunk, the bytes of its length, and those before the sound in it
KINDS = {"AIFF": (b"SSND", 4, 8), "CAF": (b"data", 8, 4)}


def _write(folder, kind, subtype="PCM_16", *, told=None, cut=0, after=b""):
    """A file whose header tells so many bytes of sound, and which lacks some at its end. Returns its path."""
    path = folder / f"x.{kind.lower()}"
    soundfile.write(path, SAMPLES, RATE, subtype, format=kind)
    content = path.read_bytes()
    name, size_bytes, before = KINDS[kind]
    at = content.index(name) + 4
    begin = at + size_bytes
    length = int.from_bytes(content[at:begin], "big") if told is None else told + before
    sound = content[begin : len(content) - cut]
    path.write_bytes(content[:at] + (length % 256**size_bytes).to_bytes(size_bytes, "big") + sound + after)
    return str(path)


def _read(path):
    report = reports.Report()
    return np.concatenate(list(decode.blocks(path, RATE, report=report))), report


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("told", [0, 2 * RATE, 2 * RATE + 1])
def test_a_header_that_tells_too_little_loses_no_sound(tmp_path, kind, told):
    samples, report = _read(_write(tmp_path, kind, told=told))
    assert np.array_equal(samples, SAMPLES / np.float32(2**15))
    assert report.note == f"its header tells {told / 2 / RATE:.1f} s of sound, the file holds 4.0 s, which are used"


@pytest.mark.parametrize("subtype", ["FLOAT", "ULAW", "PCM_24"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_length_of_a_sample_is_known(tmp_path, kind, subtype):
    size = {"FLOAT": 4, "ULAW": 1, "PCM_24": 3}[subtype]
    samples, report = _read(_write(tmp_path, kind, subtype, told=size * RATE))
    assert len(samples) == len(SAMPLES) and "tells 1.0 s of sound, the file holds 4.0 s" in report.note


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_cut_off_is_told(tmp_path, kind):
    samples, report = _read(_write(tmp_path, kind, cut=2 * RATE + 1))
    assert len(samples) == 3 * RATE - 1 and report.lost_seconds == pytest.approx(1, abs=1e-3)
    assert "1.0 of 4.0 s cannot be decoded (the file ends early)" in report.note


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("told", "after"), [(None, b""), (None, b"ID3 \0\0\0\0\0\0\7\0ab"), (None, b"\0")])
def test_other_chunks_and_right_sizes_are_no_damage(tmp_path, kind, told, after):
    samples, report = _read(_write(tmp_path, kind, told=told, after=after))
    assert np.array_equal(samples, SAMPLES / np.float32(2**15)) and not report.note


def test_an_aiff_whose_size_was_never_written_is_read_whole(tmp_path):
    for told in (-8, 0xFFFFFFFF - 8):
        samples, report = _read(_write(tmp_path, "AIFF", told=told))
        assert len(samples) == len(SAMPLES) and not report.note


def test_a_damaged_length_ends_the_search_for_the_sound(tmp_path):
    path = tmp_path / "x.caf"
    path.write_bytes(b"caff\0\1\0\0desc" + b"\xff" * 8 + bytes(32) + b"data" + bytes(100))
    assert iff.layout(str(path)) == parts.Layout()


def test_an_aiff_of_more_than_4_gib_whose_size_wrapped_is_read(tmp_path):
    path = _write(tmp_path, "AIFF", told=2 * RATE)
    with open(path, "r+b") as file:
        file.truncate((1 << 32) + 9999)
    with sound.opened(path, reports.Report()) as opened:
        first = next(opened.blocks)
    assert np.array_equal(first[: len(SAMPLES), 0], SAMPLES / np.float32(2**15))
    assert sound.duration_seconds(path) > 1e5
