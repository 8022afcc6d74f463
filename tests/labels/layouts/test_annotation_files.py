import pytest

from bird_tf import config
from bird_tf.labels.layouts import annotation_files


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "neither a Raven"),
        ("Dear all\n", "neither a Raven"),
        ("a\tb\tc\n", "not times in seconds"),
        ("5\t4\tx\n", "after its start"),
        ("0\tnan\tx\n", "after its start"),
        ("0\tinf\tx\n", "after its start"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path, text, words):
    (tmp_path / "x.txt").write_text(text)
    with pytest.raises(config.InputError, match=words):
        annotation_files.read_file(str(tmp_path / "x.txt"), {})


def test_text_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "x.txt").write_bytes("0\t1\tKäuzchen\n".encode("latin-1"))
    with pytest.raises(config.InputError, match="not UTF-8"):
        annotation_files.read_file(str(tmp_path / "x.txt"), {})
