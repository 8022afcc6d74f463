import pytest

from bird_tf import config
from bird_tf.labels import texts
from bird_tf.labels.layouts import reader
from tests.labels import example_sets


def test_a_table_of_json_lines_is_read_as_cells_of_text(tmp_path):
    text = (
        '{"file_name": "a.wav", "label": "AMRO"}\n\n{"file_name": "ö.wav", "n": 1.5, "label": ["a", "ü"], "x": null}\n'
    )
    document = texts.Document(example_sets.write_text(tmp_path / "t.JSONL", text))
    assert document.header == ["file_name", "label", "n", "x"]
    assert document.lines[1:] == [(1, ["a.wav", "AMRO", "", ""]), (3, ["ö.wav", '["a", "ü"]', "1.5", ""])]
    assert texts.Document(example_sets.write_text(tmp_path / "e.ndjson", "\n")).lines == []


@pytest.mark.parametrize("line", ["{", "[1]", "text"])
def test_lines_of_something_else_are_refused(tmp_path, line):
    document = texts.Document(example_sets.write_text(tmp_path / "t.jsonl", f'{{"a": 1}}\n{line}\n'))
    with pytest.raises(config.InputError, match=r"t\.jsonl, line 2: no"):
        document.lines  # noqa: B018


def test_a_folder_of_hugging_face_is_read(tmp_path):
    for name, labels in (("train", '"Parus major"'), ("test", '["Parus major", "Turdus merula"]')):
        example_sets.write_wav(tmp_path / name / "a.wav")
        line = f'{{"file_name": "a.wav", "label": {labels}}}\n'
        example_sets.write_text(tmp_path / name / "metadata.jsonl", line)
    example_sets.write_text(tmp_path / "train" / "a.wav.jsonl", '["a.wav", "5f"]\n')  # a list of ours
    found, _ = reader.read(reader.SourceConfig(audio=str(tmp_path)))
    assert {r.path.split("/")[-2]: r.labels for r in found} == {
        "train": ("Parus major",), "test": ("Parus major", "Turdus merula"),
    }  # fmt: skip
