import errno
import io
import os
import re

import numpy as np
import pytest

from bird_tf.audio import content, reports

WORD = re.compile(rb"ab[cd]")


@pytest.fixture
def whole(tmp_path, monkeypatch):
    """Random letters, stored as a file `x` that is read in blocks of 50 bytes, and larger than Python's buffers."""
    monkeypatch.setattr(content, "_BLOCK_BYTES", 50)
    letters = bytes(np.random.default_rng(0).choice(list(b"abcd"), 300_000).tolist())
    (tmp_path / "x").write_bytes(letters)
    return letters


def test_any_stretch_can_be_read(whole, tmp_path):
    with content.opened(str(tmp_path / "x")) as found:
        assert len(found) == len(whole)
        for start, stop in np.random.default_rng(1).integers(299_800, 300_100, (500, 2)).tolist():
            assert found[start:stop] == whole[start:stop]
            begin, block = found.around(min(start, 300_000), 20)
            assert block[min(start, 300_000) - begin :][:20] == whole[start : start + 20]


@pytest.mark.parametrize("start", [299_000, 299_049, 299_990, 300_000, 400_000])
def test_a_pattern_is_found_across_blocks_and_once(whole, tmp_path, start):
    with content.opened(str(tmp_path / "x")) as found:
        positions = []
        for position in found.find(WORD, start):
            positions.append(position)
            assert len(found[position // 2 : position // 2 + 90]) == 90  # another block between
    assert positions == [match.start() for match in WORD.finditer(whole, start)]


def test_a_file_that_becomes_shorter_is_an_error_and_not_the_end(whole, tmp_path):
    with content.opened(str(tmp_path / "x")) as found:
        assert found[:10] == whole[:10]
        os.truncate(tmp_path / "x", 100)
        with pytest.raises(OSError, match="became shorter"):
            found[200_000:200_010]


class _OnBadDisk(io.FileIO):
    def read(self, size=-1):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("name", ["mp3", "vbr.mp3", "ogg", "opus", "flac"])
def test_a_recording_that_the_disk_does_not_give_is_unreadable(coded, monkeypatch, name):
    one = coded(name)
    monkeypatch.setattr(content, "open", lambda path, mode: _OnBadDisk(path), raising=False)
    with pytest.raises(reports.UnreadableError, match=r"cannot be read \(Input/output error\)"):
        one.read(one.content)
