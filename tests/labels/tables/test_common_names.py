import pytest

from bird_tf.labels.tables import common_names, rows


def _joined(*cells):
    found = [rows.labelled(rows.Row(where=""), cell, rows.Options()) for cell in cells]
    pairs = common_names.pairs(found)
    return [common_names.joined(row, pairs).labels.species for row in found]


@pytest.mark.parametrize(
    "cells",
    [("Turdus merula, Merle noir",), ("Parus major, Great tit", "Turdus merula, Common blackbird", "noise"),
     ("Periparus ater, Zwarte mees", "Periparus ater, Zwarte mees", "Periparus ater"),
     ("Erithacus rubecula, Petirrojo europeo", "Sylvia atricapilla, Curruca capirotada", "Turdus merula, Mirlo común"),
     ("Turdus merula, Merle noir", "Fringilla coelebs, Pinson des arbres", "Parus major, Mésange charbonnière")],
)  # fmt: skip
def test_a_latin_and_a_common_name_are_one_label(cells):
    labels = [() if cell == "noise" else (cell,) for cell in cells]
    assert _joined(*cells) == labels


@pytest.mark.parametrize(
    "cells",
    [("Turdus merula, Parus major",), ("Turdus merula, Parus major", "Parus major", "Turdus merula"),
     ("Turdus merula, Corvus corax", "Parus major, Sylvia borin"), ("Parus major, Turdus sp.",),
     ("Turdus merula, Alcedo meninting", "Corvus corax", "Parus major"),  # of a rare ending, once
     ("Sylvia atricapilla, Sylvia borin",), ("Turdus merula;Merle noir",),
     ("Turdus merula, Merle noir", "Merle noir"), ("Turdus merula, Merle noir", "Turdus merula;Merle noir"),
     ("Turdus merula, Merle noir", "Turdus torquatus, Merle noir"),
     ("Parus major, Great tit", "Parus major, Cole tit"), ("Great tit, Song thrush", "Great tit"),
     ("Common sandpiper, Great tit", "Song thrush"), ("Petirrojo europeo, Gaviota reidora", "Petirrojo europeo")],
)  # fmt: skip
def test_two_latin_names_of_a_list_stay_two_labels(cells):
    assert _joined(*cells) == [rows.labelled(rows.Row(where=""), cell, rows.Options()).labels.species for cell in cells]


def test_a_list_beside_common_names_stays_two_labels():
    cells = ["Parus major, Great tit", "Turdus merula, Common blackbird", "Corvus corax, Turdus pilarit"]
    assert _joined(*cells)[2] == ("Corvus corax", "Turdus pilarit")
