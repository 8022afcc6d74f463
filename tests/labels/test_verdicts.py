import pytest

from bird_tf import config
from bird_tf.labels import verdicts

HEADER = "file,start_seconds,end_seconds,class_id,verdict,remark\n"


def test_verdicts_are_read_and_the_last_one_on_a_span_counts(tmp_path):
    rows = ["a/x.wav,1,2,aa,no,", "a/x.wav,1.0,2.0,aa,Yes,", "a/x.wav,1,2,bb,other,c", "ü y.wav,0,0.5,aa,unsure,"]
    (tmp_path / "v.csv").write_text("\ufeff" + HEADER + "\n".join(rows) + "\n", encoding="utf-8")
    found = verdicts.read(str(tmp_path / "v.csv"))
    assert [(v.file, v.start_seconds, v.class_id, v.is_present) for v in found] == [
        ("a/x.wav", 1.0, "aa", True), ("a/x.wav", 1.0, "bb", False), ("ü y.wav", 0.0, "aa", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "row", [",1,2,aa,yes", "x.wav,2,2,aa,yes", "x.wav,,2,aa,yes", "x.wav,1,2,,yes", "x.wav,1,2,aa,maybe", "x.wav"]
)
def test_rows_that_cannot_be_read_are_named(tmp_path, row):
    (tmp_path / "v.csv").write_text(HEADER + row + "\n")
    with pytest.raises(config.InputError, match=r"v\.csv, line 2: need file"):
        verdicts.read(str(tmp_path / "v.csv"))
