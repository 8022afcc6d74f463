import json

import pytest

from bird_tf.audio import own_clips
from bird_tf.inference import result_files
from bird_tf.reviewing import page


def _page(folder, work, *names):
    """A page of these files, and a list of them."""
    (folder / own_clips.FOLDER).mkdir(parents=True, exist_ok=True)
    paths = [folder / own_clips.FOLDER / name for name in names]
    for path in paths:
        path.touch()
    lines = [json.dumps([f"{own_clips.FOLDER}/{path.name}", ""]) for path in paths]
    (folder / result_files.list_name(work)).write_text("".join(f"{line}\n" for line in lines))
    return [str(path) for path in paths]


def test_the_names_are_those_that_pages_are_written_with():
    assert page.FOLDER == own_clips.FOLDER
    assert tuple(map(result_files.list_name, ("review", "search"))) == own_clips.LISTS


def test_clips_of_pages_are_left_out_and_told(tmp_path, caplog):
    clips = _page(tmp_path / "review", "review", "1.mp3", "2.mp3") + _page(
        tmp_path / "out" / "search", "search", "3.mp3"
    )
    recordings = [str(tmp_path / name) for name in ("a.wav", "clips/b.wav")]
    assert own_clips.without([*recordings, *clips]) == recordings
    assert "3 clips that review or search has cut are no recordings" in caplog.text
    assert f"the first: {tmp_path}/review/clips/1.mp3" in caplog.text


def test_what_is_not_listed_is_a_recording(tmp_path, caplog):
    _page(tmp_path, "review", "1.mp3")
    own = [str(tmp_path / "clips" / name) for name in ("mine.wav", "2.mp3")]
    other = _page(tmp_path / "data", "mixing", "0001.wav")  # of soundscapes, which are made to be read
    assert own_clips.without(own + other) == own + other and not caplog.text


def test_clips_alone_are_what_is_wanted(tmp_path, caplog):
    clips = _page(tmp_path, "review", "1.mp3", "2.mp3")
    assert own_clips.without(clips) == clips and not caplog.text


@pytest.mark.parametrize("content", ["{}\n", '["clips/1.mp3"]\n', "text\n", "\0\n"])
def test_another_file_of_the_name_of_a_list_leaves_nothing_out(tmp_path, content, caplog):
    [clip] = _page(tmp_path, "review", "1.mp3")
    (tmp_path / "review.jsonl").write_text(content)
    recordings = [str(tmp_path / "a.wav"), clip]
    assert own_clips.without(recordings) == recordings and not caplog.text
