import pytest

from bird_tf.labels import label_cells


@pytest.mark.parametrize(
    ("cell", "species"),
    [
        ("Parus major", ("Parus major",)), (" Parus  major\u200b", ("Parus major",)),
        ("a;b", ("a", "b")), ("a | b", ("a", "b")), ("a;;a", ("a",)), ("22961;23158", ("22961", "23158")),
        ("22961.0", ("22961",)), ("['22961.00', '1.5']", ("22961", "1.5")), ("v2.0", ("v2.0",)),
        ('["a", "b"]', ("a", "b")), ("['a', 'it\\'s']", ("a", "it's")), ("[a, b]", ("a", "b")),
        ("[AMRO; NOCA]", ("AMRO", "NOCA")), ("['a' | 'b']", ("a", "b")),
        ("{a,b c}", ("a", "b c")), ("{'a', 'b'}", ("a", "b")), ("('a',)", ("a",)), ('c("a", "b")', ("a", "b")),
        ("(a, b)", ("(a, b)",)), ("('a') b", ("('a') b",)), ("cat (b)", ("cat (b)",)),
        ("Parus major,Turdus merula", ("Parus major", "Turdus merula")), ("amerob,sonspa", ("amerob", "sonspa")),
        ("AMRO,SOSP", ("AMRO", "SOSP")), ("AMRO, SONG", ("AMRO, SONG",)),
        ("PIPPIP, NYCNOC", ("PIPPIP", "NYCNOC")), ("Amsel,Star", ("Amsel,Star",)),
        ("Parus major & Turdus merula", ("Parus major", "Turdus merula")), ("Parus major + x", ("Parus major + x",)),
        ("Parus major, noise", ("Parus major",)), ("AMRO;-", ("AMRO",)), ("Parus major, song", ("Parus major, song",)),
        ("Parus major, Turdus sp.", ("Parus major", "Turdus sp.")),
        ("Parus major,", ("Parus major",)), ("Warbler, Yellow", ("Warbler, Yellow",)),
        ("Aves;Passeriformes;Paridae;Parus major", ("Parus major",)), ("Aves | Parus | Parus ater", ("Parus ater",)),
        ("Passeriformes;Paridae;Parus;Parus ater", ("Parus ater",)),
        ("Corvidae;Turdidae;Parus ater", ("Corvidae", "Turdidae", "Parus ater")),
        ("Rana;Hyla;Hyla arborea", ("Rana", "Hyla", "Hyla arborea")),
        ("Aves;Corvidae;Paridae;Parus ater", ("Aves", "Corvidae", "Paridae", "Parus ater")),
        ("Robin;Wren;Parus major", ("Robin", "Wren", "Parus major")), ("Paridae;Parus ater", ("Paridae", "Parus ater")),
        ("Gr&uuml;nfink", ("Grünfink",)), ("Gr&#252;nfink;a&amp;b", ("Grünfink", "a&b")), ("a&b;c", ("a&b", "c")),
        ("Parus major;noise", ("Parus major",)), ("Nonesuch", ("Nonesuch",)),
    ],
)  # fmt: skip
def test_species_are_read(cell, species):
    assert label_cells.parse(cell) == label_cells.Labels(species=species)


@pytest.mark.parametrize("cell", ["AMRO;?", "AMRO|unknown", '["AMRO", "unid."]', "AMRO, ?", "AMRO;k.A.;noise"])
def test_what_has_no_name_beside_a_species_is_kept(cell):
    assert label_cells.parse(cell) == label_cells.Labels(species=("AMRO",), has_unnamed=True)
    assert label_cells.named(["AMRO", "unknown"]).has_unnamed


def test_two_species_with_a_comma_and_a_blank_may_be_one():
    assert label_cells.parse("Turdus merula, Merle noir").is_pair and label_cells.parse("tit, great").is_pair
    others = ("Turdus merula,Merle noir", "a;b", "[a, b]", "Parus major, noise", "Parus ater, Parus major, Parus minor")
    assert not any(label_cells.parse(cell).is_pair for cell in others)


@pytest.mark.parametrize(
    ("cell", "labels", "scores"),
    [("AMRO;0.97", label_cells.Labels(species=("AMRO",)), ("0.97",)),
     ("['song', '.9']", label_cells.Labels(species=("song",)), (".9",)),
     ("97,5 %|3", label_cells.Labels(species=("3",)), ("97,5 %",)),
     ("noise;0,97", label_cells.Labels(negative=True), ("0,97",)), ("?;1.0", label_cells.Labels(), ("1.0",)),
     ("0.5;0.7", label_cells.Labels(species=("0.5", "0.7")), ()), ("0.97;", label_cells.Labels(species=("0.97",)), ()),
     ("[1.0, 2.0]", label_cells.Labels(species=("1", "2")), ()),
     ("AMRO;1.5", label_cells.Labels(species=("AMRO", "1.5")), ()),
     ("AMRO;2", label_cells.Labels(species=("AMRO", "2")), ())],
)  # fmt: skip
def test_a_score_beside_names_is_no_species(cell, labels, scores):
    found = label_cells.parse(cell)
    assert (found, found.scores) == (labels, scores)


