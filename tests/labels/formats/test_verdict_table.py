import os

import pytest

from bird_tf.labels import verdicts
from bird_tf.labels.formats import verdict_table
from bird_tf.labels.layouts import reader
from tests.labels import example_sets

TABLE = """file,start_seconds,end_seconds,class_id,verdict,species,probability,band_lowest,band_size
s/x.wav,0.000,1.000,parmaj,yes,,0.9,,
s/x.wav,1.000,2.000,parmaj,no,,0.8,,
s/x.wav,2.000,3.000,parmaj,other,"Turdus, merula",0.7,0.5,12
s/x.wav,3.000,4.000,parmaj,other,,0.7,,
s/x.wav,4.000,5.000,parmaj,unsure,,0.7,,
t/x.wav,0.000,1.000,parmaj,no,,0.8,,
"""


def test_what_is_to_be_heard_becomes_labels_and_nothing_becomes_negative(tmp_path):
    source = example_sets.source_of(tmp_path / "verdicts.csv", TABLE)
    assert source.format == verdict_table.FORMAT.name
    assert example_sets.spans_of(source) == [
        (("s/x.wav",), 0.0, 1.0, ("parmaj",)),
        (("s/x.wav",), 1.0, 2.0, None),
        (("s/x.wav",), 2.0, 3.0, ("Turdus, merula",)),
        (("s/x.wav",), 3.0, 4.0, ()),
        (("t/x.wav",), 0.0, 1.0, None),
    ]
    assert [row.labels.stated for row in source.rows] == [True, True, True, False, True]  # denied, and no name for it


def test_the_shortest_table_of_verdicts_is_one_too(tmp_path):
    text = ",".join(verdicts.COLUMNS) + "\nx.wav,1,2,parmaj,Yes\n"
    assert example_sets.spans_of(example_sets.source_of(tmp_path / "v.csv", text)) == [
        (("x.wav",), 1.0, 2.0, ("parmaj",))
    ]


def test_rows_that_cannot_be_read_are_told(tmp_path):
    text = ",".join(verdicts.COLUMNS) + "\nx.wav,1,2,parmaj,perhaps\n"
    assert example_sets.source_of(tmp_path / "v.csv", text).problem.startswith("line 2: need a verdict")


def test_recordings_are_found_by_their_folder_and_are_partly_annotated(tmp_path):
    for folder in "st":
        example_sets.write_wav(tmp_path / "audio" / folder / "x.wav")
    path = example_sets.write_text(tmp_path / "verdicts.csv", TABLE)
    found, unmatched = reader.read(reader.SourceConfig(audio=str(tmp_path / "audio"), metadata=path))
    assert unmatched == [] and [r.partly_annotated for r in found] == [True, True]
    by_path = {r.path[-7:]: r for r in found}
    assert by_path["t/x.wav"].labels == () and by_path["t/x.wav"].annotations[0].negative
    assert by_path["s/x.wav"].annotations == (
        example_sets.annotation(0.0, 1.0, "parmaj"),
        example_sets.annotation(1.0, 2.0, "", negative=True),
        example_sets.annotation(2.0, 3.0, "Turdus, merula"),
    )


def test_what_a_person_types_is_one_name_or_none(tmp_path):
    text = ",".join((*verdicts.COLUMNS, "species")) + "\n" + "".join(
        f"x.wav,{i},{i + 1},parmaj,other,{species}\n" for i, species in enumerate(("noise", "?", "a;b", "-minus"))
    )  # fmt: skip
    read_rows = example_sets.source_of(tmp_path / "v.csv", text).rows
    assert [(row.labels.species, row.labels.negative) for row in read_rows[:2]] == [((), True), ((), False)]
    assert "rename the class" in read_rows[2].problem and read_rows[3].labels.absent == ("minus",)


