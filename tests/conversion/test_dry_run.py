import csv
import json
import pathlib
import shutil

import pytest

from bird_tf import config, convert, skips
from bird_tf.records import recordings_table
from tests.conftest import SMALL, settings


@pytest.fixture
def mixed(data, tmp_path):
    """Three species by a table, a negative recording, a file without row, rows without file, and a row that is odd."""
    audio = tmp_path / "audio"
    audio.mkdir()
    for number, path in enumerate(sorted((data / "wav").iterdir())[:11]):
        shutil.copy(path, audio / f"{number}.wav")
    rows = [f"{n}.wav,{'abc'[n % 3]},Ann{n % 2},2023-05-0{1 + n % 4}" for n in range(9)]
    rows += ["9.wav,noise,,", "gone1.wav,a,,", "gone2.wav,b,,", "0.wav,a,Ann,2023-05-01,too,many"]
    (tmp_path / "t.csv").write_text("file,label,author,date\n" + "\n".join(rows) + "\n")
    (tmp_path / "junk.csv").write_text("no table")
    return tmp_path


def _settings(folder, **values):
    return settings(
        convert.ConvertConfig, audio=folder / "audio", metadata=folder / "t.csv", output=folder / "records",
        **{"workers": 1, "val_share": 0.34, "group_by": "author", "skip_unmatched": True, **SMALL, **values},
    )  # fmt: skip


def _table(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_a_check_says_what_the_conversion_then_does(mixed):
    found = convert.check(_settings(mixed, check=True))
    assert not (mixed / "records").exists()
    manifest = convert.convert(_settings(mixed))
    converted = recordings_table.read(manifest.directory, with_unused=True)
    assert {r.recording_id: (r.label, r.split) for r in found.recordings} == {
        r.recording_id: (r.label, r.split) for r in converted
    }
    assert found.classes == manifest.classes
    told = found.summary()
    assert told["num_recordings"] == len(converted) == 10 and told["num_negative"] == 1
    assert sum(map(sum, found.num_recordings.values())) == 9
    assert told["num_split"] == {part: sum(r.split == part for r in converted) for part in ("train", "val")}
    skipped = [(entry["file"], entry["reason"]) for entry in manifest.skipped]
    assert skipped == found.reading.unmatched + found.reading.left_out and len(skipped) == 4


def test_the_files_hold_all_of_it(mixed):
    found = convert.check(_settings(mixed, check=True))
    folder = mixed / "records.check"
    assert json.loads((folder / "summary.json").read_text()) == found.summary()
    species = _table(folder / "species.csv")
    assert {row["class_id"]: int(row["train"]) + int(row["val"]) for row in species} == {"a": 3, "b": 3, "c": 3}
    recordings = {pathlib.Path(row["file"]).name: row for row in _table(folder / "recordings.csv")}
    assert recordings["9.wav"]["negative"] == "True" and recordings["9.wav"]["labels"] == ""
    assert (recordings["1.wav"]["labels"], recordings["1.wav"]["author"]) == ("b", "Ann1")
    assert {row["what"] for row in _table(folder / "skipped.csv")} == {"do not match", "rows that are left out"}


def test_the_terminal_shows_counts_and_five_of_each_kind(mixed, capsys):
    with open(mixed / "t.csv", "a") as table:
        table.writelines(f"gone{n}.wav,a,,\n" for n in range(3, 9))
    convert.check(_settings(mixed, check=True))
    printed = capsys.readouterr().out
    for words in ("--layout=csv", "10 recordings of 3 species, 1 of them negative", "author: known of 9", "2 different",
                  "day: known of 9 recordings, 4 different", "a: ", "9 do not match:"):  # fmt: skip
        assert words in printed
    assert "8 x its recording … is not below the folder of recordings" in printed
    assert printed.count("gone") == 5 and "10.wav: no metadata for it" in printed


@pytest.mark.parametrize("flags", [{"skip_unmatched": False}, {"whitelist": ["dodo"]}, {"overlap_seconds": 3.0}])
def test_a_check_ends_in_the_error_that_would_end_the_conversion(mixed, flags):
    with pytest.raises(config.InputError) as checked:
        convert.check(_settings(mixed, **flags))
    with pytest.raises(config.InputError) as converted:
        convert.convert(_settings(mixed, **flags))
    assert str(checked.value) == str(converted.value)


def test_what_does_not_match_is_listed_although_it_ends_the_command(mixed):
    with pytest.raises(config.InputError, match="3 files do not match"):
        convert.check(_settings(mixed, skip_unmatched=False))
    assert len(_table(mixed / "records.check" / "skipped.csv")) == 4


def test_no_labelled_recording_is_told_of_after_the_list(mixed):
    (mixed / "t.csv").write_text("file,label\ngone1.wav,a\ngone2.wav,b\n")
    with pytest.raises(config.InputError, match="no labelled recording"):
        convert.check(_settings(mixed))
    assert len(skips.by_kind([(r["file"], r["reason"]) for r in _table(mixed / "records.check" / "skipped.csv")])) == 2


def test_finished_records_are_not_in_danger_and_told_of(mixed):
    (mixed / "records").mkdir()
    (mixed / "records" / "notes.txt").write_text("mine")
    with pytest.raises(config.InputError, match="holds something else"):
        convert.check(_settings(mixed))
    assert [path.name for path in (mixed / "records").iterdir()] == ["notes.txt"]


def test_a_given_split_is_told_as_such(data, tmp_path, capsys, caplog):
    for number, path in enumerate(sorted((data / "wav").iterdir())[:4]):
        folder = tmp_path / "tree" / ("train", "val")[number % 2] / "ab"[number // 2]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / path.name)
    caplog.set_level("INFO", logger="absl")
    convert.check(settings(convert.ConvertConfig, audio=tmp_path / "tree", output=tmp_path / "records"))
    assert "split: 2 recordings for training, 2 for validation\n" in capsys.readouterr().out
    assert "--val_share, --group_by and --split_seed do not change it" in caplog.text
