import dataclasses
import unicodedata

import pytest

from bird_tf import config
from bird_tf.labels import class_names, metadata
from tests.labels import example_sets


def _recordings(*labels):
    return [metadata.Recording(recording_id=str(i), path=f"{i}.wav", label=x, name=x) for i, x in enumerate(labels)]


def _unified(*labels, synonyms=()):
    found = class_names.unify(_recordings(*labels), dict(synonyms))
    assert all(recording.name == recording.label for recording in found)
    return [recording.label for recording in found]


def test_a_species_is_no_background_of_its_own_class():
    told = metadata.Recording(
        recording_id="0", path="0.wav", label="gretit1", name="Parus major", background=("Parus major", "Turdus merula")
    )
    [found] = class_names.unify([told], {})
    assert (found.label, found.background) == ("gretit1", ("Turdus merula",))


def test_names_that_look_alike_are_one_class():
    decomposed = unicodedata.normalize("NFD", "Grünfink")
    assert _unified("Parus_major", "parus major", "Parus major", "PARUS MAJOR") == 4 * ["Parus major"]
    assert _unified("Grünfink", decomposed, "grünfink") == 3 * ["Grünfink"]


def test_names_that_differ_in_signs_alone_are_told(caplog):
    names = ["Parus major", "Parus major?", "Turdus merula"]
    assert _unified(*names) == names and "stay apart: Parus major; Parus major?;" in caplog.text


def test_latin_names_with_their_authors_are_told(caplog):
    names = ["Parus major", "Parus major Linnaeus, 1758", "Turdus merula L.", "Parus ater"]
    assert _unified(*names) == names and "stay apart: Parus major; Parus major Linnaeus, 1758;" in caplog.text
    assert "merula" not in caplog.text


def test_names_in_letters_that_look_alike_are_told(caplog):
    names = ["Parus major", "P\u0430rus major", "AMRO", "\u0410MRO"]
    assert _unified(*names) == names
    assert "stay apart: Parus major; P\u0430rus major;" in caplog.text and "stay apart: AMRO; \u0410MRO;" in caplog.text


def test_one_spelling_alone_stays_as_it_is():
    assert _unified("Parus_major", "Turdus merula_Common Blackbird") == [
        "Parus_major",
        "Turdus merula_Common Blackbird",
    ]


def test_birdnets_names_are_one_class_with_the_latin_name():
    assert _unified("Turdus merula_Common Blackbird", "Turdus merula") == 2 * ["Turdus merula"]


def test_kinds_of_calls_stay_classes_of_their_own():
    names = ["Turdus merula_song", "Turdus merula_call", "Turdus merula", "noise_a", "noise_b"]
    assert _unified(*names) == names
    assert _unified("Turdus merula_song", "Turdus merula") == ["Turdus merula_song", "Turdus merula"]


def test_all_names_of_a_recording_get_the_new_name(tmp_path):
    table = example_sets.write_text(tmp_path / "s.csv", "old,new\nDendroica petechia,Setophaga aestiva\nA,B\nB,C\n")
    synonyms = class_names.read_synonyms(table)
    recording = dataclasses.replace(
        _recordings("dendroica_petechia")[0], further_labels=("A",), background=("A", "B", "Dendroica petechia"),
        annotations=(example_sets.annotation(0, 1, "B", "A"), example_sets.annotation(0, 1, "A", "C")),
    )  # fmt: skip
    [found] = class_names.unify([recording], synonyms)
    assert (found.label, found.name, found.further_labels) == ("Setophaga aestiva", "Setophaga aestiva", ("C",))
    assert found.background == ("C",)
    assert {a.label for a in found.annotations} == {"C"}


