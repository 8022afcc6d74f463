import dataclasses

import pytest

from bird_tf import config
from bird_tf.labels.layouts import containers, matching, reader
from tests.labels import example_sets


@pytest.mark.parametrize(
    "folders",
    [("train", "test"), ("train_audio", "test_soundscapes"), ("wav",), ("flac", "mp3"), ("Aufnahmen",), ("src_wavs",),
     ("xc_downloads",), ("recordings", "noise"), ("fold1", "fold2"), ("May", "June"), ("Gravações",),
     ("By_Date", "By_Common_Name")],
)  # fmt: skip
def test_folders_of_recordings_are_not_taken_for_species(tmp_path, folders):
    for i, folder in enumerate(folders):
        example_sets.write_wav(tmp_path / folder / f"{i}.wav")
    with pytest.raises(config.InputError, match=r"not as species: .*; if these folders are the classes, say --layout"):
        reader.read(reader.SourceConfig(audio=str(tmp_path)))
    found, _ = reader.read(reader.SourceConfig(audio=str(tmp_path), layout="folders"))
    assert {r.label for r in found if not r.negative} == {*folders} - {"noise"}


def test_folders_of_recordings_in_a_tree_are_not_taken_for_species(tmp_path):
    for part in ("train", "val"):
        example_sets.write_wav(tmp_path / part / "wav" / f"{part}.wav")
    with pytest.raises(config.InputError, match=r"not as species: wav; .* say --layout=sorted"):
        reader.read(reader.SourceConfig(audio=str(tmp_path)))
    assert len(reader.read(reader.SourceConfig(audio=str(tmp_path), layout="sorted"))[0]) == 2


@pytest.mark.parametrize(
    ("names", "told"),
    [({"Parus major", "Jay", "clips"}, "not as species: clips;"), ({"S1", "S2"}, "not as species: S1, S2;"),
     ({"warblrb10k_public"}, "the folder warblrb10k_public become one class"), ({"Wren"}, "the folder Wren become"),
     ({"Parus_major"}, ""), ({"AMRO"}, ""), ({"comrav"}, ""), ({"gretit1"}, ""), ({"1139490"}, ""), ({"bird"}, ""),
     ({"song"}, ""), ({"Jay", "Wren"}, ""), ({"song", "call"}, ""), ({"Data Tit", "Sound Wren"}, ""),
     ({"day", "night"}, ""), ({"a", "b"}, ""), ({"sp01", "sp02"}, ""), ({"bird1", "bird2"}, ""), (set(), "")],
)  # fmt: skip
def test_folders_that_may_be_no_species_are_told(caplog, names, told):
    containers.refuse(names, "audio", "x")
    assert told in caplog.text and bool(told) == bool(caplog.text) == ("all is well, and --layout=x" in caplog.text)


@pytest.mark.parametrize("parts", [("",), ("train", "val")])
def test_a_single_folder_beside_negatives_is_a_class(tmp_path, caplog, parts):
    for part in parts:
        example_sets.write_wav(tmp_path / part / "Wren" / f"r{part}.wav")
    reader.read(reader.SourceConfig(audio=str(tmp_path)))
    assert "the folder Wren become one class" in caplog.text
    caplog.clear()
    example_sets.write_wav(tmp_path / parts[0] / "noise" / "n.wav")
    reader.read(reader.SourceConfig(audio=str(tmp_path)))
    assert "become one class" not in caplog.text


@pytest.mark.parametrize(
    ("folders", "header", "is_refused"),
    [(("Robin", "Wren"), "WOOD,OPEN", True), (("AMRO", "EATO"), "AMRO,EATO", False),
     (("S1", "S2"), "AMRO,EATO", False), (("wav",), "AMRO,EATO", False)],
)  # fmt: skip
def test_columns_of_0_and_1_are_not_taken_for_species_beside_folders_that_may_be_these(
    tmp_path, folders, header, is_refused
):
    lines = [f"snd,day,{header}\n"]
    for i in range(4):
        example_sets.write_wav(tmp_path / folders[i % len(folders)] / f"r{i}.wav")
        lines.append(f"r{i}.wav,{i},{i % 2},{1 - i % 2}\n")
    example_sets.write_text(tmp_path / "t.csv", "".join(lines))
    source = reader.SourceConfig(audio=str(tmp_path), columns=("file=snd",))
    if is_refused:
        with pytest.raises(config.InputError, match=r"columns of 0 and 1, such as OPEN, or the folders, such as Robin"):
            reader.read(source)
    else:
        assert {r.label for r in reader.read(source)[0]} == {*header.split(",")}
    found, _ = reader.read(dataclasses.replace(source, layout="csv"))
    assert {r.label for r in found} == {*header.split(",")}


def test_values_cross_folders_if_most_lie_in_several(tmp_path):
    paths = [str(tmp_path / name) for name in ("a/1.wav", "a/2.wav", "b/3.wav", "b/4.wav")]
    known = matching.Recordings(paths, str(tmp_path))
    assert containers.are_crossed(zip("1234", "xyxy", strict=True), known)
    assert not containers.are_crossed(zip("1234", "xxyy", strict=True), known)
    assert containers.are_crossed(zip("12", "xy", strict=True), known)  # one folder
    assert not containers.are_crossed(zip("12", "xx", strict=True), known)
