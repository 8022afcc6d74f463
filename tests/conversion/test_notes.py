import pytest

from bird_tf import config
from bird_tf.conversion import notes


def test_the_last_note_is_read(tmp_path):
    path = str(tmp_path / "new" / "x.now")
    assert notes.read(path) == ""
    with notes.writing(path) as note:
        assert notes.read(path) == ""  # none is begun
        for recording_id in ("a long id of a recording é", "b", "with\na line", 'a "quoted" one', ""):
            note(recording_id)
            assert notes.read(path) == recording_id


def test_the_note_stays_after_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt), notes.writing(str(tmp_path / "x.now")) as note:
        note("a")
        raise KeyboardInterrupt
    assert notes.read(str(tmp_path / "x.now")) == "a"


@pytest.mark.parametrize("content", ["abc\n", '"abc', "[1]\n", "1\n"])
def test_a_damaged_note_is_named(tmp_path, content):
    (tmp_path / "x.now").write_text(content)
    with pytest.raises(config.InputError, match=r"x\.now: no note of a recording"):
        notes.read(str(tmp_path / "x.now"))
