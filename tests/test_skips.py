import logging

import pytest

from bird_tf import skips

SKIPS = [
    ("a b/x.wav", "a b/x.wav: cannot be decoded (Error opening 'a b/x.wav': Format not recognised.)"),
    ("a b/y.wav", "a b/y.wav: cannot be decoded (Error opening 'a b/y.wav': Format not recognised.)"),
    ("t.csv, line 12", "its recording 'z.wav' is not below the folder of recordings"),
    ("t.csv, line 13", "a span from 2.5 to 1 s: its end must be after its start"),
    ("t.csv, line 14", "a span from 7 to 6.25 s: its end must be after its start"),
    ("t.csv, line 15", "a span from 9 to 8 s: its end must be after its start"),
]


def test_every_line_names_file_and_reason():
    assert skips.named(SKIPS[0]).count("x.wav: cannot be decoded") == 1 and skips.named(SKIPS[0]).startswith("a b/x")
    assert skips.named(SKIPS[2]) == "t.csv, line 12: its recording 'z.wav' is not below the folder of recordings"


def test_reasons_are_counted_whatever_the_names_and_numbers_in_them():
    assert skips.counted(SKIPS) == [
        "3 x a span from … to … s: its end must be after its start",
        "2 x cannot be decoded (Error opening '…': Format not recognised.)",
        "1 x its recording 'z.wav' is not below the folder of recordings",
    ]
    same = [(name, "no chunk reaches 0.001; a lower one, as 0, uses it") for name in ("a.wav", "b.wav")]
    assert skips.counted(same) == ["2 x no chunk reaches 0.001; a lower one, as 0, uses it"]
    assert sum(map(len, skips.by_kind(SKIPS).values())) == len(SKIPS)


@pytest.mark.parametrize(
    ("reasons", "kind"),
    [
        (["/a/1.csv says b, and /a/2.csv says c", "/d/3.csv says b, and /d/4.csv says c"], "… says b, and … says c"),
        (["\"it's\" and 'x' are not times", "'' and '7 s' are not times"], "… and … are not times"),
        (["12 cells, but the header has 3", "4 cells, but the header has 3"], "… cells, but the header has …"),
    ],
)
def test_what_is_particular_is_no_part_of_the_kind(reasons, kind):
    assert list(skips.by_kind([("x", reason) for reason in reasons])) == [kind]


def test_many_reasons_do_not_flood_the_terminal():
    lines = skips.counted([(f"x{i}", "reason " + "abcdefghij"[i % 10] * (1 + i // 10)) for i in range(50)])
    assert len(lines) == 21 and lines[-1] == "30 for 30 other reasons"


def test_the_summary_names_the_table_that_lists_all(caplog):
    with caplog.at_level(logging.WARNING, logger="absl"):
        skips.log_summary([], "skipped.csv")
        assert not caplog.records
        skips.log_summary(SKIPS, "skipped.csv")
    assert caplog.messages[0].startswith("6 skipped (all in skipped.csv): 3 x a span from")
