import pytest

from bird_tf import lines


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_lines_keep_their_ends_and_lose_the_mark(end):
    text = f"a{end}b\u2028c{end}"
    assert list(lines.each(b"\xef\xbb\xbf" + text.encode())) == [f"a{end}", f"b\u2028c{end}"]
    assert list(lines.each(b"")) == []


def test_too_many_and_too_long_lines_are_told(monkeypatch):
    monkeypatch.setattr(lines, "MOST", 3)
    monkeypatch.setattr(lines, "LONGEST", 10)
    assert len(list(lines.each(b"a\n" * 3))) == 3
    with pytest.raises(lines.TooLargeError, match="more than 3 lines"):
        list(lines.each(b"a\n" * 4))
    assert len(list(lines.each(b"a\n" * 4, 4))) == 4
    with pytest.raises(lines.TooLargeError, match="line 2 is longer than 10 characters"):
        list(lines.each(b"a\n" + b"a" * 11))


def test_an_open_quotation_mark_swallows_no_more_than_a_row(monkeypatch):
    monkeypatch.setattr(lines, "LONGEST", 10)
    closed = ['"abc\n', 'def"\n', "ghi\n"] * 3
    assert list(lines.of_rows(closed)) == closed
    with pytest.raises(lines.TooLargeError, match="row that ends after line 3 is longer than 10"):
        list(lines.of_rows(['"abc\n', "def\n", "ghi\n"]))


def test_what_is_no_unicode_is_told():
    with pytest.raises(lines.NotUnicodeError, match=r"not UTF-8 text after line 0 \(invalid start byte\)"):
        list(lines.each(b"a\n\xff\n"))
