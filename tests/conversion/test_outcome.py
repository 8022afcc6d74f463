import types

import pytest

from bird_tf import config
from bird_tf.audio import frontend
from bird_tf.conversion import outcome, shard_tasks, worker
from bird_tf.labels import metadata, taxonomy
from bird_tf.records import manifests

CLASSES = taxonomy.Taxonomy(("a", "b", "c"), ("a", "b", "c"))


def _outcome(*converted, cap=0):
    """One shard for each side of the split; the ids of recordings of the validation side begin with v."""
    recordings = [
        metadata.Recording(
            recording_id=c.recording_id, path=f"{c.recording_id}.wav", label=next(iter(c.chunks), "a"),
            split="val" if c.recording_id.startswith("v") else "train",
        )
        for c in converted
    ]  # fmt: skip
    tasks, results = [], {}
    for part, letter in (("train", "t"), ("val", "v")):
        mine = tuple(c for c in converted if c.recording_id.startswith(letter))
        tasks.append(types.SimpleNamespace(name=f"{part}-0", split=part, classes=CLASSES))
        count = sum(sum((c.candidates if part == "train" else c.chunks).values()) for c in mine)
        shard = manifests.Shard(name=f"{part}-0", count=count, bytes=1, checksum="x")
        results[f"{part}-0"] = shard_tasks.ShardResult(shards=(shard,), recordings=mine)
    return outcome.Outcome(recordings, CLASSES, tasks, results, cap)


def _converted(recording_id, chunks, **values):
    return shard_tasks.ConvertedRecording(
        recording_id=recording_id, seconds=9.0, chunks=chunks, **{"candidates": chunks, **values}
    )


def test_chunks_and_recordings_are_counted_on_each_side(caplog):
    found = _outcome(
        _converted("t1", {"a": 3}, candidates={"a": 2}, noise={"a": 1}),
        _converted("t2", {"b": 4}),
        _converted("v1", {"b": 5}, warnings=("it clicks",)),
    )
    found.warn()
    manifest = found.manifest("records", frontend.FrontendConfig(), {}, [])
    assert manifest.chunks_per_class["train"] == (2, 4, 0) and manifest.chunks_per_class["rest"] == (1, 0, 0)
    assert manifest.chunks_per_class["val"] == (0, 5, 0) and manifest.chunks_per_class["noise"] == (1, 0, 0)
    assert {part: manifest.num_recordings[part] for part in ("train", "val", "noise")} == {
        "train": 2, "val": 1, "noise": 1,
    }  # fmt: skip
    assert manifest.selected_for_refit.chunks_per_class == (2, 9, 0)
    assert "v1.wav: it clicks" in caplog.text and "class c has no training chunk" in caplog.text
    assert [(r.recording_id, result[:4]) for r, result in found.table_entries()] == [
        ("t1", (9.0, 3, 2, 1)), ("t2", (9.0, 4, 4, 0)), ("v1", (9.0, 5, 5, 0)),
    ]  # fmt: skip


def test_only_shards_with_more_chunks_than_the_cap_are_cut(monkeypatch):
    cut = []

    def record(task, result, selected):
        cut.append((task.name, selected.limits[0]))
        return result

    monkeypatch.setattr(worker, "cut", record)
    for cap, expected in ((0, []), (5, []), (4, ["train-0"])):
        cut.clear()
        _outcome(_converted("t1", {"a": 3}), _converted("t2", {"a": 2}), _converted("v1", {"a": 9}), cap=cap).cut()
        assert [name for name, _ in cut] == expected


def test_what_gives_no_chunk_is_listed_and_too_much_of_it_refused():
    found = _outcome(_converted("t1", {"a": 3}), _converted("t2", {}, reason="t2.wav is damaged"))
    assert found.skipped([("x.csv", "no table")], 0.5) == [
        {"file": "x.csv", "reason": "no table"}, {"file": "t2.wav", "reason": "t2.wav is damaged"},
    ]  # fmt: skip
    with pytest.raises(config.InputError, match=r"1 of 2 recordings gave no chunk .*=0\.4\), for example: t2.wav is"):
        found.skipped([], 0.4)
    found = _outcome(
        _converted("t1", {"a": 3}, reason="t1.wav ends early"), _converted("t2", {}, reason="t2.wav is empty")
    )
    with pytest.raises(config.InputError, match="for example: t2"):
        found.skipped([], 0.4)
