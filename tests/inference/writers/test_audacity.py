import re

from bird_tf.labels import taxonomy


def test_label_tracks_follow_the_rules_of_audacity(tmp_path, write):
    """No header; start, end, label between tabs; times with a point; start <= end; the label is the species."""
    write(format="audacity")
    lines = (tmp_path / "here" / "x.labels.txt").read_text().splitlines()
    assert len(lines) == 3
    for line in lines:
        start, end, label = line.split("\t")
        assert re.fullmatch(r"\d+\.\d{6}", start) and re.fullmatch(r"\d+\.\d{6}", end)
        assert float(start) <= float(end) and label
    assert lines[:2] == ["0.000000\t2.000000\tAvis alba", '1.000000\t3.000000\tButeo "b", brevis']
    assert (tmp_path / "there" / "x.labels.txt").exists()


def test_classes_of_one_name_are_told_apart_by_their_ids(tmp_path, write):
    write(format="audacity", classes=taxonomy.Taxonomy(("aaaaaa", "bbbbbb"), ("Avis alba", "Avis alba")))
    labels = [line.split("\t")[2] for line in (tmp_path / "here" / "x.labels.txt").read_text().splitlines()]
    assert labels == ["aaaaaa", "bbbbbb", "aaaaaa"]
