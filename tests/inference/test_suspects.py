import os
import shutil
import signal
import subprocess
import sys

import pytest

import bird_tf
from bird_tf import executor, predict
from bird_tf.audio import decode
from bird_tf.inference import ensembles, scoring, suspects
from tests import conftest


@pytest.fixture
def recordings(tmp_path):
    """Paths of three files."""
    for name in "abc":
        (tmp_path / f"{name}.wav").write_bytes(b"")
    return [str(tmp_path / f"{name}.wav") for name in "abc"]


def _leave_note(folder, path):
    """Leaves the note of a process that was killed while it read a recording."""
    noted = suspects.Notes(str(folder))
    with noted.reading(path):
        [note] = os.listdir(folder)
        shutil.copy(folder / note, folder / f"left-{note}")
    os.rename(folder / f"left-{note}", folder / note)


def test_what_was_read_when_a_process_was_killed_is_a_suspect_until_it_is_read_to_its_end(tmp_path, recordings):
    folder = tmp_path / "notes"
    folder.mkdir()
    _leave_note(folder, recordings[1])
    noted = suspects.Notes(str(folder))
    assert noted.suspects(recordings) == {recordings[1]}
    noted.acquit(recordings[1])
    assert os.listdir(folder) == [] and suspects.Notes(str(folder)).suspects(recordings) == set()


def test_a_recording_that_was_replaced_is_no_suspect(tmp_path, recordings):
    folder = tmp_path / "notes"
    folder.mkdir()
    _leave_note(folder, recordings[1])
    with open(recordings[1], "wb") as file:
        file.write(b"mended")
    assert suspects.Notes(str(folder)).suspects(recordings) == set()


def test_what_another_command_reads_now_is_no_suspect(recordings, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    noted = suspects.Notes()
    with noted.reading(recordings[0]):
        assert suspects.Notes().suspects(recordings) == set()
    stopped = noted.reading(recordings[0])
    stopped.__enter__()
    noted.close()
    assert os.listdir(suspects._cache()) == []


def test_where_no_note_can_be_kept_there_is_none(tmp_path, recordings):
    noted = suspects.Notes(os.path.join(recordings[0], "no folder"))
    with noted.reading(recordings[1]):
        assert noted.suspects(recordings) == set()


def test_suspects_are_scored_in_a_process_of_their_own(tmp_path, model_path, data, monkeypatch):
    paths = [str(path) for path in sorted((data / "wav").iterdir())[:3]]
    todo, folder, apart = [(path, path) for path in paths], tmp_path / "notes", []
    ensemble = ensembles.Ensemble([model_path])
    folder.mkdir()
    _leave_note(folder, paths[1])

    def elsewhere(_, units, *__):
        apart.extend(unit.recordings for unit in units)
        yield scoring.ScoredRecording(recording_id=paths[1], path=paths[1], scores=None, reason="it died")

    monkeypatch.setattr(scoring, "_elsewhere", elsewhere)
    found = list(scoring.score_recordings(ensemble, todo, decode.ChunkingConfig(), notes=str(folder)))
    assert [scored.path for scored in found] == paths and apart == [(todo[1],)]
    assert [scored.scores is None for scored in found] == [False, True, False]
    assert len(os.listdir(folder)) == 1  # it stays a suspect


def _crash_at_deadly():
    blocks = decode.blocks

    def deadly(path, *others, **values):
        if "deadly" in path:
            signal.raise_signal(signal.SIGSEGV)  # of this thread, at once, as a crash is
        return blocks(path, *others, **values)

    decode.blocks = deadly


_prepare_process = executor._prepare_process


def _prepare_deadly_process(*arguments):
    _prepare_process(*arguments)
    _crash_at_deadly()


def run_with_a_deadly_recording(command):
    """Runs a command while the decoder crashes at one recording, in this process and in its workers."""
    executor._prepare_process = _prepare_deadly_process
    _crash_at_deadly()
    if command == "python":
        print(bird_tf.load(sys.argv[1]).detect(sys.argv[2], threads=1).attrs["skipped"])
    else:
        predict.run()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["predict", "python"])
def test_a_decoder_that_crashes_a_command_costs_one_recording(tmp_path, model_path, data, command):
    audio = tmp_path / "audio"
    audio.mkdir()
    for name, path in zip(("a.wav", "deadly.wav", "z.wav"), sorted((data / "wav").iterdir()), strict=False):
        shutil.copy(path, audio / name)
    flags = [f"--model={model_path}", f"--audio={audio}", f"--output={tmp_path}/out", "--threads=1"]
    program = f"from tests.inference import test_suspects as test; test.run_with_a_deadly_recording({command!r})"
    typed = [sys.executable, "-c", program, *([model_path, str(audio)] if command == "python" else flags)]
    assert subprocess.run(typed, check=False).returncode == -signal.SIGSEGV
    again = subprocess.run(typed, check=False, capture_output=True, text=True)
    assert again.returncode == 0 and "worker process died twice" in again.stdout + again.stderr
    if command == "predict":
        [row] = conftest.table(tmp_path / "out" / "skipped.csv")
        assert row["file"] == "deadly.wav" and "worker process died twice" in row["reason"]
        assert [row["file"] for row in conftest.table(tmp_path / "out" / "recordings.csv")] == ["a.wav", "z.wav"]
