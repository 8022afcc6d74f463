import pytest

from bird_tf import config
from bird_tf.labels import given_table
from tests import damage

TABLE = "class_id,frequency,remark\nparmaj,0.5,\nturmer,1,x\n"


def _file(folder, content):
    path = folder / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


@pytest.mark.parametrize(
    "content",
    [
        TABLE,
        TABLE.encode("utf-16"),
        "sep=;\nFrequency;CLASS_ID\n0,5;parmaj\n1;  turmer\u200b\n",
        "\ufefffrequency\tclass_id\n.5\tparmaj\n1e0\tturmer\n",
        "class_id,frequency\nparmaj,0.5,,\nturmer,1\n",
    ],
)
def test_tables_are_read_as_people_save_them(tmp_path, content):
    rows = list(given_table.read(_file(tmp_path, content), "occurrence", ("class_id", "frequency")))
    assert [(row.text("class_id"), row.number("frequency", 0, 1)) for row in rows] == [("parmaj", 0.5), ("turmer", 1)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "an empty table"),
        ("a,b\n1,2\n", "need the column class_id"),
        ("class_id,class_id,frequency\n", "need the column class_id, once"),
        ("class_id,frequency\na,1,2\n", "line 2: 3 cells, but 2 columns"),
        (
            "class_id,frequency\na,٣\n",
            "line 2: frequency must be a number from 0 to 1, not '.u0663'; correct",
        ),
        ("class_id,frequency\na,2\n", "line 2: frequency must be"),
        ("class_id,frequency\n,1\n", "line 2: class_id is missing"),
    ],
)
def test_what_is_no_such_table_is_refused_by_flag_and_line(tmp_path, content, message):
    with pytest.raises(config.InputError, match=rf"--occurrence=.*t\.csv.*{message}"):
        for row in given_table.read(_file(tmp_path, content), "occurrence", ("class_id", "frequency")):
            row.text("class_id")
            row.number("frequency", 0, 1)


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_the_header_of_a_table_that_was_joined_to_another_one_is_no_row(tmp_path, delimiter):
    def read(*lines):
        path = _file(tmp_path, "\n".join(lines).replace(",", delimiter))
        return [(row.line, row.text("class_id")) for row in given_table.read_own(path, ("class_id", "frequency"))]

    lines = TABLE.splitlines()
    assert read(*lines, *lines) == [(2, "parmaj"), (3, "turmer"), (5, "parmaj"), (6, "turmer")]
    assert read(*lines, f"\ufeff{lines[0]}", lines[1]) == [(2, "parmaj"), (3, "turmer"), (5, "parmaj")]
    # another header is told where its cells are read
    assert (4, "class_id") in read(*lines, "class_id,remark,frequency", "parmaj,,0.5")


def test_lists_have_a_name_a_line(tmp_path):
    path = _file(tmp_path, "\ufeffParus major\r\n\r\n# no species\r\n  Turdus\u00a0merula \r\n")
    assert given_table.lines(path, comment="#") == ["Parus major", "Turdus merula"]
    assert given_table.lines(path)[1] == "# no species"


@damage.counts
def test_no_damage_ends_in_anything_but_a_refusal(tmp_path, count):
    path = tmp_path / "t.csv"
    path.write_text(TABLE)

    def read():
        for row in given_table.read(str(path), "occurrence", ("class_id", "frequency")):
            assert 0 <= row.number("frequency", 0, 1) <= 1 or not row.cells["frequency"]
            assert row.text("class_id")

    damage.check_reader(path, read, count)
