import dataclasses

import pytest

from bird_tf.audio import decode
from bird_tf.labels import metadata
from bird_tf.records import learnt, recordings_table

RATE = 22050
LEARNT = learnt.Learnt(
    frozenset({("1", "aaa", RATE), ("2", "bbb", RATE), ("3", "", RATE), ("4", "ddd", 8000)})
    | {("6", "e" * 32, RATE)}  # by an earlier version
)


@pytest.mark.parametrize(
    ("recording_id", "digest", "known"),
    [
        ("1", "aaa", True),
        ("renamed", "aaa", True),
        ("1", "other audio of that id", False),
        ("1", "", True),  # nothing but the id can be compared
        ("3", "ccc", True),
        ("4", "digest at another rate", True),
        ("renamed", "ddd", False),  # of another rate
        ("5", "", False),
        ("renamed", "e" * 32, True),
        ("6", "f" * 32, False),
        ("6", "f" * 40, True),  # of another kind
    ],
)
def test_a_recording_is_known_by_its_digest_or_else_by_its_id(recording_id, digest, known):
    recording = metadata.Recording(recording_id=recording_id, path="", digest=digest)
    assert LEARNT.known([recording], RATE) == ({recording_id} if known else set())


def test_tables_are_read_as_written(tmp_path):
    learnt.save(str(tmp_path), LEARNT)
    assert learnt.load(str(tmp_path), {}) == LEARNT


def test_what_earlier_models_have_learnt_is_told_by_their_records(manifest, tmp_path):
    flags = {"records": manifest.directory}
    own, refitted = (learnt.load(str(tmp_path), flags | {"refit": refit}) for refit in (False, True))
    assert own.rows < refitted.rows
    assert learnt.load(str(tmp_path), {"records": str(tmp_path)}) is None


def test_a_training_learns_from_the_training_recordings(manifest):
    recordings = recordings_table.read(manifest.directory, with_unused=True)
    assert all(r.digest for r in recordings)
    known = learnt.of_records(manifest).known(recordings, RATE)
    # those without a training chunk give noise
    assert known == {r.recording_id for r in recordings if r.split == "train"}
    assert len(known) > manifest.num_recordings["train"]


def test_digests_of_audio_equal_those_of_records(manifest, data):
    everything = learnt.of_records(manifest.with_all_for_training())
    named = [metadata.Recording(recording_id=path.stem, path=str(path)) for path in sorted((data / "wav").iterdir())]
    found = learnt.with_digests(named, everything, RATE)
    assert len(everything.known(found, RATE)) == len(everything.rows) == 18
    one = learnt.Learnt(frozenset(sorted(everything.rows)[:1]))
    assert sum(len(r.digest) == 40 for r in learnt.with_digests(named, one, RATE)) == 1
    assert decode.digest(named[0].path, RATE) == found[0].digest


def test_digests_of_unreadable_audio_are_empty(tmp_path):
    recording = metadata.Recording(recording_id="1", path=str(tmp_path / "none.wav"))
    assert learnt.with_digests([recording], LEARNT, RATE) == [dataclasses.replace(recording, digest="")]
