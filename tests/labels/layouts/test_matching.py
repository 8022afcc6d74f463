import dataclasses

import pytest

from bird_tf import config
from bird_tf.labels.layouts import reader
from tests.labels.layouts import example_sets


def test_a_file_name_never_names_a_file_outside_of_the_audio_folder(tmp_path):
    example_sets.write_wav(tmp_path / "secret.wav")
    source = example_sets.birdclef_set(tmp_path / "set", ("1", "a.wav", "x", ""))
    xml = example_sets.XML.format(media_id="2", file="../../secret.wav", label="y", species="ater", more="")
    (tmp_path / "set" / "xml" / "b.xml").write_text(xml)
    recordings, unmatched = reader.read(dataclasses.replace(source, skip_unmatched=True))
    assert [r.recording_id for r in recordings] == ["1"]
    assert "b.xml" in unmatched[0][0]


def test_metadata_without_recording_is_an_error(tmp_path):
    source = example_sets.birdclef_set(tmp_path, ("1", "a.wav", "x", ""), ("2", "b.wav", "x", ""))
    (tmp_path / "wav" / "b.wav").unlink()
    with pytest.raises(config.InputError, match=r"b\.xml.*is not below"):
        reader.read(source)


def test_an_absolute_file_name_never_names_a_file_outside_of_the_audio_folder(tmp_path):
    source = example_sets.birdclef_set(tmp_path / "set", ("1", "a.wav", "x", ""))
    example_sets.write_wav(tmp_path / "secret.wav")
    for name in (f"{tmp_path}/secret.wav", "..\\..\\secret.wav"):
        xml = example_sets.XML.format(media_id="2", file=name, label="y", species="ater", more="")
        (tmp_path / "set" / "xml" / "b.xml").write_text(xml)
        recordings, unmatched = reader.read(dataclasses.replace(source, skip_unmatched=True))
        assert [r.recording_id for r in recordings] == ["1"] and len(unmatched) == 1


def test_files_in_deep_folders_with_spaces_and_capital_letters_are_matched(tmp_path):
    source = example_sets.birdclef_set(tmp_path, ("1", "a.wav", "x", ""))
    (tmp_path / "wav" / "a.wav").unlink()
    example_sets.write_wav(tmp_path / "wav" / "Öde Gegend" / "2014 05" / "A.WAV")
    (tmp_path / "xml" / "a.xml").rename(tmp_path / "xml" / "A.XML")
    [recording], _ = reader.read(source)
    assert recording.path.endswith("Öde Gegend/2014 05/A.WAV")
