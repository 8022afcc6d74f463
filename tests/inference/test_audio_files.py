import os

import pytest
import soundfile

from bird_tf import config
from bird_tf.inference import audio_files


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(config.InputError, match="no such file or folder"):
        audio_files.find_below(str(tmp_path / "other.wav"))


def test_recordings_are_named_by_their_paths_below_the_folder(tmp_path):
    for name in ("1.wav", "b c/1.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, [0.0], 8000)
    found = audio_files.find_below(str(tmp_path))
    assert found == [(name, str(tmp_path / name)) for name in ("1.wav", "b c/1.wav")]
    assert audio_files.find_below(str(tmp_path / "b c" / "1.wav")) == [("1.wav", str(tmp_path / "b c" / "1.wav"))]


def test_result_files_are_named_after_recordings_and_never_alike():
    names = ["a/x.1.wav", "b/x.1.wav", "b/x.1.mp3", "B/X.1.wav", "é.wav"]
    assert list(audio_files.stems(names).values()) == ["a/x.1", "b/x.1.wav", "b/x.1.mp3", "B/X.1", "é"]
    long = [f"a/{'é' * 110}{i}.wav" for i in range(3)]
    stems = audio_files.stems([*long, long[0][:-3] + "WAV"])
    assert len({stem.casefold() for stem in stems.values()}) == 4
    assert all(len(stem.encode()) <= 202 and stem.startswith("a/éé") for stem in stems.values())


def test_a_recording_that_was_replaced_has_changed_and_a_copy_has_not(tmp_path):
    path = tmp_path / "a b.wav"
    path.write_bytes(b"12")
    before = audio_files.source(str(path))
    assert not audio_files.has_changed(before, str(path)) and not audio_files.was_written(before, str(path))
    (tmp_path / "moved").mkdir()
    copy = tmp_path / "moved" / "a b.wav"
    copy.write_bytes(b"12")
    assert not audio_files.has_changed(before, str(copy))
    copy.write_bytes(b"123")
    assert audio_files.has_changed(before, str(copy))
    os.utime(path, ns=(1, 1))
    assert audio_files.has_changed(before, str(path)) and audio_files.was_written(before, str(path))
    path.unlink()
    assert not audio_files.was_written(before, str(path))
    assert not audio_files.has_changed(before, str(path)) and audio_files.source(str(path)) == ""


def test_recordings_of_one_size_and_time_that_swap_their_names_have_changed(tmp_path):
    north, south = tmp_path / "north", tmp_path / "south"
    for path, first, last in ((north, b"A", b"x"), (south, b"A", b"y")):
        path.write_bytes(first + bytes(200_000) + last)
        os.utime(path, ns=(1, 1))
    before = {path: audio_files.source(str(path)) for path in (north, south)}
    north.rename(tmp_path / "t")
    south.rename(north)
    (tmp_path / "t").rename(south)
    for path, source in before.items():
        assert source != audio_files.source(str(path)) and audio_files.has_changed(source, str(path))
        assert audio_files.path_in(source) == str(path)


def test_what_earlier_versions_wrote_of_a_recording_tells_no_change_but_is_never_taken_for_the_same(tmp_path):
    path = tmp_path / "a b.wav"
    path.write_bytes(b"12")
    os.utime(path, ns=(1, 1))
    assert audio_files.path_in(f"{path} 2 1") == str(path)
    assert audio_files.source(str(path)) != f"{path} 2 1" and not audio_files.has_changed(f"{path} 2 1", str(path))
    assert audio_files.has_changed(f"{path} 20 1", str(path)) and audio_files.has_changed(f"{path} 2 2", str(path))


def test_files_that_may_hold_sound_and_are_no_recordings_are_told(tmp_path, caplog):
    for name in ("x.wav", "XC1"):
        (tmp_path / name).write_bytes(b"RIFF....WAVE")
    assert [file for file, _ in audio_files.find_below(str(tmp_path))] == ["x.wav"]
    assert "1 files may hold sound and are not read" in caplog.text and "rename it" in caplog.text