@pytest.mark.parametrize(
    "cell",
    ["noise", "Background", "none", "no call", "nocall", "No_Call", "other", "non-event", "silence", "[]", "rain",
     "-rain", "noise;rain"],
)  # fmt: skip
def test_names_that_mean_no_species_are_negatives(cell):
    assert label_cells.parse(cell, negative_labels=("Rain",)) == label_cells.Labels(negative=True)


def test_a_species_behind_a_minus_is_absent():
    assert label_cells.parse("- Parus major") == label_cells.Labels(negative=True, absent=("Parus major",))
    assert label_cells.parse("-22961.0").absent == ("22961",)
    assert label_cells.parse("0.0", negative_labels=("0.0",)).negative
    assert label_cells.parse("-1.0", negative_labels=("-1",)) == label_cells.Labels(negative=True)
    assert label_cells.parse("1", negative_labels=("-1",)).species == ("1",)
    expected = label_cells.Labels(species=("Parus major",), absent=("Turdus merula",))
    assert label_cells.parse("Parus major,-Turdus merula") == expected


@pytest.mark.parametrize("name", ["Parus major", "Warbler, Yellow", "Parus major, song", "noise", "-a", "?", "", "na"])
def test_one_name_says_what_a_cell_with_it_says(name):
    assert label_cells.named([name, ""]) == label_cells.parse(name)


@pytest.mark.parametrize(
    "name",
    ["a;b", "a|b", "Parus major,Turdus merula", "a,b", "Parus major+Parus ater", '["a"]', "[b", '"a"', 201 * "a"],
)
def test_a_name_that_a_cell_does_not_hold_as_one_is_refused(name):
    with pytest.raises(ValueError, match=r"rename the class|201 characters"):
        label_cells.named([name])


@pytest.mark.parametrize(
    "cell",
    ["?", "????", "unknown", "NoID", "-", "unid.", "n.a.", "k.A.", "n. d.", "Mystery mystery", "Sonus_naturalis",
     "Identity unknown"],
)  # fmt: skip
def test_what_has_no_name_is_neither_a_species_nor_a_negative(cell):
    assert label_cells.parse(cell) == label_cells.Labels()


@pytest.mark.parametrize("cell", ["", "  ", "nan", "N/A", "\ufeff"])
def test_an_empty_cell_is_missing(cell):
    assert label_cells.parse(cell) == label_cells.Labels(missing=True)


@pytest.mark.parametrize(
    "cell",
    ["[broken", "[a)", "{a;b,c}", "[Warbler, Yellow; b]", '{"choices":["a"]}', "c('a', b(c))",
     "[__import__('os')]", "[{[]:1}]", "['a' 'b']", "[" + 5000 * "-", 300 * "a"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(cell):
    with pytest.raises(ValueError, match=r"list|name"):
        label_cells.parse(cell)


@pytest.mark.parametrize(
    "cell",
    ["#N/A", "#NV", "#NAME?", "#DIV/0!", "#REF!", "#NULL!", "#WERT!", "#¡VALOR!", "#¿NOMBRE?", "#N/D", "#Н/Д",
     "Err:502", "AMRO;#N/A", '["a", "#REF!"]'],
)  # fmt: skip
def test_errors_of_spreadsheets_are_no_labels(cell):
    with pytest.raises(ValueError, match="where a formula fails; write"):
        label_cells.parse(cell)
    assert not label_cells.background(cell)[1]
    assert label_cells.parse("#12;#a;Err").species == ("#12", "#a", "Err")


@pytest.mark.parametrize(
    ("cell", "background", "known"),
    [
        ("", (), False), ("?", (), False), ("unknown", (), False), ("[]", (), True), ("none", (), True),
        ("-", (), True), ("['']", (), True), ("a; b", ("a", "b"), True), ("a, b", ("a", "b"), True),
        ("['a', 'b']", ("a", "b"), True), ("[broken", (), False), ("[__import__('os')]", (), False),
        ("{a,b}", ("a", "b"), True), ("a, ?", ("a",), False), ("unknown; a", ("a",), False),
        ("['a', '?']", ("a",), False), ("a; -", ("a",), True), ("none, ??", (), False),
        ("Warbler, Yellow", ("Warbler", "Yellow"), True), ("[" + 5000 * "-" + "]", (), False),
    ],
)  # fmt: skip
def test_known_background_no_background_and_unknown_background_differ(cell, background, known):
    assert label_cells.background(cell) == (background, known)
