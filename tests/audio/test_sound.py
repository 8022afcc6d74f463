import os

import numpy as np
import pytest
import soundfile

from bird_tf import config
from bird_tf.audio import reports, sound
from tests.audio.conftest import CODECS, RATE, SECONDS, read, tone


def _in_blocks(path):
    with soundfile.SoundFile(path) as file:
        return file.read(dtype="float32", always_2d=True)[:, 0]


@pytest.mark.parametrize("name", CODECS)
def test_an_undamaged_file_is_what_libsndfile_gives(coded, name):
    samples, report = coded(name).read(coded(name).content)
    np.testing.assert_array_equal(samples, coded(name).samples)
    assert report.note == "" and report.lost == [] and report.sample_rate_hz == RATE
    if name != "opus":  # whose decoder begins anew where `soundfile` seeks
        np.testing.assert_array_equal(samples, _in_blocks(coded(name).folder / "changed"))


@pytest.mark.parametrize("name", ["wav", "flac", "ogg", "mp3", "vbr.mp3"])
def test_reading_can_begin_anywhere(coded, name):
    one = coded(name)
    path = one.folder / "whole"
    path.write_bytes(one.content)
    for start in (0.0, 7.25, SECONDS - 0.5):
        samples, _ = read(path, start)
        np.testing.assert_allclose(samples, one.samples[round(start * RATE) :], atol=1e-3)


def test_lengths_are_those_of_the_headers(coded, tmp_path):
    paths = [coded(name).folder / "length" for name in CODECS]
    for path, name in zip(paths, CODECS, strict=True):
        path.write_bytes(coded(name).content)
    found = sound.durations([*map(str, paths), str(tmp_path / "none")])
    assert found == pytest.approx([SECONDS] * len(CODECS) + [0], abs=0.2)


@pytest.mark.parametrize("name", ["wav", "flac", "ogg", "opus", "mp3", "vbr.mp3"])
def test_the_length_of_joined_files_is_searched(coded, name):
    path, times = coded(name).folder / "joined", 1 if name == "wav" else 2
    path.write_bytes(coded(name).content * times)
    assert sound.searched_seconds(str(path)) == pytest.approx(times * SECONDS, abs=0.2)
    path.write_bytes(b"no sound")
    assert sound.searched_seconds(str(path)) == 0


def test_the_length_of_an_mp3_of_variable_bit_rate_is_searched(coded):
    path = coded("vbr.mp3").folder / "unknown"
    path.write_bytes(coded("vbr.mp3").content.replace(b"Xing", bytes(4)))
    assert abs(sound.duration_seconds(str(path)) - SECONDS) > 1  # a guess
    assert sound.searched_seconds(str(path)) == pytest.approx(SECONDS, abs=0.2)


def test_what_is_no_file_is_told(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "empty.wav").touch()
    for name, words in (("pipe.wav", "is not a file"), ("empty.wav", "0 bytes"), ("none.wav", "cannot be opened")):
        with pytest.raises(reports.UnreadableError, match=words):
            read(tmp_path / name)
        assert sound.duration_seconds(str(tmp_path / name)) == 0


@pytest.mark.parametrize("suffix", ["wav", "mp3", "flac", "m4a"])
def test_a_file_of_zeros_is_told_as_such(tmp_path, suffix):
    (tmp_path / f"x.{suffix}").write_bytes(bytes(9000))
    with pytest.raises(reports.UnreadableError, match="begins with zeros in place of a header"):
        read(tmp_path / f"x.{suffix}")


def _mutated(content, generator):
    """The bytes with a few bits, bytes or stretches changed, removed or doubled, at the start more often."""
    content = bytearray(content)
    for _ in range(generator.integers(1, 6)):
        size = len(content)
        at = int(generator.integers(0, min(size, 200) if generator.random() < 0.5 else size))
        count = int(generator.integers(1, 4000))
        kind = generator.integers(0, 5)
        if kind == 0:
            content[at] ^= 1 << int(generator.integers(0, 8))
        elif kind == 1:
            content[at : at + 4] = generator.bytes(4)
        elif kind == 2:
            content[at : at + count] = generator.bytes(min(count, size - at))
        elif kind == 3:
            del content[at : at + count]
        else:
            content[at:at] = content[at : at + count]
        if not content:
            break
    return bytes(content)


def _survives(path, content):
    path.write_bytes(content)
    total = 0
    try:
        with sound.opened(str(path), report := reports.Report()) as opened:
            for block in opened.blocks:
                assert block.dtype == np.float32 and block.ndim == 2 and block.nbytes < 1 << 27
                total += len(block)
        assert total > 0 and total / opened.sample_rate_hz <= report.seconds + 1e-6
    except config.InputError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    assert 0 <= sound.duration_seconds(str(path)) < 1e7


@pytest.fixture
def content(coded, request, tmp_path):
    """A short file of a codec or of another kind, so that many mutations meet its header."""
    if request.param in CODECS:
        whole = coded(request.param).content
        return whole[: max(4000, len(whole) // 4)]
    soundfile.write(tmp_path / "x", tone(1), RATE, format=request.param)
    return (tmp_path / "x").read_bytes()


@pytest.mark.usefixtures("no_decoder")  # a process for each file takes minutes
@pytest.mark.parametrize("content", [*CODECS, "RF64", "W64", "AIFF", "AU", "CAF"], indirect=True)
@pytest.mark.parametrize("count", [30, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_mutated_file_gives_samples_or_one_error(content, tmp_path, count):
    generator = np.random.default_rng(count)
    for _ in range(count):
        _survives(tmp_path / "mutated", _mutated(content, generator))
