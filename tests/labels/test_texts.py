import unicodedata

import pytest

from bird_tf import config, lines
from bird_tf.labels import texts


def _document(folder, content):
    path = folder / "x.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return texts.Document(str(path))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_text_is_read_in_the_encodings_that_people_have(tmp_path, encoding):
    text = "Datei;Art\r\nä.wav;Käuzchen\r\n"
    assert _document(tmp_path, text.encode(encoding)).text == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_recognised(tmp_path, encoding):
    assert _document(tmp_path, "file,label\na.wav,ä\n".encode(encoding)).header == ["file", "label"]


@pytest.mark.parametrize("content", [b"a\x00b,c\n", b"\x81\x8d\x8f", b"\xff\xfea", b"a\x1bb"])
def test_what_is_no_text_is_refused(tmp_path, content):
    with pytest.raises(config.InputError, match=r"x\.csv"):
        _ = _document(tmp_path, content).text


@pytest.mark.parametrize("content", [b"PK\x03\x04\x14\0", b"\xd0\xcf\x11\xe0\xa1\xb1"])
def test_a_spreadsheet_is_told(tmp_path, caplog, content):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(config.InputError, match=r"x\.csv: no text, but a spreadsheet or an archive; save"):
        _ = texts.Document(str(tmp_path / "x.csv")).lines
    assert not caplog.text


def test_a_file_that_is_too_large_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"0" * (1 << 21))
    with pytest.raises(config.InputError, match="larger than 1 MB"):
        texts.read_bytes(str(tmp_path / "x"), 1 << 20)
    with pytest.raises(config.InputError, match="cannot be read"):
        texts.read_bytes(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a,b\n1,2\n", [(1, ["a", "b"]), (2, ["1", "2"])]),
        ("sep=;\na;b\n\n1,5;2\n", [(2, ["a", "b"]), (4, ["1,5", "2"])]),
        ("a|b,c|d\n", [(1, ["a", "b,c", "d"])]),
        ('a,"b\nc"\nd,e\n', [(1, ["a", "b\nc"]), (3, ["d", "e"])]),
        ('a\t"b\t\r\n\n\t\t\n1\t\tc d\n', [(1, ["a", '"b', ""]), (4, ["1", "", "c d"])]),
        ('"a, b"\t"c ""d"""\n', [(1, ["a, b", 'c "d"'])]),
        ('"File\nname","Start\n(s)",b\n1,2,3\n', [(1, ["File\nname", "Start\n(s)", "b"]), (4, ["1", "2", "3"])]),
        ('\n"a\r\nb"; "c, d"\r\n1,5;2\r\n', [(2, ["a\r\nb", "c, d"]), (4, ["1,5", "2"])]),
        ('2\t5\t"5 m\n6\t7\ta,b,c,d"\n', [(1, ["2", "5", '"5 m']), (2, ["6", "7", 'a,b,c,d"'])]),
        ("", []),
    ],
)
def test_tables_are_divided_by_the_delimiter_of_their_first_line(tmp_path, text, lines):
    assert _document(tmp_path, text).lines == lines


@pytest.mark.parametrize("text", ['a,"b\nc,d\n', "a,b\n" + 200_000 * "x" + ",1\n", '"a"b,c\n', 200_000 * "x" + ",1\n"])
def test_what_is_no_table_is_refused(tmp_path, text):
    with pytest.raises(config.InputError, match="not a table"):
        _ = _document(tmp_path, text).lines


@pytest.mark.parametrize(
    ("text", "line"),
    [('a,b\n1,"5 m high\n2,"near"\n', 2), ('sep=,\na,b\n1,"x\ny"\n2,"5 m\n3,c\n', 5), ('a,"b\n1,2\n', 1),
     ('a,b\n1,"5 m\n' + 100_000 * "1,2\n", 2)],
)  # fmt: skip
def test_a_row_with_an_open_quotation_mark_is_named(tmp_path, text, line):
    with pytest.raises(config.InputError, match=rf"x\.csv, line {line}: not a table"):
        _ = _document(tmp_path, text).lines


