import pytest

from bird_tf.labels.layouts import raven
from tests.labels.layouts import example_sets

HEADER = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies\n"
TABLE = HEADER + "1\tWaveform 1\t1\t1.5\t2.5\t500\t4000\tparmaj\n2\tSpectrogram 1\t1\t0.25\t0.75\t500\t4000\tturmer\n"
SEQUENCE_HEADER = "Selection\tView\tBegin Time (s)\tEnd Time (s)\tBegin Path\tFile Offset (s)\tSpecies\tConfidence\n"
SEQUENCE = (
    SEQUENCE_HEADER + "1\tSpectrogram 1\t2.0\t5.0\tD:\\rec\\a.wav\t2.0\tParus major\t0.9\n"
    "2\tSpectrogram 1\t30.0\t33.5\tD:\\rec\\b.wav\t10.0\tTurdus merula\t0.4\n"
)


def test_selections_are_read(tmp_path):
    source = example_sets.source_of(tmp_path / "x.txt", TABLE)
    assert source.format == raven.NAME
    assert example_sets.spans_of(source) == [((), 1.5, 2.5, ("parmaj",)), ((), 0.25, 0.75, ("turmer",))]


def test_a_selection_of_a_sequence_is_at_its_offset_in_its_own_file(tmp_path):
    source = example_sets.source_of(tmp_path / "a.Table.1.selections.txt", SEQUENCE)
    assert example_sets.spans_of(source) == [
        (("D:\\rec\\a.wav",), 2.0, 5.0, ("Parus major",)),
        (("D:\\rec\\b.wav",), 10.0, 13.5, ("Turdus merula",)),
    ]
    assert [row.score for row in source.rows] == [0.9, 0.4]
    assert not any(row.or_namesake for row in source.rows)


def test_the_table_of_one_recording_may_also_mean_its_namesake(tmp_path):
    source = example_sets.source_of(tmp_path / "x.txt", "".join(SEQUENCE.splitlines(keepends=True)[:2]))
    assert source.rows[0].or_namesake


def test_a_sequence_without_offsets_is_refused(tmp_path):
    text = SEQUENCE.replace("File Offset (s)", "Notes")
    assert "File Offset (s)" in example_sets.source_of(tmp_path / "x.txt", text).problem


def test_a_table_without_selections_is_a_negative_recording(tmp_path):
    assert [row.labels for row in example_sets.source_of(tmp_path / "x.txt", HEADER).rows] == [example_sets.NEGATIVE]


@pytest.mark.parametrize("given", ["Bird", "Nobody,Bird", "x.txt:label=Bird"])
def test_the_column_of_the_species_can_be_given(tmp_path, given):
    text = TABLE.replace("Species", "Bird").replace("Channel", "Nobody").replace("\t1\t1.5", "\t\t1.5")
    text = text.replace("\t1\t0.25", "\t\t0.25")
    assert "which column holds the species?" in example_sets.source_of(tmp_path / "x.txt", text).problem
    table, _, column = given.rpartition(":label=")
    source = example_sets.source_of(tmp_path / "x.txt", text, columns=((table, "label", column),))
    assert [row.labels.species for row in source.rows] == [("parmaj",), ("turmer",)]


def test_a_column_of_another_name_with_recordings_names_them(tmp_path):
    header = "Selection\tBegin Time (s)\tEnd Time (s)\tFile\tSpecies\n"
    source = example_sets.source_of(tmp_path / "x.txt", header + "1\t0\t3\tx.wav\ta\n")
    assert source.rows[0].files == ("x.wav",) and source.rows[0].or_namesake
    source = example_sets.source_of(tmp_path / "x.txt", header + "1\t0\t3\tx.wav\ta\n2\t3\t6\ty.wav\tb\n")
    assert "a sequence of 2 recordings without File Offset (s)" in source.problem
    source = example_sets.source_of(tmp_path / "x.txt", header + "1\t0\t3\tmorning\ta\n2\t3\t6\tevening\tb\n")
    assert [row.files for row in source.rows] == [(), ()] and source.unused_columns == ("File",)


@pytest.mark.parametrize(
    ("columns_of_files", "begin", "end", "other"),
    [("Begin File\tEnd File", "a.wav", "b.wav", "b.wav"),
     ("Begin Path\tEnd File", "D:\\rec\\a.wav", "b.wav", "D:/rec/b.wav"),
     ("Begin File\tEnd File", "a.wav", "a.wav", ""), ("Begin Path\tEnd File", "D:\\rec\\a.wav", "a.wav", ""),
     ("Begin File\tEnd File", "a.wav", "", "")],
)  # fmt: skip
def test_a_selection_that_goes_on_into_the_next_recording_is_told_there(tmp_path, columns_of_files, begin, end, other):
    header = f"Selection\tBegin Time (s)\tEnd Time (s)\t{columns_of_files}\tFile Offset (s)\tSpecies\n"
    source = example_sets.source_of(tmp_path / "a.txt", header + f"1\t9\t18\t{begin}\t{end}\t9\tParus major\n")
    assert source.rows[0].labels.species == ("Parus major",) and not source.rows[0].problem
    assert [row.files for row in source.rows[1:]] == ([(other,)] if other else [])
    assert not other or "goes on into" in source.rows[1].problem
