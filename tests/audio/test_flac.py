import io

import numpy as np
import pytest
import soundfile

from bird_tf.audio import flac, parts
from tests.audio.conftest import RATE

TAG = b"ID3\4\0\0\0\0\1\2" + bytes(130)


def test_a_file_alone_is_left_to_the_decoder(coded, tmp_path):
    (tmp_path / "x").write_bytes(coded("flac").content + b"TAG" + bytes(125))
    assert flac.read(str(tmp_path / "x")) == parts.Layout()


@pytest.mark.parametrize("between", [b"", b"ID3\x04\0\0\0\0\0\0"])
def test_files_one_after_the_other_are_found(coded, tmp_path, between):
    one = coded("flac").content
    (tmp_path / "x").write_bytes(one + between + one)
    first, second = flac.read(str(tmp_path / "x")).parts
    assert first.pieces == ((0, len(one) + len(between)),)
    assert second.pieces == ((len(one) + len(between), 2 * len(one) + len(between)),)


@pytest.mark.parametrize(
    ("front", "wanted"),
    [(b"", True), (TAG, True), (TAG + TAG, True), (TAG[:-1], False), (b"x", False), (b"ID3", False)],
)
def test_a_flac_file_may_begin_with_tags(coded, tmp_path, front, wanted):
    content = front + coded("flac").content
    (tmp_path / "x").write_bytes(content)
    assert flac.is_flac(str(tmp_path / "x"), content[:64]) == wanted


def test_joined_files_with_tags_are_found(coded, tmp_path):
    one = coded("flac").content
    (tmp_path / "x").write_bytes(TAG + one + TAG + one)
    first, second = flac.read(str(tmp_path / "x")).parts
    assert first.pieces == ((len(TAG), 2 * len(TAG) + len(one)),)
    assert second.pieces == ((2 * len(TAG) + len(one), 2 * len(TAG) + 2 * len(one)),)


def test_frames_behind_what_was_read_are_found(tmp_path):
    (tmp_path / "x").write_bytes(bytes(10) + b"\xff\xf8" + bytes(10) + b"\xff\xf9")
    whole, part = parts.Part(), parts.Part(pieces=((4, 14),))
    assert [flac.has_more(str(tmp_path / "x"), whole, at) for at in (0, 10, 11, 22, 23, 24)] == [1, 1, 1, 1, 0, 0]
    assert [flac.has_more(str(tmp_path / "x"), part, at) for at in (0, 6, 7, 10, 20)] == [1, 1, 0, 0, 0]


def test_a_part_without_length_can_be_read_from_its_middle_on(coded, tmp_path):
    one = coded("flac")
    path, unknown = str(tmp_path / "x"), bytearray(one.content)
    unknown[21] &= 0xF0
    unknown[22:26] = bytes(4)
    (tmp_path / "x").write_bytes(b"before" + unknown)
    part = flac.searchable(path, parts.Part(pieces=((6, 6 + len(unknown)),)), has_length=False)
    with soundfile.SoundFile(io.BufferedReader(parts.Spliced(path, part.pieces))) as file:
        file.seek(5 * RATE)
        assert file.read(100, "float32").tolist() == one.samples[5 * RATE : 5 * RATE + 100].tolist()


def test_tables_of_positions_become_empty_blocks(coded, tmp_path):
    one, path = coded("flac").content, str(tmp_path / "x")
    whole = parts.Part()
    (tmp_path / "x").write_bytes(one)
    assert flac.searchable(path, whole, has_length=True) == whole
    table = b"\x03\0\0\x12" + bytes(18)
    (tmp_path / "x").write_bytes(one[:42] + table + one[42:])
    spliced = parts.Spliced(path, flac.searchable(path, whole, has_length=True).pieces)
    assert spliced.read() == one[:42] + b"\x01" + table[1:] + one[42:]


def test_only_a_long_silence_near_an_error_counts_as_put_in():
    block = np.ones((100_000, 2), np.float32)
    block[1000:2000] = block[60_000:60_100] = 0
    assert len(flac.before_silence(block)) == 100_000
    block[50_000:51_000, 0] = 0
    assert len(flac.before_silence(block)) == 100_000
    block[50_000:51_000] = 0
    assert len(flac.before_silence(block)) == 50_000
    assert len(flac.before_silence(block[:50_500])) == 50_000
    assert len(flac.before_silence(block[:0])) == len(flac.before_silence(block[50_000:50_500])) == 0
