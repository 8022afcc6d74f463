import io
import os
import pathlib

import numpy as np
import pytest
import soundfile

from bird_tf import config
from bird_tf.api import sounds

RATE = 8000


@pytest.fixture
def folder(tmp_path):
    for name in ("a/one.wav", "b/two.wav"):
        path = tmp_path / name
        path.parent.mkdir()
        soundfile.write(path, np.zeros(RATE), RATE)
    return tmp_path


def _files(recordings, rate=None):
    with sounds.as_files(recordings, rate) as found:
        return [sound.file for sound in found]


def test_paths_folders_and_lists_are_called_as_they_are_given(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    name = folder.name
    both = [f"{name}/a/one.wav", f"{name}/b/two.wav"]
    assert _files(name) == _files(pathlib.Path(name)) == _files(both) == _files(np.array(both)) == both
    assert _files([name, both[1]]) == both  # once


def test_the_root_is_the_folder_or_what_the_paths_have_in_common(folder):
    both = [folder / "a" / "one.wav", folder / "b" / "two.wav"]
    for given in (folder, both):
        with sounds.as_files(given, None) as found:
            assert {sound.root for sound in found} == {str(folder)}


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.array([0.1, -1.5, 0.25]), [0.1, -1.5, 0.25]),
        (np.array([16384, -32768], np.int16), [0.5, -1.0]),
        (np.array([[0.5, 0.0], [0.25, 1.0], [0.0, 0.0]], np.float32), [[0.5, 0.0], [0.25, 1.0], [0.0, 0.0]]),
    ],
)
def test_samples_are_kept_as_they_are(samples, expected):
    with sounds.as_files([samples, samples], RATE) as found:
        assert [sound.file for sound in found] == ["samples-0", "samples-1"]
        read, rate = soundfile.read(found[1].path, dtype="float32")
    assert rate == RATE and np.array_equal(read, np.array(expected, np.float32))
    assert not os.path.exists(found[1].path)


def test_an_open_file_is_read_from_its_beginning(folder):
    path = folder / "a" / "one.wav"
    memory = io.BytesIO(path.read_bytes())
    memory.read()
    with open(path, "rb") as opened, sounds.as_files([opened, memory], None) as found:
        assert [sound.file for sound in found] == [str(path), "file-1"]
        assert [pathlib.Path(sound.path).read_bytes() for sound in found] == [path.read_bytes()] * 2


@pytest.mark.parametrize(
    ("recordings", "rate", "message"),
    [
        ([], None, "no recordings"),
        ("nowhere.wav", None, "nowhere.wav: no such file or folder"),
        (0.5, None, "got float"),
        ([b"RIFF"], None, "got bytes"),
        (np.zeros(5), None, "sample_rate_hz=None"),
        (np.zeros(5), 44100.5, "a whole number"),
        (np.zeros(5), float("nan"), "a whole number"),
        (np.zeros(5), float("inf"), "a whole number"),
        (np.zeros(5), "8000", "a whole number"),
        (np.arange(5, dtype=np.int64), RATE, "samples are int64: give them as int16"),
        (np.zeros((2, 99)), RATE, r"shape \[2, 99\]"),
        (np.zeros((3000, 1100)), RATE, r"shape \[3000, 1100\] are no recording"),
        (np.zeros(5, np.uint8), RATE, "uint8"),
        (np.zeros(5, bool), RATE, "bool"),
        (__file__, RATE, "sample_rate_hz without samples has no effect"),
    ],
)
def test_what_is_no_recording_is_refused(recordings, rate, message):
    with pytest.raises(config.InputError, match=message):
        _files(recordings, rate)


def test_a_closed_file_is_told(folder):
    with open(folder / "a" / "one.wav", "rb") as closed:
        pass
    with pytest.raises(config.InputError, match=r"one\.wav is closed"):
        _files(closed)


def test_text_is_no_sound(folder):
    with open(folder / "a" / "one.wav", encoding="latin-1") as opened, pytest.raises(config.InputError, match="'rb'"):
        _files(opened)
