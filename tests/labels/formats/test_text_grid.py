import pytest

from bird_tf import config, lines
from bird_tf.labels import texts
from bird_tf.labels.formats import text_grid
from bird_tf.labels.tables import rows
from tests.labels import example_sets

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 6
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "species"
        xmin = 0
        xmax = 6
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 3.5
            text = "Parus ""major"" [1]"
        intervals [2]:
            xmin = 3.5
            xmax = 6
            text = ""
    item [2]:
        class = "TextTier"
        name = "notes"
        xmin = 0
        xmax = 6
        points: size = 1
        points [1]:
            number = 2
            mark = "?"
"""
SHORT = """File type = "ooTextFile"
"TextGrid"

0
6
<exists>
1
"IntervalTier"
"birds"
0
6
1
0
3.5
"Parus major"
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_the_long_form_is_read(tmp_path, encoding):
    source = example_sets.source_of(tmp_path / "a.TextGrid", LONG, encoding)
    assert source.format == text_grid.FORMAT.name
    assert example_sets.spans_of(source) == [((), 0.0, 3.5, ('Parus "major" [1]',))]


def test_the_short_form_is_read(tmp_path):
    source = example_sets.source_of(tmp_path / "a.TextGrid", SHORT)
    assert example_sets.spans_of(source) == [((), 0.0, 3.5, ("Parus major",))]


def test_the_tier_is_asked_for_if_there_are_several(tmp_path):
    text = LONG.replace('"species"', '"A"')
    assert "--columns=label=TIER" in example_sets.source_of(tmp_path / "a.TextGrid", text).problem
    source = example_sets.source_of(tmp_path / "a.TextGrid", text, columns=(("", "label", "A"),))
    assert len(source.rows) == 1


def test_empty_intervals_are_a_negative_recording(tmp_path):
    source = example_sets.source_of(tmp_path / "a.TextGrid", SHORT.replace("Parus major", " "))
    assert [row.labels for row in source.rows] == [example_sets.NEGATIVE]


def test_a_damaged_file_is_refused(tmp_path):
    assert "damaged" in example_sets.source_of(tmp_path / "a.TextGrid", SHORT[:-15]).problem


def test_a_tier_of_more_intervals_than_memory_takes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MOST", 1)
    (tmp_path / "x.TextGrid").write_text(LONG)
    with pytest.raises(config.InputError, match=r"x\.TextGrid: a tier of more than 1 intervals; save it in parts"):
        text_grid.read(texts.Document(str(tmp_path / "x.TextGrid")), rows.Options())


def test_tiers_of_one_name_count_together(tmp_path):
    head, tier = SHORT.split('"IntervalTier"')[0], '"IntervalTier"\n"{}"\n0\n6\n1\n0\n6\n"{}"\n'
    head = head.rstrip().rpartition("\n")[0] + "\n2\n"
    text = head + tier.format("species", "AMRO") + tier.format("species", "SOSP")
    source = example_sets.source_of(tmp_path / "a.TextGrid", text)
    assert example_sets.spans_of(source) == [((), 0.0, 6.0, ("AMRO",)), ((), 0.0, 6.0, ("SOSP",))]
    text = head + tier.format("", "AMRO") + tier.format("", "SOSP")
    assert example_sets.spans_of(example_sets.source_of(tmp_path / "a.TextGrid", text)) == example_sets.spans_of(source)
