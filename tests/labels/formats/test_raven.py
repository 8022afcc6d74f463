import pytest

from bird_tf.labels.formats import raven
from tests.labels import example_sets

HEADER = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies\n"
TABLE = HEADER + "1\tWaveform 1\t1\t1.5\t2.5\t500\t4000\tparmaj\n2\tSpectrogram 1\t1\t0.25\t0.75\t500\t4000\tturmer\n"
SEQUENCE_HEADER = "Selection\tView\tBegin Time (s)\tEnd Time (s)\tBegin Path\tFile Offset (s)\tSpecies\tConfidence\n"
SEQUENCE = (
    SEQUENCE_HEADER + "1\tSpectrogram 1\t2.0\t5.0\tD:\\rec\\a.wav\t2.0\tParus major\t0.9\n"
    "2\tSpectrogram 1\t30.0\t33.5\tD:\\rec\\b.wav\t10.0\tTurdus merula\t0.4\n"
)


def test_selections_are_read(tmp_path):
    source = example_sets.source_of(tmp_path / "x.txt", TABLE)
    assert source.format == raven.FORMAT.name
    assert example_sets.spans_of(source) == [((), 1.5, 2.5, ("parmaj",)), ((), 0.25, 0.75, ("turmer",))]


def test_an_empty_column_of_species_does_not_hide_a_filled_one(tmp_path):
    table = HEADER.replace("Species", "Species\tAnnotation") + "1\tSpectrogram 1\t1\t1.5\t2.5\t500\t4000\t\tparmaj\n"
    assert example_sets.spans_of(example_sets.source_of(tmp_path / "x.txt", table)) == [((), 1.5, 2.5, ("parmaj",))]


def test_a_selection_of_a_sequence_is_at_its_offset_in_its_own_file(tmp_path):
    source = example_sets.source_of(tmp_path / "a.Table.1.selections.txt", SEQUENCE)
    assert example_sets.spans_of(source) == [
        (("D:\\rec\\a.wav",), 2.0, 5.0, ("Parus major",)),
        (("D:\\rec\\b.wav",), 10.0, 13.5, ("Turdus merula",)),
    ]
    assert [row.score for row in source.rows] == [0.9, 0.4]
    assert not any(row.or_namesake for row in source.rows)


@pytest.mark.parametrize("given", [(), (("", "duration", "Delta Time (s)"),)])
def test_selections_end_after_their_length_if_the_table_has_no_end(tmp_path, given):
    header = "Selection\tView\tChannel\tBegin Time (s)\tDelta Time (s)\tBegin File\tFile Offset (s)\tSpecies\n"
    lines = "1\tSpectrogram 1\t1\t1.5\t0.5\ta.wav\t1.5\tparmaj\n2\tSpectrogram 1\t1\t30\t1,25\tb.wav\t10\tturmer\n"
    source = example_sets.source_of(tmp_path / "a.txt", header + lines, columns=given)
    assert source.unused_columns == ()
    assert example_sets.spans_of(source) == [
        (("a.wav",), 1.5, 2.0, ("parmaj",)),
        (("b.wav",), 10.0, 11.25, ("turmer",)),
    ]
    both = TABLE.replace("Low Freq (Hz)", "Delta Time (s)")  # the end counts, as ever
    spans = example_sets.spans_of(example_sets.source_of(tmp_path / "x.txt", both))
    assert spans == example_sets.spans_of(example_sets.source_of(tmp_path / "x.txt", TABLE))


def test_a_table_without_ends_and_lengths_says_which_columns_it_lacks(tmp_path):
    problem = example_sets.source_of(tmp_path / "x.txt", TABLE.replace("End Time (s)", "Peak Time (s)")).problem
    assert "selections without End Time (s) or Delta Time (s): add one of these columns" in problem


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
    assert source.rows[0].goes_on == bool(other)


PLACED = "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tSpecies\n"
MOVED = "contradict those of other selections"


def _starts(folder, name, lines, columns=()):
    """Where selections begin, or the beginning of the problem that they have."""
    table = PLACED + "".join(f"1\t{b}\t{float(b) + 1}\t{file}\t{offset}\ta\n" for file, b, offset in lines)
    found = example_sets.source_of(folder / name, table, columns=columns).rows
    return [row.problem.partition(";")[0][-len(MOVED) - 50 :] if row.problem else row.start_seconds for row in found]


