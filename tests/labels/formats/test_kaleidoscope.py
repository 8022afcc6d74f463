import math

import pytest

from bird_tf.labels.formats import kaleidoscope
from bird_tf.labels.tables import columns
from tests.labels import example_sets

TABLE = """INDIR,FOLDER,IN FILE,CHANNEL,OFFSET,DURATION,DATE,TIME,HOUR,AUTO ID*,MATCH RATIO,MANUAL ID
D:\\rec,A,x.wav,0,0,3,2023-05-01,05:00:00,5,Parus major,0.9,Turdus merula
D:\\rec,B,x.wav,0,1,2.5,2023-05-01,05:00:00,5,Parus major,0.7,
D:\\rec,,y.wav,0,1,2.5,2023-05-01,05:00:00,5,NoID,0.1,
D:\\rec,,y.wav,0,5,1,2023-05-01,05:00:00,5,Noise,0.1,
"""


def test_detections_are_read_and_the_manual_id_counts_more(tmp_path):
    source = example_sets.source_of(tmp_path / "id.csv", TABLE)
    assert source.format == kaleidoscope.FORMAT.name
    assert example_sets.spans_of(source) == [
        (("A/x.wav", "D:\\rec/A/x.wav"), 0.0, 3.0, ("Turdus merula",)),
        (("B/x.wav", "D:\\rec/B/x.wav"), 1.0, 3.5, ()),  # not reviewed
        (("D:\\rec/y.wav", "y.wav"), 1.0, 3.5, ()),
        (("D:\\rec/y.wav", "y.wav"), 5.0, 6.0, None),
    ]
    assert math.isnan(source.rows[0].score) and source.rows[1].score == 0.7


def test_where_nobody_has_reviewed_the_program_counts_and_where_some_have_the_rest_is_told(tmp_path, caplog):
    untouched = example_sets.source_of(tmp_path / "a.csv", TABLE.replace("Turdus merula", ""))
    assert [row.labels.species for row in untouched.rows] == [("Parus major",), ("Parus major",), (), ()]
    assert not caplog.text
    example_sets.source_of(tmp_path / "id.csv", TABLE)
    assert "1 detections are not used: their MANUAL ID is empty, and that of others is filled" in caplog.text
    assert "id.csv, line 3; if they count all the same, say '--columns=label=MANUAL ID,AUTO ID'" in caplog.text
    all_the_same = columns.parse(["label=MANUAL ID,AUTO ID"])
    source = example_sets.source_of(tmp_path / "id.csv", TABLE, columns=all_the_same)
    assert [row.labels.species for row in source.rows] == [("Turdus merula",), ("Parus major",), (), ()]


def test_the_column_of_the_species_can_be_given(tmp_path):
    source = example_sets.source_of(tmp_path / "id.csv", TABLE, columns=(("", "label", "AUTO ID*"),))
    assert source.rows[0].labels.species == ("Parus major",)


def test_a_distance_is_turned_into_a_score(tmp_path):
    text = "INDIR,FOLDER,IN FILE,OFFSET,DURATION,TOP1MATCH,TOP1DIST\nD,,x.wav,0,3,Parus major,0.25\n"
    assert example_sets.source_of(tmp_path / "cluster.csv", text).rows[0].score == 0.75


def test_birdnets_table_in_this_form_is_read(tmp_path):
    text = "INDIR,FOLDER,IN FILE,OFFSET,DURATION,scientific_name,common_name\nD,,x.wav,0,3,Parus major,Great Tit\n"
    assert example_sets.source_of(tmp_path / "k.csv", text).rows[0].labels.species == ("Parus major",)


def test_a_table_without_detections_is_a_negative(tmp_path):
    [row] = example_sets.source_of(tmp_path / "x.csv", TABLE.split("\n")[0] + "\n").rows
    assert row.labels == example_sets.NEGATIVE and not row.files


def test_a_table_without_species_is_refused(tmp_path):
    text = "INDIR,FOLDER,IN FILE,OFFSET,DURATION\nD,,x.wav,0,3\n"
    assert "which column holds the species?" in example_sets.source_of(tmp_path / "k.csv", text).problem


@pytest.mark.parametrize("cluster", ["cluster01", "Cluster 3", "marsh.cluster.007"])
def test_the_number_of_a_cluster_is_no_species(tmp_path, cluster, caplog):
    text = (
        "INDIR,FOLDER,IN FILE,OFFSET,DURATION,TOP1MATCH,TOP1DIST,MANUAL ID\n"
        f"D,,x.wav,0,3,{cluster},0.2,Parus major\nD,,x.wav,3,3,{cluster},0.2,\n"
    )
    source = example_sets.source_of(tmp_path / "cluster.csv", text)
    assert [row.labels.species for row in source.rows] == [("Parus major",), ()]
    assert not source.rows[1].labels.missing and not source.rows[1].labels.negative
    assert f"1 detections have no MANUAL ID and the name of a cluster, as {cluster}" in caplog.text
    given = columns.parse(["label=TOP1MATCH"])
    assert example_sets.source_of(tmp_path / "c.csv", text, columns=given).rows[1].labels.species == (cluster,)
    bird = text.replace("Parus major", "").replace(cluster, "Clusterbird")
    assert example_sets.source_of(tmp_path / "bird.csv", bird).rows[1].labels.species == ("Clusterbird",)
