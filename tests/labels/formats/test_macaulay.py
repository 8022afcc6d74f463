from bird_tf.labels.formats import macaulay
from tests.labels import example_sets

HEADER = (
    "ML Catalog Number,Format,Common Name,Scientific Name,Background Species,Recordist,Date,Year,Month,Day,Time,"
    "Country,Locality,Latitude,Longitude\n"
)


def test_recordings_are_read(tmp_path):
    text = HEADER + "207166,Audio,Great Tit,Parus major,,Ann,,1990,5,14,0730,Poland,Moor,52.5,13.4\n"
    source = example_sets.source_of(tmp_path / "ML.csv", text)
    assert source.format == macaulay.FORMAT.name
    assert example_sets.whole_labels(source) == [(("ML207166", "207166"), ("Parus major",))]
    about = source.rows[0].about
    assert (about.author, about.site, about.latitude, about.date, about.hour) == (
        "Ann",
        "Moor",
        52.5,
        "1990-05-14",
        7.5,
    )


def test_a_row_without_number_costs_this_row(tmp_path):
    assert example_sets.source_of(tmp_path / "ML.csv", HEADER + ",,,Parus major,,,,,,,,,,,\n").rows[0].problem


def test_numbers_are_read_as_pandas_writes_them(tmp_path):
    text = "ML Catalog Number,Scientific Name\n5000.0,Parus major\n"
    assert "ML5000" in example_sets.source_of(tmp_path / "ML.csv", text).rows[0].catalogue_numbers