@pytest.mark.parametrize("text", ["{", "[" * 100_000 + "]" * 100_000, "1" * 5000, "NaNa"])
def test_what_is_no_json_is_refused(tmp_path, text):
    with pytest.raises(config.InputError, match="not JSON"):
        _ = _document(tmp_path, text).json


def test_cells_are_cleaned_of_what_nobody_sees():
    decomposed = unicodedata.normalize("NFD", "Käuzchen")
    assert texts.clean(f" \ufeff{decomposed}\u200b \t\u00a0x\u202e ") == "Käuzchen x"
    assert texts.comparable(decomposed) == texts.comparable("KÄUZCHEN")


def test_equal_cells_of_a_table_are_kept_once(tmp_path):
    (tmp_path / "t.csv").write_text("file,start\n" + "long_name.wav,1.25\n" * 3)
    [_, first, _, last] = [cells for _, cells in texts.Document(str(tmp_path / "t.csv")).lines]
    assert first == last and all(a is b for a, b in zip(first, last, strict=True))


def test_what_would_need_too_much_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MOST", 3)
    monkeypatch.setattr(lines, "LONGEST", 20)
    document = _document(tmp_path, "a,b\n" * 4)
    for read in (lambda: document.lines, lambda: list(document.rows()), lambda: list(document.each_line())):
        with pytest.raises(config.InputError, match=r"more than 3 lines; is it a"):
            read()
    monkeypatch.setattr(lines, "MOST", 30)
    for text in ("a,b\n" + "," * 21, 'a,"' + "b\n" * 9 + '"'):
        with pytest.raises(config.InputError, match="longer than 20 characters; is it a table"):
            _ = _document(tmp_path, text).lines


def test_signs_that_nobody_sees_are_found():
    assert [texts.hidden(text) for text in ("a b", "a\u200bb", "\x00", "\u202e")] == ["", "\u200b", "\x00", "\u202e"]


def test_lines_of_two_encodings_are_each_read_in_their_own(tmp_path, caplog):
    path = tmp_path / "t.csv"
    path.write_bytes("grün,Grünfink\n".encode() + "Vögel,b\n".encode("cp1252") + b"c,d\n")
    assert texts.Document(str(path)).lines == [(1, ["grün", "Grünfink"]), (2, ["Vögel", "b"]), (3, ["c", "d"])]
    assert "1 lines are read as Windows-1252, as in 'Vögel'" in caplog.text


@pytest.mark.parametrize(
    ("text", "misfits"),
    [("1,2,3\n1,2,3\n", []), ("1,2,3,x\n1,2,3\n", [2]), ("1,2,3,\n1,2,,\n", []), ("1,2,3,,\n1,2,,\n", []),
     ("1,2,3,\n1,2,3\n", []), ("1,2,3,\n1,2,\n", []), ("1,2,3,\n1,2\n", []), ("1,2,3,,\n", []), ("1,2\n", []),
     ("1,2,3,x\n1,2,3,\n", [2]), ("", [])],
)  # fmt: skip
def test_lines_of_more_cells_than_the_first_one_do_not_fit_unless_the_others_are_empty(tmp_path, text, misfits):
    assert list(_document(tmp_path, f"a,b,c\n{text}").misfits) == misfits


def test_a_header_that_lacks_a_name_is_told(tmp_path):
    lacking, others = "3 cells, but the first line has 2; so have all: name each column", "add the line end"
    assert _document(tmp_path, "a,b\n1,2,3\n2,3,4\n").misfits[3].startswith(lacking)
    for text in ("1,2,3\n2,3\n", "1,2,3\n", "1,2,3\n2,3,4,5\n"):
        assert others in _document(tmp_path, f"a,b\n{text}").misfits[2]
