import io
import os

import numpy as np
import pytest

from bird_tf.audio import parts

CONTENT = bytes(range(256)) * 3
REPEATED = parts.Repeated
PIECES = (REPEATED(b"header"), (10, 300), (300, 300), REPEATED(b""), REPEATED(b"silence", 20), (290, 768))
EXPECTED = b"header" + CONTENT[10:300] + b"silence" * 20 + CONTENT[290:768]


@pytest.fixture
def spliced(tmp_path):
    (tmp_path / "x").write_bytes(CONTENT)
    with parts.Spliced(str(tmp_path / "x"), PIECES) as file:
        yield file


def test_pieces_are_read_as_one_file(spliced):
    assert io.BufferedReader(spliced).read() == EXPECTED


def test_any_stretch_can_be_read(spliced):
    generator = np.random.default_rng(0)
    for start, count in generator.integers(0, len(EXPECTED) + 20, (200, 2)).tolist():
        assert spliced.seek(start) == start == spliced.tell()
        buffer = bytearray(count)
        found = spliced.readinto(buffer)
        assert bytes(buffer[:found]) == EXPECTED[start : start + count]


def test_positions_are_those_of_the_whole(spliced):
    assert spliced.readable() and spliced.seekable()
    assert spliced.seek(-3, os.SEEK_END) == len(EXPECTED) - 3
    assert spliced.seek(1, os.SEEK_CUR) == len(EXPECTED) - 2
    assert spliced.seek(-999, os.SEEK_CUR) == 0
