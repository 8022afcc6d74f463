import struct

import numpy as np
import pytest
import soundfile

from bird_tf.audio import decode, wav

SOUND = np.random.default_rng(0).integers(-9000, 9000, 1000, np.int16).tobytes()


def chunk(name, content):
    """A RIFF chunk, padded to an even length."""
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def write(path, *, claimed=None, before=b"", after=b"", sound=SOUND, rate=8000, channels=1, bits=16, code=1):
    """Writes a WAV file whose header may claim another size than that of the sound. Returns its path."""
    form = struct.pack("<HHIIHH", code, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits)
    size = struct.pack("<I", len(sound) if claimed is None else claimed)
    body = b"WAVE" + chunk(b"fmt ", form) + before + b"data" + size + sound + after
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return str(path)


@pytest.mark.parametrize(
    ("claimed", "after", "held"),
    [(None, b"", 2000), (0, b"", 2000), (500, b"", 2000), (0xFFFFFFFF, b"", 2000), (0x7FFFF000, b"", 2000),
     (5000, b"", 2000),
     (None, chunk(b"LIST", b"INFO"), 2000), (None, b"\0", 2000), (None, b"LIST\xff\xff\0\0IN", 2000)],
)  # fmt: skip
def test_the_sound_is_as_long_as_the_file_holds(tmp_path, claimed, after, held):
    header = wav.read(write(tmp_path / "x.wav", claimed=claimed, after=after))
    assert (header.data_offset, header.data_bytes) == (44, held)
    assert (header.claimed_bytes == held) == (claimed is None)
    assert header.is_open_ended == (claimed is not None and claimed > 1 << 30)


def test_a_file_that_holds_no_sound_is_right_in_saying_so(tmp_path):
    header = wav.read(write(tmp_path / "x.wav", sound=b"", after=chunk(b"LIST", b"INFO")))
    assert header.data_bytes == header.claimed_bytes == 0


def test_texts_before_and_after_the_sound_are_read(tmp_path):
    comment = chunk(b"LIST", b"INFO" + chunk(b"ICMT", b"Recorded\0\0\0") + chunk(b"IART", b"AudioMoth"))
    header = wav.read(write(tmp_path / "x.wav", before=comment, after=chunk(b"guan", "GUANO|Version: 1\nµ".encode())))
    assert header.texts == {"ICMT": "Recorded", "IART": "AudioMoth", "guan": "GUANO|Version: 1\nµ"}


@pytest.mark.parametrize("is_even", [True, False])
def test_sound_behind_a_chunk_of_odd_length_is_found(tmp_path, is_even):
    before = b"junk" + struct.pack("<I", 5) + b"fmt \0" + b"\0" * is_even
    path = write(tmp_path / "x.wav", before=before, after=chunk(b"LIST", b"INFO"))
    header = wav.read(path)
    assert (header.claimed_bytes, header.data_bytes) == (2000, 2000)
    assert header.is_odd != is_even
    [samples] = decode.blocks(path, 8000)
    np.testing.assert_array_equal(samples * 2**15, np.frombuffer(SOUND, np.int16))


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "PCM_U8", "ULAW"])
@pytest.mark.parametrize("kind", ["WAV", "RF64", "WAVEX"])
def test_headers_of_libsndfile_are_read_alike(tmp_path, subtype, kind):
    soundfile.write(tmp_path / "x.wav", np.zeros((99, 2)), 8000, subtype=subtype, format=kind)
    header = wav.read(str(tmp_path / "x.wav"))
    assert (header.num_channels, header.sample_rate_hz) == (2, 8000)
    assert header.claimed_bytes == header.data_bytes == 99 * header.frame_bytes


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\0\0\0\0WAVE", b"RIFX\0\0\0\0WAVEfmt ", b"fLaC" * 100])
def test_other_files_have_no_header(tmp_path, content):
    (tmp_path / "x.wav").write_bytes(content)
    assert wav.read(str(tmp_path / "x.wav")) is None


def test_a_file_is_written_whole_and_read_by_others(tmp_path, generator):
    samples = generator.uniform(-1, 1, 500)
    wav.write(str(tmp_path / "deep" / "x.wav"), samples, 22050)
    read, rate = soundfile.read(tmp_path / "deep" / "x.wav")
    assert rate == 22050 and [path.name for path in (tmp_path / "deep").iterdir()] == ["x.wav"]
    np.testing.assert_allclose(read, samples, atol=1 / 32767)  # 16 bits