def test_birdnets_label_tracks_name_the_latin_name(caplog):
    track = "Turdus merula, Common Blackbird"
    assert _unified(track) == ["Turdus merula"]
    assert _unified(track, synonyms={"turdus merula": "Merula merula"}) == ["Merula merula"]
    assert "--synonyms" not in caplog.text
    kinds = ["Turdus merula, song", "Warbler, Yellow"]
    assert _unified(*kinds) == kinds
    two = [track, "Turdus merula, Amsel"]
    assert _unified(*two) == two and "stay apart: turdus merula, amsel; turdus merula, common blackbird" in caplog.text


def test_a_common_name_may_begin_with_the_genus():
    labels = ["Vireo olivaceus, Vireo Ojirrojo", "Vireo olivaceus", "Tangara mexicana, Tangara Turquesa"]
    assert _unified(*labels) == ["Vireo olivaceus", "Vireo olivaceus", "Tangara mexicana"]


def test_what_may_be_a_second_species_is_no_common_name(caplog):
    doubtful = ["Turdus merula, Blue Tit", "Parus major, Turdus"]
    assert _unified(*doubtful, "Blue Tit") == [*doubtful, "Blue Tit"]
    assert "2 labels stay as they are, the first: 'Parus major, Turdus'" in caplog.text
    assert _unified("Turdus merula, Blue Tit") == ["Turdus merula"]
    assert (
        "1 labels of a Latin and a common name are called by the Latin name, the first: 'Turdus merula, Blue"
        in caplog.text
    )


@pytest.mark.parametrize("text", ["A,B\nB,A\n", "A\n", "A,B\nA,C\n", ",B\n", "A,B|C\n", "A,noise\n", "A,-B\n"])
def test_synonyms_that_contradict_each_other_are_refused(tmp_path, text):
    with pytest.raises(config.InputError, match="--synonyms"):
        class_names.read_synonyms(example_sets.write_text(tmp_path / "s.csv", text))


def test_synonyms_of_whole_numbers_are_those_of_their_labels(tmp_path):
    path = example_sets.write_text(tmp_path / "s.csv", "22961.0,bird\nx,12345.0\n")
    assert class_names.read_synonyms(path) == {"22961": "bird", "x": "12345"}


def _named(label, name, number=0):
    return metadata.Recording(recording_id=f"{label}{number}", path=f"{label}{number}.wav", label=label, name=name)


def test_a_latin_name_becomes_the_class_id_that_it_is_told_of():
    annotated = dataclasses.replace(
        _named("Parus major", "Parus major"), annotations=(example_sets.annotation(0, 1, "Parus major"),)
    )
    recordings = [_named("parmaj", "Parus major"), annotated, _named("parus_major_Great Tit", "parus_major_Great Tit")]
    found = class_names.unify([*recordings, _named("Parus ater", "Parus ater")], {})
    assert [(r.label, r.name) for r in found[:1] + found[3:]] == [
        ("parmaj", "Parus major"),
        ("Parus ater", "Parus ater"),
    ]
    assert (found[1].label, found[1].annotations[0].label) == ("parmaj", "parmaj")


def test_the_latin_name_of_birdnets_label_stays_what_it_is():
    [found] = class_names.unify([_named("Parus major_Great Tit", "Parus major")], {})
    assert (found.label, found.name) == ("Parus major_Great Tit", "Parus major")


def test_a_latin_name_of_several_classes_stays_apart(caplog):
    found = class_names.unify([_named(i, "Parus major") for i in ("a", "b", "Parus major")], {})
    assert [r.label for r in found] == ["a", "b", "Parus major"]
    assert "1 Latin names are told of several classes, the first: 'Parus major' of a (1 x), b (1 x)" in caplog.text


def test_the_name_that_a_person_left_beside_a_corrected_class_id_is_not_that_of_the_class():
    def annotation(label, name, start):
        return dataclasses.replace(example_sets.annotation(start, start + 1, label), name=name)

    spans = (annotation("a", "Parus major", 0), annotation("a", "Parus major", 1), annotation("b", "Parus major", 5))
    recording = dataclasses.replace(_named("a", "a"), annotations=spans)
    [found] = class_names.unify([recording], {})
    assert [(a.label, a.name) for a in found.annotations] == 2 * [("a", "Parus major")] + [("b", "")]
    assert set(found.names) == {("a", "Parus major"), ("b", "b")}


