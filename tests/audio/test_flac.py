import io

import pytest
import soundfile

from bird_tf.audio import flac, parts
from tests.audio.conftest import RATE


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


def test_an_endless_part_can_be_read_from_its_middle_on(coded, tmp_path):
    one = coded("flac")
    path, unknown = str(tmp_path / "x"), bytearray(one.content)
    unknown[21] &= 0xF0
    unknown[22:26] = bytes(4)
    (tmp_path / "x").write_bytes(b"before" + unknown)
    part, num_bytes = flac.endless(path, parts.Part(pieces=((6, 6 + len(unknown)),)))
    assert num_bytes == len(unknown)
    with soundfile.SoundFile(io.BufferedReader(parts.Spliced(path, part.pieces))) as file:
        file.seek(5 * RATE)
        assert file.read(100, "float32").tolist() == one.samples[5 * RATE : 5 * RATE + 100].tolist()