def test_a_species_is_where_no_verdict_denies_it(tmp_path):
    text = ",".join((*verdicts.COLUMNS, "species")) + "\n" + "".join(f"x.wav,{row}\n" for row in (
        "0,4,parmaj,yes,", "3,6,parmaj,no,", "1,2,parmaj,other,turmer", "0,4,turmer,no,",
    ))  # fmt: skip
    source = example_sets.source_of(tmp_path / "v.csv", text.replace("0,4,turmer,no,", "8,9,turmer,no,"))
    read_rows = verdict_table.settled(source.rows)
    assert [(r.start_seconds, r.end_seconds, r.labels.species) for r in read_rows if not r.problem] == [
        (0.0, 1.0, ("parmaj",)), (2.0, 3.0, ("parmaj",)), (3.0, 6.0, ()), (1.0, 2.0, ("turmer",)), (8.0, 9.0, ()),
    ]  # fmt: skip
    read_rows = verdict_table.settled(example_sets.source_of(tmp_path / "w.csv", text).rows)
    # its last line leaves nothing of two spans
    assert [bool(r.problem) for r in read_rows] == [True, True, True, True]
    assert "contradict each other" in read_rows[0].problem and ", x.wav at 0 s" in read_rows[0].where


def test_names_of_noise_are_denied_by_nothing(tmp_path):
    text = ",".join((*verdicts.COLUMNS, "species")) + "\nx.wav,0,1,parmaj,no,\nx.wav,0,1,turmer,other,noise\n"
    source = example_sets.source_of(tmp_path / "v.csv", text)
    assert [row.problem for row in verdict_table.settled(source.rows)] == ["", ""]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("parmaj,yes,", "parmaj,other,"), ("parmaj,no,", "parmaj,yes,"), ("parmaj,yes,", "parmaj,other,turmer"),
        ("parmaj,other,a", "parmaj,other,b"), ("parmaj,no,", "parmaj,other,"), ("turmer,no,", "parmaj,yes,"),
    ],
)  # fmt: skip
def test_verdicts_of_several_tables_that_contradict_each_other_are_not_used(tmp_path, caplog, first, second):
    """As those of one table: a page saves a revised table under another name."""
    example_sets.write_wav(tmp_path / "audio" / "x.wav")
    header = ",".join((*verdicts.COLUMNS, "species"))
    for names in (("verdicts.csv", "verdicts (1).csv"), ("verdicts (1).csv", "verdicts.csv")):
        for name, said in zip(names, (first, second), strict=True):
            example_sets.write_text(tmp_path / "labels" / name, f"{header}\nx.wav,0,1,{said}\nx.wav,1,2,parmaj,yes,\n")
        source = reader.SourceConfig(audio=str(tmp_path / "audio"), metadata=str(tmp_path / "labels"))
        [found], left_out = reader.read(source)
        assert found.annotations == (example_sets.annotation(1.0, 2.0, "parmaj"),)
        assert len(left_out) == 2 and all("contradict each other" in reason for _, reason in left_out)
    assert "each adds its own" not in caplog.text


def test_a_recording_that_one_table_names_in_two_ways_is_one(tmp_path):
    """Two people predicted with different folders as --audio, and joined their verdicts."""
    example_sets.write_wav(tmp_path / "audio" / "new" / "x.wav")
    said = ["new/x.wav,0,1,parmaj,yes", "x.wav,0,1,parmaj,no", "x.wav,1,2,parmaj,yes"]
    path = example_sets.write_text(tmp_path / "v.csv", "\n".join([",".join(verdicts.COLUMNS), *said]))
    [found], left_out = reader.read(reader.SourceConfig(audio=str(tmp_path / "audio"), metadata=path))
    assert found.annotations == (example_sets.annotation(1.0, 2.0, "parmaj"),)
    assert [reason.partition(":")[0] for _, reason in left_out] == ["verdicts on this time contradict each other"] * 2


