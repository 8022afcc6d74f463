import dataclasses
import math

import pytest

from bird_tf import csv_files
from bird_tf.labels import metadata
from bird_tf.records import recordings_table


def test_round_trip_without_recordings_that_gave_no_chunk(tmp_path):
    known = metadata.Recording(
        recording_id="7", path="/root/a/x.wav", label="parmaj", name="Parus major", author="s1", split="train",
        latitude=-3.25, longitude=-70.125, elevation=120.0, day_of_year=366.0, hour=6.1,
        utc_offset_hours=-4.5,
    )  # fmt: skip
    unknown = metadata.Recording(recording_id="8", path="/root/y.wav", label="sit", name="Sitta", split="val")
    unused = metadata.Recording(recording_id="9", path="/root/z.wav", label="sit", name="Sitta", split="train")
    recordings_table.write(
        str(tmp_path),
        "/root",
        [(known, (3.0, 5, 2, 1, "", "")), (unknown, (1.0, 1, 0, 0, "", "")), (unused, (1.0, 1, 0, 1, "", "noise"))],
    )
    first, second = recordings_table.read(str(tmp_path))
    assert (first.path, first.label, first.author, first.split) == ("a/x.wav", "parmaj", "s1", "train")
    for name in ("latitude", "longitude", "elevation", "day_of_year", "hour", "utc_offset_hours"):
        assert getattr(first, name) == pytest.approx(getattr(known, name))
        assert math.isnan(getattr(second, name))
    assert [r.recording_id for r in recordings_table.read(str(tmp_path), with_unused=True)] == ["7", "8", "9"]


def test_in_tables_of_earlier_versions_place_and_time_are_unknown(tmp_path):
    (tmp_path / "recordings.csv").write_text(
        "recording_id,file,split,label,name,author,seconds,chunks,noise_chunks,skipped\n1,a.wav,train,x,X,,2,1,0,\n"
    )
    [recording] = recordings_table.read(str(tmp_path))
    assert math.isnan(recording.latitude) and recording.label == "x"
    assert recordings_table.read(str(tmp_path / "nowhere")) == []


def test_a_conversion_writes_place_and_time_of_the_metadata(manifest):
    recordings = recordings_table.read(manifest.directory)
    assert sum(r.split == "train" for r in recordings) == manifest.num_recordings["train"]
    assert {(r.latitude, r.longitude, r.hour) for r in recordings} == {(50.8, 12.9, 6.5)}


def test_it_tells_what_labels_are_of(tmp_path):
    whole = metadata.Recording(recording_id="1", path="/root/x.wav", label="sit")
    of_span = metadata.Annotation(start_seconds=0.0, end_seconds=1.0, label="sit")
    timed = dataclasses.replace(whole, annotations=(of_span,))
    judged = dataclasses.replace(timed, partly_annotated=True)
    recordings_table.write(str(tmp_path), "/root", [(r, (1.0, 1, 1, 0, "", "")) for r in (whole, timed, judged)])
    rows = csv_files.read(str(tmp_path / "recordings.csv"), ("annotated",))
    assert [row.cells["annotated"] for row in rows] == ["whole", "in time", "in part"]


def test_it_tells_the_species_of_recordings_whose_labels_have_times(tmp_path):
    whole = metadata.Recording(recording_id="1", path="/root/x.wav", label="sit", background=("Parus major",))
    of_span = metadata.Annotation(start_seconds=0.0, end_seconds=1.0, label="sit")
    timed = dataclasses.replace(whole, recording_id="2", annotations=(of_span,), background=("parmaj", "Turdus merula"))
    recordings_table.write(str(tmp_path), "/root", [(r, (1.0, 1, 1, 0, "", "")) for r in (whole, timed)])
    assert recordings_table.annotated(str(tmp_path)) == {"2": ("sit", ["parmaj", "Turdus merula"])}
    assert recordings_table.annotated(str(tmp_path / "nowhere")) == {}


def test_records_are_the_same_if_all_that_decides_is(manifest, tmp_path):
    copy = dataclasses.replace(manifest, directory=str(tmp_path))
    [*rows] = csv_files.read(f"{manifest.directory}/recordings.csv", ("recording_id",))
    tables = [dict(row.cells) for row in rows]

    def identity(changed, columns=tuple(tables[0])):
        csv_files.write(str(tmp_path / "recordings.csv"), columns, [[row[c] for c in columns] for row in changed])
        return recordings_table.identity(copy)

    unrelated = {"file": "b.wav", "name": "x", "seconds": "7", "skipped": "why", "latitude": "50.800"}
    unrelated["background_known"] = tables[0]["background_known"].upper()  # as spreadsheets write it
    columns = tuple(reversed(tables[0]))
    assert tables[0]["latitude"] == "50.8" and tables[0]["seconds"] != "7"
    assert identity([row | unrelated for row in reversed(tables)], columns) == recordings_table.identity(manifest)
    others = {
        name: identity([tables[0] | {name: value}, *tables[1:]])["recordings.csv"]
        for name, value in {"author": "Ann", "site": "S1", "date": "2020-05-01", "hour": "7", "split": "x"}.items()
    }
    assert len({recordings_table.identity(manifest)["recordings.csv"], *others.values()}) == 1 + len(others)
    (tmp_path / "recordings.csv").unlink()
    assert recordings_table.identity(copy)["content"] == manifest.digest
