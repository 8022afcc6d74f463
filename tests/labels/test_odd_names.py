import pytest

from bird_tf.labels import odd_names


@pytest.mark.parametrize(
    "name",
    ["no species", "No birds detected", "non-bird", "nothing here", "empty", "noise (wind)", "noise_rain", "NEG",
     "Unknown bird", "Unknown sp.", "UNKN", "unidentified bird", "bird sp.", "false positive", "kein Vogel",
     "Parus cf. major", "cf. Parus ater", "Parus aff. major", "Turdus merula cf.", "prob. Blue Tit", "unident.",
     "nichts", "Lärm", "Geräusch", "bruit de fond", "pas d'oiseau", "sin aves", "vacío", "onbekend", "okänd", "Ruído",
     "nessuno", "unsorted", "to_check", "New folder (2)", "Neuer Ordner", "Parus major or Parus ater",
     "Kohlmeise oder Star", "AMRO_vs_EATO", "bird", "Aves", "AMRO?", "?WBNU", "BCCH (?)"],
)  # fmt: skip
def test_names_that_may_say_nothing_are_doubtful(name):
    assert odd_names.doubtful({name, "Parus major", "1"}) == [name]


def test_names_of_species_are_not_doubtful():
    names = {
        "Noisy Miner", "Nothura maculosa", "False Killer Whale", "Nonnula rubecula", "Turdus sp.", "NOCA", "Birdie",
        "Kauaʻi ʻŌʻō", "Kaua'i 'o'o", "Oriole", "Or", "Tempest", "Sinensis",
    }  # fmt: skip
    assert not odd_names.doubtful({"bird", "insect"})
    assert not odd_names.doubtful(names)
    assert odd_names.doubtful({"0", "1"}) == ["0"]
    assert not odd_names.doubtful({"0", "1", "2"}) and not odd_names.doubtful({"1"})


@pytest.mark.parametrize(
    "name",
    ["AMRO/EATO", "AMRO and EATO", "AMRO EATO", "AMRO_EATO", "AMRO/SOSP", "Parus major / Parus minor", "AMRO,bird",
     "Wren, AMRO, Jay", "HOFI/PUFI", "DOWO and HAWO", "Willow Tit / Marsh Tit", "Great Tit & Blue Tit", "owl/nightjar",
     "Anas crecca/Anas discors"],
)  # fmt: skip
def test_names_that_may_be_several_species_are_found(name):
    names = {name, "AMRO", "EATO", "Parus major"}
    assert odd_names.composed(names) == [name] and not odd_names.counted(names)


@pytest.mark.parametrize(
    "name",
    ["AMRO 0.91", "AMRO, 0.9", "frog, 0.8", "frog, x2", "AMRO:.9",
     "NOCA (87%)", "NOCA x2", "AMRO (2x)", "2 AMRO", "2x AMRO", "Parus major_2",
     "EATO/AMRO x2", "Great Tit [Parus major] 95%", "Turdus iliacus, 2, call", "AMRO 21:05", "Redwing (05:03:10)"],
)  # fmt: skip
def test_names_with_a_score_or_a_count_are_found(name):
    names = {name, "AMRO", "EATO", "Parus major"}
    assert odd_names.counted(names) == [name] and not odd_names.composed(names)


def test_counts_before_a_name_that_never_stands_alone_are_found():
    assert odd_names.counted({"2 AMRO", "3 AMRO", "2x Parus major", "1 Parus major", "2 EATO"}) == [
        "1 Parus major", "2 AMRO", "2x Parus major", "3 AMRO",
    ]  # fmt: skip
    assert not odd_names.counted(
        {"2 note call", "3 note call", "2 kHz", "4 kHz", "1 AMRO", "AMRO1 2", "2 CALL", "3 CALL"}
    )


def test_names_with_a_comma_of_which_the_second_part_is_a_class_are_composed():
    assert odd_names.composed({"Song Thrush, Great Tit", "Great Tit", "Jay"}) == ["Song Thrush, Great Tit"]
    for single in (
        {"Owl, Barn", "Owl, Tawny", "Owl"}, {"Owl, Barn", "Sparrow, House", "Owl"}, {"Jay, distant", "Jay"},
        {"Great Tit, Type A", "Great Tit"}, {"Robin, American", "Robin", "Jay"},
        {"Whistle, Upsweep", "Whistle", "Click"}, {"Great Tit, Song", "Great Tit"},
        {"Parus major, Great Tit", "Parus major"},
    ):  # fmt: skip
        assert not odd_names.composed(single)


@pytest.mark.parametrize(
    "name",
    ["2023-05-01", "01.05.2023", "1/5/23", "2023-05-01 05:00", "2023-05-01T05:00:00Z", "12:30", "5:00:10.5",
     "TRUE", "Faux"],
)  # fmt: skip
def test_dates_times_and_truth_among_names_are_found(name):
    assert odd_names.values({name, "AMRO", "Parus major"}) == [name]
    assert not odd_names.values({name, "1", "2", "3", "AMRO"})


def test_numbers_of_classes_and_names_with_numbers_are_no_values():
    assert not odd_names.values(
        {"AMRO", "NOCA", "gretit1", "type 1.2", "1.1", "yes", "22961", "1", "v1.0", "Robin 5:00", "Yessotoxin"}
    )
    assert not odd_names.values({"yes", "no"}) and not odd_names.values({"0.5", "1.5", "noise"})


