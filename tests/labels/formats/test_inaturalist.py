from bird_tf.labels.formats import inaturalist
from tests.labels import example_sets


def test_observations_are_read(tmp_path):
    text = (
        "id,observed_on,time_observed_at,user_login,quality_grade,url,sound_url,place_guess,latitude,longitude,"
        "scientific_name,common_name\n"
        "77,2023-05-31,2023-05-31 05:30:00 UTC,ann,research,https://www.inaturalist.org/observations/77,"
        "https://static.inaturalist.org/sounds/9000.m4a?1685,Moor,52.5,13.4,Parus major,Great Tit\n"
    )
    source = example_sets.source_of(tmp_path / "observations-1.csv", text)
    assert source.format == inaturalist.FORMAT.name
    assert example_sets.whole_labels(source) == [(("9000", "77"), ("Parus major",))]
    about = source.rows[0].about
    assert (about.author, about.site, about.latitude, about.date, about.hour) == (
        "ann",
        "Moor",
        52.5,
        "2023-05-31",
        5.5,
    )
    assert not about.background_known


def test_times_are_universal_with_their_date(tmp_path):
    text = (
        "id,observed_on,time_observed_at,scientific_name\n"
        "1,2023-05-01,2023-05-02 04:30:00 UTC,Parus major\n"
        "2,2023-05-01,2023-05-01 21:30:00 -0700,Parus major\n"
        "3,2023-05-01,,Parus major\n"
    )
    told = [row.about for row in example_sets.source_of(tmp_path / "observations-1.csv", text).rows]
    assert [about.date for about in told] == ["2023-05-02", "2023-05-01", "2023-05-01"]
    assert told[0].start.timestamp() == told[1].start.timestamp() and told[1].hour == 21.5
    assert told[2].start is None


def test_numbers_are_read_as_pandas_writes_them(tmp_path):
    text = "id,observed_on,scientific_name\n77.0,2023-05-01,Parus major\n"
    assert example_sets.source_of(tmp_path / "o.csv", text).rows[0].catalogue_numbers == ("77.0", "77")
