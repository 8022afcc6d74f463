import dataclasses
import json

import pytest

from bird_tf import config
from bird_tf.labels import split
from bird_tf.labels.layouts import reader
from tests.labels import example_sets


@pytest.mark.parametrize("with_metadata", [True, False])
def test_the_tree_decides_the_split(tmp_path, with_metadata):
    for name in ("train/Parus major/a.wav", "val/Parus major/b.wav"):
        example_sets.write_wav(tmp_path / name)
    if with_metadata:
        (tmp_path / "metadata").mkdir()
        for stem in "ab":
            fields = {"sci-name": "Parus major", "species": "Great Tit", "background": ["Turdus merula", " Sitta s"]}
            fields |= {"filename": f"{stem}.wav", "classid": "parmaj"}
            (tmp_path / "metadata" / f"{stem}.json").write_text(json.dumps(fields))
    reading = reader.survey(reader.SourceConfig(audio=str(tmp_path)))
    recordings = reading.recordings
    assert not (reading.unmatched or reading.left_out or reading.unused)
    assert [(r.recording_id, r.split) for r in recordings] == [("a", "train"), ("b", "val")]
    assert {r.label for r in recordings} == {"parmaj" if with_metadata else "Parus major"}
    assert recordings[0].background == (("Turdus merula", "Sitta s") if with_metadata else ())
    assert split.split(recordings, split.SplitConfig(val_share=0.5)) == recordings


def _tree(folder, *names):
    for name in names:
        example_sets.write_wav(folder / f"{name}.wav")
    return reader.SourceConfig(audio=str(folder))


@pytest.mark.parametrize(
    ("file", "text", "layout"),
    [
        ("train/A/a.txt", "0\t3\tParus major\n", "annotations"),
        ("train/A/a.Table.1.selections.txt", "what is this", "annotations"),  # a file that cannot be read
        ("labels.csv", "file,label\ntrain/A/a.wav,Parus major\nval/B/b.wav,Turdus merula\n", "csv"),
        ("../labels.csv", "file,label\na.wav,Parus major\nb.wav,Turdus merula\n", "csv"),
    ],
)
def test_files_with_labels_in_a_tree_are_not_passed_over(tmp_path, file, text, layout):
    source = _tree(tmp_path / "tree", "train/A/a", "val/B/b")
    path = example_sets.write_text(tmp_path / "tree" / file, text)
    if file.startswith(".."):
        source = dataclasses.replace(source, metadata=path)
    with pytest.raises(config.InputError, match=rf"train and val, but .*--layout=sorted .*--layout={layout}"):
        reader.read(source)
    if not source.metadata:
        found, _ = reader.read(dataclasses.replace(source, layout="sorted"))
        assert [(r.label, r.split) for r in found] == [("A", "train"), ("B", "val")]
    if layout == "csv":
        found, _ = reader.read(dataclasses.replace(source, layout=layout))
        assert [r.label for r in found] == ["Parus major", "Turdus merula"]


def test_folders_in_a_tree_that_are_not_the_species_are_refused(tmp_path):
    source = _tree(tmp_path, "train/S1/AMRO/a", "train/S2/EATO/b", "val/S1/AMRO/c")
    with pytest.raises(config.InputError, match=r"are the classes folders such as S1, .*--layout=sorted"):
        reader.read(source)
    recordings, _ = reader.read(dataclasses.replace(source, layout="sorted"))
    assert {r.label for r in recordings} == {"S1", "S2"}


def test_kinds_of_sounds_in_a_tree_are_fine(tmp_path):
    recordings, _ = reader.read(_tree(tmp_path, "train/AMRO/song/a", "train/EATO/b", "val/AMRO/call/c", "val/AMRO/d"))
    assert {r.label for r in recordings} == {"AMRO", "EATO"}


def test_a_single_class_in_a_tree_is_one(tmp_path):
    names = [f"{part}/bird/{who}/{part}{who}" for part in ("train", "val") for who in ("Ann", "Bob")]
    assert {r.label for r in reader.read(_tree(tmp_path, *names))[0]} == {"bird"}


def test_a_table_is_no_folder_of_metadata(tmp_path):
    source = _tree(tmp_path / "tree", "train/A/a", "val/B/b")
    table = example_sets.write_text(tmp_path / "t.csv", "file,recordist\na.wav,Ann\n")
    with pytest.raises(config.InputError, match="needs the folder of the JSON files"):
        reader.read(dataclasses.replace(source, metadata=table))


def test_what_is_not_used_of_a_tree_is_told(tmp_path, caplog):
    source = _tree(tmp_path, "train/A/a", "val/B/b", "test/A/c")
    example_sets.write_text(tmp_path / "places.csv", "file,recordist\na.wav,Ann\n")
    reading = reader.survey(source)
    assert {r.split for r in reading.recordings} == {"train", "val"}
    [(path, reason)] = reading.left_out
    assert path.endswith("test/A/c.wav") and "neither in train nor in val" in reason
    assert "c.wav" in caplog.text and "places.csv" in caplog.text
    assert [path.rsplit("/", 1)[1] for path, _ in reading.unused] == ["places.csv"]


def test_species_in_the_parts_of_a_split_are_asked_for_by_any_name_of_a_part(tmp_path):
    with pytest.raises(config.InputError, match="are the classes folders such as Training_Set"):
        reader.read(_tree(tmp_path, "Training_Set/A/a", "Validation_Set/B/b"))