@pytest.mark.parametrize(
    "name", ["Parus majro", "Parus majo", "Parus majorr", "Pars major", "Praus major", "Paru smajor"]
)
def test_slips_in_latin_names_are_found(name):
    assert odd_names.misspelt({name: 1, "Parus major": 3}) == [(name, "Parus major")]
    assert not odd_names.misspelt({name: 2, "Parus major": 9}) and not odd_names.misspelt({name: 1, "Parus major": 2})


def test_other_species_are_no_slips():
    rare = [
        "Phrase ab",
        "Bird on",
        "Parus minor",
        "Corvus corax",
        "Turdus spp.",
        "Great Tti",
        "Larus canus",
        "Spinus tristis",
    ]
    frequent = [
        "Phrase ba",
        "Bird one",
        "Parus major",
        "Corvus corone",
        "Turdus sp.",
        "Great Tit",
        "Larus cachinnans",
        "Spinus pinus",
    ]
    assert not odd_names.misspelt(dict.fromkeys(rare, 1) | dict.fromkeys(frequent, 9))


def test_names_with_lost_letters_are_found():
    lost = ["Gr?nfink", "M?nchsgrasm?cke", "h??her"]
    assert odd_names.with_lost_letters({*lost, "AMRO?", "?AMRO", "AMRO ?", "AMRO?/EATO?", "a? b", "1?2"}) == lost


def test_names_of_single_classes_are_not_composed():
    names = {
        "Black-and-white Warbler", "Black and Rufous Warbling Finch", "Warbling Finch", "Greater/Lesser Scaup",
        "Lesser Scaup", "Parus major", "Parus major_song", "Parus major - alarm", "Parus major song/call", "gretit",
        "gretit1", "type 1", "type 2", "cluster01", "Great Tit", "Tit", "1", "2", "Turdus merula_Amsel", "gretit song",
        "Parus major/minor", "Larus fuscus x argentatus", "Pica pica", "Pica", "NOCA", "",
        "Warbler, Yellow", "Warbler, Pine", "Turdus merula,song", "Parus major, male, song", "Jay,1758", "Owl,1758",
        "Tern,Little", "Tern,Arctic", "Tern,Gull-billed", "Black and White Warbler", "AMRO/song", "2023/AMRO", "3/4",
        "Parus major Gmelin & Latham, 1790", "Turdus merula + chicks", "http://x",
        "S/N", "R&B", "n/a",
    }  # fmt: skip
    assert not odd_names.composed(names) and not odd_names.counted(names)
    assert odd_names.composed({"Crow,Bird,Animal", "Gull,Bird", "Jay"}) == ["Crow,Bird,Animal", "Gull,Bird"]
    assert odd_names.composed({"Gull,Wren", "Jay,Gull"}) == ["Gull,Wren", "Jay,Gull"]
    assert odd_names.composed({"Crow, Bird, Animal", "Gull, Bird, Animal", "Warbler, Pine"}) == [
        "Crow, Bird, Animal", "Gull, Bird, Animal",
    ]  # fmt: skip
    assert odd_names.counted({"12 (0.87)", "12"}) == ["12 (0.87)"]
    kinds = {"song", "call", "song and call", "song 1", "song/call", "type_0.5", "call 1.2"}
    assert not odd_names.composed(kinds) and not odd_names.counted(kinds)


@pytest.mark.parametrize(
    "author", ["L.", "Linnaeus", "Linnaeus, 1758", "(Linnaeus, 1758)", "(Gmelin & Latham 1790)", "Brehm, C. L., 1831"]
)
def test_a_latin_name_is_known_without_its_author(author):
    assert odd_names.without_author(f"Parus major {author}") == "Parus major"
    assert odd_names.without_author(f"Motacilla alba alba {author}") == "Motacilla alba alba"


@pytest.mark.parametrize(
    "name",
    ["Parus major", "Parus major Song", "Parus major Chick",
     "Parus major Subadult", "Parus major Great Tit", "Parus major (alarm)", "Parus major A", "Great Tit L.",
     "Turdus merula_Amsel", "Parus major 2", "Turdus sp.", "", "Parus"],
)  # fmt: skip
def test_what_is_no_author_stays_with_the_name(name):
    assert odd_names.without_author(name) == name


def test_kinds_of_sounds_are_no_species():
    assert all(map(odd_names.is_sound, ("song", "Alarm_call", "flight call 2", "male song", "Ruf")))
    assert not any(map(odd_names.is_sound, ("Song Sparrow", "male", "gretit song", "Parus major", "", "1")))


@pytest.mark.parametrize(
    ("name", "other"),
    [("Motacilla alba yarrellii", "Motacilla alba"), ("Motacilla_alba_alba", "Motacilla alba"),
     ("Motacilla alba ssp. alba", "Motacilla alba"),
     ("Motacilla alba (juv)", "Motacilla alba"), ("Motacilla alba - Copy", "Motacilla alba"),
     ("M. alba", "Motacilla alba"),
     ("Motacilla alba_song", "Motacilla alba"), ("Larus spp.", "Larus sp."), ("Turdus sp.", "Turdus")],
)  # fmt: skip
def test_classes_that_may_be_one_species_are_found(name, other):
    known = {"Motacilla alba", "Larus sp.", "Turdus", "Parus major", "AMRO"}
    assert odd_names.related({*known, name}) == [(name, other)]


def test_other_species_are_not_related():
    names = {
        "Corvus corone", "Corvus corone x cornix", "Corvus", "Corvus cornix", "Parus major", "Parus ater", "Great Tit",
        "Tit", "", "Parus major Linnaeus, 1758", "Parus major / Parus ater", "P. minor", "C. alba", "gretit",
        "Motacilla alba yarrellii", "Larus sp.",
    }  # fmt: skip
    assert not odd_names.related(names)