def test_verdicts_count_before_what_a_machine_says_with_a_score(tmp_path, caplog):
    example_sets.write_wav(tmp_path / "audio" / "x.wav")
    said = ["0,1,parmaj,no", "3,4,parmaj,other", "6,7,turmer,other", "9,10,parmaj,yes", "12,13,parmaj,unsure"]
    text = "\n".join([",".join(verdicts.COLUMNS), *(f"x.wav,{each}" for each in said)])
    example_sets.write_text(tmp_path / "labels" / "v.csv", text)
    spans = ("0,1", "2,5", "6,7", "9,10", "12,13")
    table = ["file,start_seconds,end_seconds,class_id,name,probability"]
    table += [f"x.wav,{span},parmaj,Parus major,0.9" for span in spans]
    raven = ["Selection,Begin Time (s),End Time (s),Species,Class,Confidence"]
    raven += [f"{i},{span},Parus major,parmaj,0.9" for i, span in enumerate(spans)]
    for name, text in (
        ("detections.csv", "\n".join(table)), ("x.Table.1.selections.txt", "\n".join(raven).replace(",", "\t")),
    ):  # fmt: skip
        path = example_sets.write_text(tmp_path / "labels" / name, text)
        source = reader.SourceConfig(audio=str(tmp_path / "audio"), metadata=str(tmp_path / "labels"))
        [found], left_out = reader.read(source)
        told = sorted({(a.start_seconds, a.end_seconds) for a in found.annotations if a.label})
        assert told == [(2.0, 3.0), (4.0, 5.0), (6.0, 7.0), (9.0, 10.0), (12.0, 13.0)] and found.partly_annotated
        assert [reason for _, reason in left_out] == ["a verdict says that this species is not there"]
        os.remove(path)
    # a person's label without a score stands beside a verdict, and a warning tells of it
    example_sets.write_text(tmp_path / "labels" / "a.csv", "file,start,end,species\nx.wav,0,1,parmaj\n")
    [found], _ = reader.read(source)
    assert found.annotations[0].label == "" and found.annotations[1].label == "parmaj"
    assert "a.csv says parmaj, and verdicts says that no species is there" in caplog.text


@pytest.mark.parametrize(("name", "is_told"), [("north/x.wav", False), ("x.wav", True)])
def test_tables_of_turns_in_folders_of_their_own_are_not_told_as_those_of_sites(tmp_path, caplog, name, is_told):
    example_sets.write_wav(tmp_path / "audio" / "new" / "north" / "x.wav")
    for i, folder in enumerate(("turn1", "turn2")):
        text = f"{','.join(verdicts.COLUMNS)}\n{name},{i},{i + 1},parmaj,yes\n"
        example_sets.write_text(tmp_path / "labels" / folder / "verdicts.csv", text)
    source = reader.SourceConfig(audio=str(tmp_path / "audio"), metadata=str(tmp_path / "labels"))
    assert len(reader.read(source)[0][0].annotations) == 2
    assert ("If they are sites" in caplog.text) == is_told


def test_verdicts_of_several_tables_deny_in_part_and_add_species(tmp_path, caplog):
    example_sets.write_wav(tmp_path / "audio" / "new" / "x.wav")
    header = ",".join((*verdicts.COLUMNS, "species"))
    for name, said in (("a.csv", "x.wav,0,2,parmaj,yes,"), ("b.csv", "new/x.wav,1,2,parmaj,other,turmer")):
        example_sets.write_text(tmp_path / "labels" / name, f"{header}\n{said}\n")
    example_sets.write_text(tmp_path / "labels" / "c.csv", f"{header}\nx.wav,0,2,strals,yes,\n")
    source = reader.SourceConfig(audio=str(tmp_path / "audio"), metadata=str(tmp_path / "labels"))
    [found], left_out = reader.read(source)
    told = [(each.start_seconds, each.end_seconds, each.label) for each in found.annotations]
    assert told == [(0.0, 1.0, "parmaj"), (0.0, 2.0, "strals"), (1.0, 2.0, "turmer")] and not left_out
    assert "say different species" not in caplog.text
