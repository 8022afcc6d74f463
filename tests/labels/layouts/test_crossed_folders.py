import json

import pytest

from bird_tf import config
from bird_tf.labels.formats import formats
from bird_tf.labels.layouts import crossed_folders, matching
from bird_tf.labels.tables import rows
from tests.labels import example_sets


def _refuse(folder, paths, sources=(), *, are_places=False):
    known = matching.Recordings([str(folder / f"{path}.wav") for path in paths], str(folder))
    crossed_folders.refuse(sources, known, {"species"}, "say so", are_places=are_places)


def _names(folders, pattern):
    species = (("Great Tit", "Parus major"), ("Blackbird", "Turdus merula"))
    found = [(folder, each) for folder in folders for each in species]
    return [f"{folder}/{pattern.format(i, *each)}" for i, (folder, each) in enumerate(found)]


XENO_CANTO, LATIN = "XC{0} - {1} - {2}", "{2}_{0}"


def test_folders_that_names_of_xeno_canto_cross_are_refused(tmp_path):
    with pytest.raises(config.InputError, match=r"as parus major in Hill and Lake: put .* say so$"):
        _refuse(tmp_path, _names(("Lake", "Hill"), XENO_CANTO))


@pytest.mark.parametrize("pattern", [LATIN, "20230501 {2}", "{1} - {2} ({0})"])
def test_folders_that_latin_names_cross_are_told_and_refused_if_they_are_called_as_places(tmp_path, caplog, pattern):
    _refuse(tmp_path, _names(("Lake", "Hill"), pattern))
    assert "names of recordings seem to tell other species than the folders, as parus major in" in caplog.text
    with pytest.raises(config.InputError, match="parus major in S1 and S2"):
        _refuse(tmp_path, _names(("S1", "S2"), pattern), are_places=True)


@pytest.mark.parametrize(
    "paths",
    [
        [f"{common}/XC{i} - {common} - {latin}" for i in range(3) for common, latin in
         (("Great Tit", "Parus major"), ("Blackbird", "Turdus merula"))],
        [f"{kind}/XC{i} - Great Tit - Parus major" for i in range(3) for kind in ("song", "call")],
        [f"{common} {kind}/{latin}_{i}" for i in range(3) for kind in ("song", "call") for common, latin in
         (("Tit", "Parus major"), ("Blackbird", "Turdus merula"))],
        [f"{folder}/{name} {i}" for i in range(3) for folder in ("Tit", "Jay") for name in
         ("Dawn chorus", "New recording", "Site one", "Voice memo", "Great Tit")],
        [*_names(("Lake", "Hill"), XENO_CANTO), *(f"Lake/{i}" for i in range(9))],
    ],
)  # fmt: skip
def test_folders_of_species_kinds_and_other_names_are_not_crossed(tmp_path, caplog, paths):
    _refuse(tmp_path, paths)
    assert not caplog.text


@pytest.mark.parametrize(
    ("field", "first", "second", "is_refused"),
    [("species", "AMRO", "EATO", True), ("bird_species", "AMRO", "EATO", True), ("recordist", "AMRO", "EATO", False),
     ("kind", "AMRO", "EATO", False), ("label", "male", "female", False)],
)  # fmt: skip
def test_folders_that_json_beside_recordings_crosses_are_refused(tmp_path, field, first, second, is_refused):
    told = {"Lake/a": first, "Lake/b": second, "Hill/c": first, "Hill/d": second}
    files = [
        example_sets.write_text(tmp_path / f"{name}.json", json.dumps({field: each})) for name, each in told.items()
    ]
    sources = [formats.read(file, rows.Options()) for file in files]
    if is_refused:
        with pytest.raises(config.InputError, match=r"JSON files tell other species .* as amro in Hill and Lake"):
            _refuse(tmp_path, told, sources)
    else:
        _refuse(tmp_path, told, sources)
