from bird_tf.conversion import folds
from bird_tf.labels import verdicts
from bird_tf.records import manifests, shard_files
from tests.conftest import table
from tools import loop_records


def chunks_of(manifest, part):
    """{(recording id, start): (label, background)}."""
    found = {}
    for batch in shard_files.read(manifest, part, 64, ()) if manifest.num_chunks(part) else ():
        names = ("recording_id", "start_seconds", "label", "background")
        for recording_id, start, label, background in zip(*(batch[n].numpy() for n in names), strict=True):
            found[recording_id.decode(), float(start)] = (int(label), [int(i) for i in background if i >= 0])
    return found


def test_records_of_a_turn_hold_the_start_and_the_judged_chunks_with_the_labels_of_the_verdicts(manifest, tmp_path):
    ids = sorted({recording_id for recording_id, _ in chunks_of(manifest, "train")})
    start = folds.regroup(manifest, str(tmp_path / "start"), {ids[0]: "train"})
    (first, at), (second, then) = ((i, next(s for r, s in chunks_of(manifest, "train") if r == i)) for i in ids[1:3])
    a, b = manifest.classes.class_ids[:2]
    seconds = manifest.front_end.chunk_seconds
    given = [
        verdicts.Verdict(
            file=file, start_seconds=begin, end_seconds=begin + seconds, class_id=b, answer=answer, species=a
        )
        for file, begin, answer in (
            (first, at, "yes"),
            (first, at, "other"),
            (second, then, "no"),
            (ids[3], 0.0, "unsure"),
        )
    ]
    loop_records.write_judged(manifest, start, given, str(tmp_path / "next"))
    written = manifests.load(str(tmp_path / "next"))
    assert chunks_of(written, "train") == {**chunks_of(start, "train"), (first, at): (1, [0])}
    assert chunks_of(written, "noise") == {**chunks_of(start, "noise"), (second, then): (0, [])}
    rows = {row["recording_id"]: row for row in table(tmp_path / "next" / manifests.RECORDINGS)}
    labels = {recording_id: row["label"] for recording_id, row in rows.items()}
    assert {*labels} == {*ids[:3]} and labels[first] in (a, b) and not labels[second]
    assert (rows[first]["background"], rows[first]["annotated"]) == ("".join({a, b} - {labels[first]}), "in part")
    assert rows[ids[0]]["annotated"] == "whole"
