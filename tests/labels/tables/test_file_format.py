import pytest

from bird_tf.labels import texts
from bird_tf.labels.formats import formats
from bird_tf.labels.tables import file_format, rows
from tests.labels import example_sets


def _read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    return [
        rows.labelled(rows.Row(where=rows.where(document, number), files=(cells[0],)), cells[1], options)
        for number, cells in document.lines[1:]
    ]


def _format(**fields):
    return file_format.Format(name="mine", suffixes=(".mine",), recognise=lambda *_: True, read=_read, **fields)


@pytest.mark.parametrize(
    ("fields", "may_deny"),
    [({"has_header": True}, True), ({"has_header": True, "taken": {"present": ()}}, True),
     ({"has_header": True, "taken": {}}, False), ({}, False)],
)  # fmt: skip
def test_a_new_table_has_what_all_tables_have(tmp_path, monkeypatch, fields, may_deny):
    mine = _format(**fields)
    monkeypatch.setattr(formats, "FORMATS", (mine,))
    lines = "recording,species,correct\nx.wav,a,yes\nx.wav,a,yes\ny.wav,b,no\n"
    source = example_sets.source_of(tmp_path / "t.mine", lines)
    assert source.format == "mine" and mine.may_deny == may_deny
    assert len(source.rows) == (2 if mine.has_header else 3)
    assert source.rows[-1].labels.species == (() if may_deny else ("b",))


def test_columns_that_a_format_does_not_take_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "FORMATS", (_format(has_header=True, taken={"label": (), "file": ("recording",)}),))
    for what, column, is_refused in (("file", "species", True), ("file", "recording", False), ("label", "x", False)):
        text = "recording,species\nx.wav,a\n"
        problem = example_sets.source_of(tmp_path / "t.mine", text, columns=(("", what, column),)).problem
        assert ("it may tell label;" in problem) == is_refused
