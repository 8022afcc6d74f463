import re


def test_label_tracks_follow_the_rules_of_audacity(tmp_path, write):
    """No header; start, end, label between tabs; times with a point; start <= end; no further tab."""
    write(format="audacity")
    lines = (tmp_path / "x.labels.txt").read_text().splitlines()
    assert len(lines) == 3
    for line in lines:
        start, end, label = line.split("\t")
        assert re.fullmatch(r"\d+\.\d{6}", start) and re.fullmatch(r"\d+\.\d{6}", end)
        assert float(start) <= float(end) and label
    assert lines[0] == "0.000000\t2.000000\tAvis alba 0.90"
