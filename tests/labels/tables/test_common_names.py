import pytest

from bird_tf.labels.tables import common_names, rows

_SURE = ("Sturnus vulgaris, Common starling", "Alauda arvensis, Eurasian skylark", "Motacilla alba, White wagtail",
         "Corvus frugilegus, Black rook")  # fmt: skip


def _joined(*cells):
    found = [rows.labelled(rows.Row(where=""), cell, rows.Options()) for cell in cells]
    pairs = common_names.pairs(found)
    return [common_names.joined(row, pairs).labels.species for row in found]


def _apart(*cells):
    return [rows.labelled(rows.Row(where=""), cell, rows.Options()).labels.species for cell in cells]


@pytest.mark.parametrize(
    "cells",
    [_SURE, ("Turdus merula, Merle noir",), ("Parus major, Great tit", "Turdus merula, Common blackbird"),
     ("Periparus ater, Zwarte mees", "Periparus ater, Zwarte mees", "Periparus ater"),
     ("Erithacus rubecula, Petirrojo europeo", "Sylvia atricapilla, Curruca capirotada", "Turdus merula, Mirlo común")],
)  # fmt: skip
def test_a_latin_and_a_common_name_are_one_label(cells):
    assert _joined(*cells, *_SURE) == [(cell,) for cell in (*cells, *_SURE)]


@pytest.mark.parametrize(
    "cells",
    [("Parus major, Turdus sp.",), ("Turdus merula, Parus major", "Parus major", "Turdus merula"),
     ("Turdus merula;Merle noir",), ("Turdus merula, Merle noir", "Merle noir"), ("Hyla arborea, Bufo bufo",),
     ("Turdus merula, Merle noir", "Turdus torquatus, Merle noir"), ("Parus major, Great tit", "Parus major, Cole tit")
     ],
)  # fmt: skip
def test_what_stands_elsewhere_too_stays_two_labels(cells):
    assert _joined(*cells, *_SURE)[: len(cells)] == _apart(*cells)


@pytest.mark.parametrize(
    "cells",
    [("Turdus merula, Merle noir",), _SURE[:3], (*_SURE, "Parus major;Turdus merula;Hyla arborea"),
     ("Turdus merula, Corvus corax", "Parus major, Sylvia borin", "Columba palumbus, Strix aluco",
      "Larus argentatus, Sterna albifrons", "Erithacus rubecula, Corvus corone", "Milvus milvus, Buteo buteo"),
     (*_SURE, "Pica pica", "Strix aluco", "Parus ater", "Sylvia borin", "Motacilla alba")],
)  # fmt: skip
def test_few_pairs_or_lists_of_latin_names_stay_two_labels(cells):
    assert _joined(*cells) == _apart(*cells)
