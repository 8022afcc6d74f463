import dataclasses

import pytest

from bird_tf.labels import label_cells
from bird_tf.labels.tables import background, rows

COMMON = ("Great Tit", "Blackbird", "Robin", "Common Starling", "Downy Woodpecker")
LATIN = ("Parus major", "Turdus merula", "Erithacus rubecula")
BIRDNET = ("Turdus merula_Blackbird", "Parus major_Great Tit")
CODES = ("amecro", "bkcchi", "norcar")


def _settled(labels, cell, classes=()):
    """The background of a row, whether it is known, and what of it is not understood."""
    found = [rows.Row(where="x", labels=label_cells.parse(label)) for label in labels]
    listed, known = label_cells.background(cell)
    row = rows.Row(where="x", about=dataclasses.replace(rows.NOTHING, background=listed, background_known=known))
    row, foreign = background.Names(found, classes).of_background(row)
    return row.about.background, row.about.background_known, foreign


@pytest.mark.parametrize(
    ("labels", "cell", "species"),
    [
        (COMMON, "Blackbird/Robin", ("Blackbird", "Robin")), (COMMON, "Great Tit / Robin", ("Great Tit", "Robin")),
        (LATIN, "Turdus merula and Parus major", ("Turdus merula", "Parus major")),
        (LATIN, "Parus ater, Turdus merula und Parus major", ("Parus ater", "Turdus merula", "Parus major")),
        (LATIN, "Turdus merula - Parus major", ("Turdus merula", "Parus major")),
        (LATIN, "Turdus merula: Parus major", ("Turdus merula", "Parus major")),
        (LATIN, "Turdus merula • parus major", ("Turdus merula", "parus major")),
        (CODES, "amecro-bkcchi", ("amecro", "bkcchi")), (CODES, "amecro+bkcchi & norcar", CODES),
        (LATIN, "Blackbird (Turdus merula) and Robin (Erithacus rubecula)", ("Turdus merula", "Erithacus rubecula")),
        (COMMON, "Blue Tit", ("Blue Tit",)), (LATIN, "Larus canus; Parus ater", ("Larus canus", "Parus ater")),
        (("Black-and-white Warbler",), "Black-and-white Warbler", ("Black-and-white Warbler",)),
        (COMMON, "Black-and-white Warbler", ("Black-and-white Warbler",)),
    ],
)  # fmt: skip
def test_background_species_are_divided_if_every_part_is_of_the_set(labels, cell, species):
    assert _settled(labels, cell) == (species, True, [])
    assert _settled((), cell, labels)[1]  # of folders


@pytest.mark.parametrize(
    ("labels", "cell", "species"),
    [
        (LATIN, "Turdus merula and Sylvia atricapilla", ("Turdus merula", "Sylvia atricapilla")),
        (LATIN, "Parus major · Larus canus", ("Parus major", "Larus canus")),
        (("大山雀",), "大山雀、麻雀", ("大山雀", "麻雀")), (LATIN, "Certhia familiaris/brachydactyla", None),
        (LATIN, "Regulus regulus / Regulus ignicapilla", None), (COMMON, "Greater/Lesser Scaup", None),
        (COMMON, "Song Sparrow/Lincoln's Sparrow", None), (COMMON, "Common-Starling", ("Common Starling",)),
        (("Eagle-Owl", "Wood Pigeon"), "Eagle Owl, Woodpigeon", ("Eagle-Owl", "Wood Pigeon")),
        (BIRDNET, "Turdus merula", BIRDNET[:1]), (BIRDNET, "Blackbird; Great-Tit", BIRDNET),
        (BIRDNET, "Great Tit (Parus major)", BIRDNET[1:]),
        (BIRDNET, "Larus canus_Common Gull", ("Larus canus_Common Gull",)),
        (LATIN, "Turdus merula_Blackbird", ("Turdus merula",)), (LATIN, "Gull (Larus canus)", ("Larus canus",)),
    ],
)  # fmt: skip
def test_full_names_are_understood(labels, cell, species):
    expected = (species or (cell,), True, [])
    assert _settled(labels, cell) == expected
    assert _settled((), cell, labels) == expected


@pytest.mark.parametrize(
    ("labels", "cell"),
    [
        (("Myotis sp.", "Parus major"), "Myotis nattereri"), (("12", "1", "2"), "1 2"),
        (BIRDNET, "Common Blackbird"),  # it may be another name of a class
        (COMMON, "Blackbird/Siskin"), (LATIN, "Amsel u. Parus major"),
        (CODES, "bkcchi norcar"), (COMMON, "Downy/Hairy Woodpecker"), (COMMON, "Starling"), (LATIN, "Turdus sp."),
        (LATIN, "2x Turdus merula"), (LATIN, "Turdus merula intermedius"), (LATIN, "Turdus merula?"),
        (LATIN, "Turdus merula (?)"), (LATIN, "cf. Larus canus"), (LATIN, "Larus canus prob."), (COMMON, "unknown tit"),
        (COMMON, "?Siskin"), (LATIN, "Parus major / Larus canus"), (LATIN, "Turdus merula and Turdus sp."),
        (LATIN, "Certhia familiaris/merula"), (LATIN, "Larus canus/T. merula"), (COMMON, "Common/Spotless Starling"),
        (("Gartenbaumläufer",), "Garten-/Waldbaumläufer (Gesang)"), (COMMON, "Blackbird and others"),
        (("Wood Pigeon", "Woodpigeon"), "Wood-Pigeon"), ((*LATIN, "Turdus sp."), "Turdus merula intermedius"),
        (("Merlo", "Parus major"), "Merlo acquaiolo"), (LATIN, "Turdus merula and Amsel"),
    ],
)  # fmt: skip
def test_a_background_that_is_not_understood_is_not_known(labels, cell):
    assert _settled(labels, cell)[1:] == (False, [cell])
    assert _settled((), cell, labels)[1:] == (False, [cell])


def test_a_species_in_doubt_is_not_there():
    assert _settled(LATIN, "Turdus merula (?), Parus major")[0] == ("Turdus merula (?)", "Parus major")


def test_folders_with_underscores_are_latin_names():
    assert _settled((), "Larus canus", ("Parus_major", "Turdus_merula")) == (("Larus canus",), True, [])