def test_a_class_id_of_several_latin_names_is_told(caplog):
    class_names.unify([_named("a", "Parus major", i) for i in (0, 1)] + [_named("a", "Parus major minor")], {})
    assert "told of several" not in caplog.text
    class_names.unify([_named("song", name, name) for name in ("Passer montanus", "Poecile montanus")], {})
    told = (
        "1 classes are told of several Latin names, the first: 'song' of Passer montanus (1 x), Poecile montanus (1 x)"
    )
    assert told in caplog.text


def test_classes_that_may_be_no_species_are_told(caplog):
    class_names.unify([_named("no species", ""), _named("a", "")], {})
    assert "1 classes may be no species: 'no species'; if" in caplog.text


def test_classes_that_are_other_classes_and_more_are_told(caplog):
    class_names.unify([_named(name, "") for name in ("AMRO", "EATO", "AMRO/EATO", "DOWO 0.91")], {})
    assert "1 classes may be several species (AMRO/EATO);" in caplog.text
    assert "1 classes are another class and a number, or have a score, count or time (DOWO 0.91);" in caplog.text


def test_a_question_mark_is_told_as_a_lost_letter_or_as_doubt_of_another_class(caplog):
    class_names.unify([_named(name, "") for name in ("Gr?nfink", "Parus major", "Parus major?")], {})
    assert "1 classes have a ? inside a word (Gr?nfink): if" in caplog.text
    assert "1 classes may be no species: 'Parus major?';" in caplog.text
    assert "1 classes may be one species with another (Parus major and Parus major?);" in caplog.text


def test_classes_that_may_be_one_species_are_told(caplog):
    class_names.unify([_named(name, "") for name in ("Parus major", "Parus major minor", "Parus ater", "a")], {})
    assert "1 classes may be one species with another (Parus major minor and Parus major); if" in caplog.text


def test_classes_called_as_values_of_other_columns_are_told_once(caplog):
    class_names.unify([_named(name, "") for name in ("AMRO", "NOCA", "EATO", "2023-05-01", "FALSE")], {})
    assert "2 classes are called as a date, a time, or true or false (2023-05-01, FALSE); if" in caplog.text
    assert "may be no species" not in caplog.text


def test_latin_names_that_may_be_misspelt_are_told(caplog):
    spans = [example_sets.annotation(i, i + 1, "Parus major") for i in range(3)]
    long = dataclasses.replace(_named("Parus major", ""), annotations=tuple(spans))
    class_names.unify([long, _named("Parus majro", "")], {})
    assert "1 names stand once, and may be misspelt (Parus majro for Parus major); if" in caplog.text


def test_classes_that_are_kinds_of_sounds_are_told(caplog):
    class_names.unify([_named("song", ""), _named("a", "")], {})
    assert "kinds of sounds" not in caplog.text
    class_names.unify([_named("song", ""), _named("alarm call", "")], {})
    assert "kinds of sounds, not species: alarm call, song; if" in caplog.text
    class_names.unify([_named("male", ""), _named("female", "")], {})
    assert "kinds of sounds, not species: female, male; if" in caplog.text


def test_a_class_id_corrected_to_a_latin_name_is_its_class_whatever_name_was_left_beside_it():
    told = [("a", "Parus major"), ("a", "Parus major"), ("b", "Turdus merula"), ("Turdus merula", "Parus major")]
    found = class_names.unify([_named(*pair, number) for number, pair in enumerate(told)], {})
    assert [r.label for r in found] == ["a", "a", "b", "b"]
    latin = [("Parus minor", "Parus major"), ("Parus major", "Parus cinereus")]  # of two taxonomies
    assert [r.label for r in class_names.unify([_named(*pair) for pair in latin], {})] == ["Parus minor", "Parus major"]
