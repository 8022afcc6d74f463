import dataclasses
import os
import shutil
import signal

import numpy as np
import pytest
import soundfile

from bird_tf.audio import decode
from bird_tf.labels import duplicates, metadata
from tests import conftest

RATE = 8000


@pytest.fixture
def recordings(tmp_path, generator):
    """Two of equal audio in two formats, one with the same first seconds, one of the same length, one unreadable."""
    sound = generator.integers(-9999, 9999, 12 * RATE).astype(np.int16)
    late = sound.copy()
    late[-1] += 1
    for name, samples in (("a.wav", sound), ("b.flac", sound), ("late.wav", late), ("other.wav", sound[::-1])):
        soundfile.write(tmp_path / name, samples, RATE, subtype="PCM_16")
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    return [
        metadata.Recording(recording_id=path.name, path=str(path), label="x") for path in sorted(tmp_path.iterdir())
    ]


def _seconds(recordings):
    return {r.recording_id: decode.duration_seconds(r.path) for r in recordings}


def test_recordings_of_equal_samples_get_equal_digests(recordings):
    found = {r.recording_id: r.digest for r in duplicates.with_digests(recordings, _seconds(recordings), RATE, 1)}
    assert found["a.wav"] == found["b.flac"] == decode.digest(recordings[0].path, RATE)
    assert {name for name, digest in found.items() if digest} == {"a.wav", "b.flac"}


def test_only_recordings_of_equal_length_are_decoded(recordings, monkeypatch):
    monkeypatch.setattr(decode, "opening_digest", lambda path, **_: pytest.fail(path))
    seconds = {r.recording_id: float(i) for i, r in enumerate(recordings)}
    assert not any(r.digest for r in duplicates.with_digests(recordings, seconds, RATE, 1))


def test_of_clips_of_one_length_only_those_with_equal_openings_are_compared_further(tmp_path, generator, monkeypatch):
    paths = {name: str(tmp_path / name) for name in ("a.wav", "b.wav", "quiet.wav", "silent.wav")}
    for name, path in paths.items():
        samples = generator.integers(-9999, 9999, 2 * RATE).astype(np.int16)
        samples[: RATE // 5] *= name in ("a.wav", "b.wav")
        soundfile.write(path, samples, RATE)
    compared, whole = [], decode.head_digest
    monkeypatch.setattr(decode, "head_digest", lambda path, **given: compared.append(path) or whole(path, **given))
    clips = [metadata.Recording(recording_id=name, path=path, label="x") for name, path in paths.items()]
    assert not any(r.digest for r in duplicates.with_digests(clips, _seconds(clips), RATE, 1))
    assert compared == [paths["quiet.wav"], paths["silent.wav"]]


def test_equal_audio_is_listed_and_contradicting_labels_are_told(recordings, tmp_path, caplog):
    found = duplicates.with_digests(recordings, _seconds(recordings), RATE, 1)
    found[1] = dataclasses.replace(found[1], label="y", split="val")
    duplicates.tell(found, str(tmp_path / "out.csv"))
    assert [(row["file"], row["label"]) for row in conftest.table(tmp_path / "out.csv")] == [
        ("a.wav", "x"),
        ("b.flac", "y"),
    ]
    assert "2 recordings have the same audio as another one, as a.wav and b.flac" in caplog.text
    assert "different labels 1 times: a.wav (x), b.flac (y)" in caplog.text
    assert "on both sides" in caplog.text


def test_without_equal_audio_nothing_is_told(recordings, tmp_path, caplog):
    shutil.rmtree(tmp_path)
    duplicates.tell(recordings, str(tmp_path / "out.csv"))
    assert not caplog.text and not tmp_path.exists()


def test_relative_and_absolute_paths_are_listed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = ("set/a.wav", str(tmp_path / "noise" / "a.wav"))
    duplicates.tell([metadata.Recording(recording_id=p, path=p, label="x", digest="1") for p in paths], "table.csv")
    assert [line.split(",")[2] for line in (tmp_path / "table.csv").read_text().split()] == [
        "file", "set/a.wav", "noise/a.wav",
    ]  # fmt: skip


_OPENING = decode.opening_digest


def _deadly_opening(path, **given):
    if path.endswith("deadly.wav"):
        os.kill(os.getpid(), signal.SIGKILL)
    return _OPENING(path, **given)


def test_a_recording_that_kills_its_worker_hides_equal_audio_of_its_block_alone(tmp_path, monkeypatch, caplog):
    names = ["deadly.wav", *(f"{i}.wav" for i in range(1, 50))]
    for i, name in enumerate(names):
        sound = np.random.default_rng(i // 2).integers(-9999, 9999, RATE).astype(np.int16)
        soundfile.write(tmp_path / name, sound, RATE)
    monkeypatch.setattr(decode, "opening_digest", _deadly_opening)
    found = [metadata.Recording(recording_id=name, path=str(tmp_path / name), label="x") for name in names]
    digests = [r.digest for r in duplicates.with_digests(found, _seconds(found), RATE, 2)]
    assert not any(digests[:16]) and all(digests[16:])
    assert [record.getMessage() for record in caplog.records] == [
        "a worker process died; equal audio of 16 recordings may be overlooked"
    ]
