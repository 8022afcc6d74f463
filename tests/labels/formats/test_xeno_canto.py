import json

import pytest

from bird_tf.labels.formats import xeno_canto
from tests.labels import example_sets

ENTRY = {
    "id": "123", "gen": "Parus", "sp": "major", "ssp": "", "en": "Great Tit", "rec": "Ann", "cnt": "Poland",
    "loc": "Gdansk", "lat": "54.35", "lng": "18.6", "alt": "20", "type": "song", "date": "2019-05-01", "time": "06:30",
    "also": ["Turdus merula", ""], "file": "https://xeno-canto.org/123/download",
}  # fmt: skip


@pytest.mark.parametrize(
    "content", [{"numRecordings": "1", "recordings": [ENTRY]}, [ENTRY], [{"recordings": [ENTRY]}], ENTRY]
)
def test_pages_lists_and_single_entries_are_read(tmp_path, content):
    source = example_sets.source_of(tmp_path / "page.json", json.dumps(content))
    assert source.format == xeno_canto.FORMAT.name
    assert example_sets.whole_labels(source) == [(("XC123", "123"), ("Parus major",))]
    about = source.rows[0].about
    assert (about.author, about.site, about.latitude, about.longitude, about.elevation, about.hour, about.date) == (
        "Ann", "Gdansk", 54.35, 18.6, 20.0, 6.5, "2019-05-01",
    )  # fmt: skip
    assert (about.background, about.background_known) == (("Turdus merula",), True)


def test_what_nobody_has_named_has_no_species(tmp_path):
    entries = [{**ENTRY, "gen": "Mystery", "sp": "mystery"}, {**ENTRY, "gen": "Sonus", "sp": "naturalis", "also": [""]}]
    source = example_sets.source_of(tmp_path / "page.json", json.dumps(entries))
    assert [(row.labels.species, row.labels.negative) for row in source.rows] == [((), False), ((), False)]
    assert not source.rows[1].about.background_known


def test_values_of_another_kind_are_unknown(tmp_path):
    entry = {**ENTRY, "lat": None, "rec": ["x"], "date": "2019-00-00", "time": "?", "id": 123, "also": "x"}
    about = example_sets.source_of(tmp_path / "page.json", json.dumps([entry])).rows[0].about
    assert (about.author, about.date, about.background) == ("", "", ())


def test_a_recording_on_two_pages_counts_once(tmp_path):
    pages = [{"recordings": [ENTRY]}, {"recordings": [{**ENTRY, "id": "124"}, ENTRY]}]
    source = example_sets.source_of(tmp_path / "pages.json", json.dumps(pages))
    assert [row.catalogue_numbers[1] for row in source.rows] == ["123", "124"]