@pytest.mark.parametrize(
    ("name", "lines", "moved"),
    [("a.Table.1.selections.txt", [("a.wav", "30.0", "10.000")], set()),
     ("a.txt", [("A.wav", 2, 0), ("A.wav", 3, 3)], {0}), ("b.txt", [("a.wav", "20.0", "0.000")], set()),
     ("a.txt", [("b.wav", 20, 5), ("b.wav", 25, 9), ("b.wav", 30, 15), ("b.wav", 20.1, 5.1)], {1}),
     ("x.txt", [("b.wav", 20, 5), ("b.wav", 22, 5)], {0, 1}), ("x.txt", [("b.wav", 1, 5)], {0}),
     ("x.txt", [("b.wav", "20.12345", "5.123"), ("b.wav", "21.0006", "6.001")], set())],
)  # fmt: skip
def test_a_selection_that_was_moved_outside_of_raven_is_not_used(tmp_path, name, lines, moved):
    found = _starts(tmp_path, name, lines)
    assert {i for i, start in enumerate(found) if isinstance(start, str)} == moved
    assert all(start == float(lines[i][2]) for i, start in enumerate(found) if i not in moved)


def test_the_only_selection_of_a_prediction_is_not_used_if_it_was_moved(tmp_path):
    header = PLACED.replace("Species", "Species\tClass\tConfidence")
    for begin, is_moved in (("0.0", False), ("2.0", True)):
        text = header + f"1\t{begin}\t3.5\ta.wav\t0.000\ta\ta\t0.9\n"
        [row] = example_sets.source_of(tmp_path / "a.Table.1.selections.txt", text).rows
        assert (MOVED in row.problem) == is_moved


def test_a_selection_without_offset_is_placed_as_the_others_of_its_recording(tmp_path):
    lines = [("a.wav", 2, 2), ("b.wav", 30, 10), ("b.wav", 35, ""), ("c.wav", 50, "")]
    assert _starts(tmp_path, "x.txt", lines) == [
        2, 10, 15, "no File Offset (s), while other selections of the sequence have it",
    ]  # fmt: skip
    assert _starts(tmp_path, "x.txt", [("a.wav", 2, ""), ("a.wav", 3, 3)]) == [2, 3]


def test_the_flag_says_that_begin_times_are_of_each_recording(tmp_path):
    columns = (("", "start", "Begin Time (s)"),)
    assert _starts(tmp_path, "a.txt", [("a.wav", 2, ""), ("b.wav", 3, "")], columns) == [2, 3]
    assert _starts(tmp_path, "a.txt", [("a.wav", 2, 0), ("b.wav", 3, 9)], columns) == [2, 3]
    table = PLACED + "1\t2\t3\ta.wav\t\ta\n1\t2\t3\tb.wav\t\ta\n"
    problem = example_sets.source_of(tmp_path / "x.txt", table).problem
    assert "a sequence of 2 recordings" in problem and "'--columns=start=Begin Time (s)' if these" in problem


def test_na_is_an_empty_cell(tmp_path):
    header = "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tEnd File\tSpecies\tCommon Name\n"
    text = header + "1\t0\t3\ta.wav\tNA\tParus major\tNA\n2\t3\t6\tNA\tNA\tParus major\tGreat Tit\n"
    first, second = example_sets.source_of(tmp_path / "a.txt", text).rows
    assert (first.files, first.common, first.problem) == (("a.wav",), "", "") and not first.goes_on
    assert second.files == () and second.or_namesake


@pytest.mark.parametrize("begin", ["?", "5-6", ""])
def test_an_end_without_a_begin_is_no_length(tmp_path, begin):
    line = f"3\tSpectrogram 1\t{begin}\t45.0\tD:\\rec\\b.wav\t14.0\tTurdus merula\t0.4\n"
    *_, row = example_sets.source_of(tmp_path / "a.Table.1.selections.txt", SEQUENCE + line).rows
    assert row.problem == f"'14.0' and {begin!r} are not times in seconds" and not row.has_span
