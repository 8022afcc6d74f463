import pathlib
import shutil

import pytest

from bird_tf import config
from bird_tf.inference import leaks
from bird_tf.labels import metadata
from bird_tf.records import learnt, recordings_table

RATE = 22050


def _judged(manifest, split):
    return [r for r in recordings_table.read(manifest.directory) if r.split == split]


def test_an_exported_model_knows_what_it_has_learnt_from(manifest, model_path):
    assert leaks.learnt_by(model_path) == learnt.of_records(manifest)
    leak, training = leaks.Leaks([model_path], RATE), _judged(manifest, "train")
    found = leak.among([*training, *_judged(manifest, "val")])
    assert found.recordings == {recording.recording_id for recording in training}
    assert f"has learnt from {len(training)} of the" in found.notes[0] and len(found.notes) == 1
    assert leak.among(_judged(manifest, "val")) == leaks.Found([], set())


def test_copies_under_other_names_are_found_by_their_audio(manifest, model_path, data, tmp_path):
    [copied, *_] = _judged(manifest, "train")
    shutil.copy(data / "wav" / copied.path, tmp_path / "renamed.wav")
    leak = leaks.Leaks([model_path], RATE)
    found = leak.among_heard([metadata.Recording(recording_id="new", path=str(tmp_path / "renamed.wav"))])
    assert found.recordings == {"new"}


def test_a_model_of_an_earlier_version_without_its_records_may_have_learnt_anything(model_path, tmp_path):
    shutil.copytree(model_path, tmp_path / "old")
    (tmp_path / "old" / "assets" / learnt.FILE).unlink()
    description = tmp_path / "old" / "assets" / "train.json"
    description.write_text(description.read_text().replace('"records": "', '"records": "/nowhere'))
    [note] = leaks.Leaks([str(tmp_path / "old")], RATE).among([]).notes
    assert note.startswith("It is not known")


def _refitted(folder, model_path, *, validated):
    """A run directory whose model has learnt from recordings 1 and 2, and perhaps one from before the refit."""
    for path, ids in (("run/export", "12"), ("run/validated/export", "1")):
        if validated or path == "run/export":
            shutil.copytree(model_path, folder / path)
            learnt.save(str(folder / path / "assets"), learnt.Learnt(frozenset((i, f"audio {i}", RATE) for i in ids)))
    description = folder / "run" / "export" / "assets" / "train.json"
    description.write_text(description.read_text().replace('"refit": false', '"refit": true'))
    return str(folder / "run" / "export")


def test_the_model_before_a_refit_is_judged_on_recordings_of_the_refit(model_path, tmp_path):
    path = _refitted(tmp_path, model_path, validated=True)
    judged = [metadata.Recording(recording_id="copy of 2", path="", digest="audio 2")]
    assert leaks.before_refit(path, judged, RATE) == str(pathlib.Path(path).parent / "validated" / "export")
    others = [metadata.Recording(recording_id="3", path="", digest="audio 3")]
    assert leaks.before_refit(path, others, RATE) == path
    [note] = leaks.Leaks([path], RATE).among(judged).notes
    assert note.endswith("validated/export instead.")
    both = [*judged, metadata.Recording(recording_id="1", path="", digest="audio 1")]
    assert leaks.Leaks([path], RATE).among(both).notes[0].endswith("what it remembers.")


def test_without_a_model_before_the_refit_the_recordings_of_the_refit_are_refused(model_path, tmp_path):
    path = _refitted(tmp_path, model_path, validated=False)
    with pytest.raises(config.InputError, match="does not exist; evaluate with other recordings"):
        leaks.before_refit(path, [metadata.Recording(recording_id="2", path="")], RATE)
