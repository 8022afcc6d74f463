import pathlib

import soundfile

from tools import pictures


def test_the_example_shows_four_species_with_their_calls():
    found = pictures.calls()
    assert len(found) == 9 and len({call.species for call in found}) == 4
    assert all(0 <= call.start < call.end <= 10 and 0 < call.low_hz < call.high_hz for call in found)


def test_each_call_becomes_a_clip_of_two_seconds_in_the_folder_of_its_species(tmp_path):
    found = pictures.calls()
    pictures.clips(str(tmp_path), found)
    clips = list(pathlib.Path(tmp_path).rglob("*.wav"))
    assert len(clips) == len(found)
    assert {clip.parent.name for clip in clips} == {call.species for call in found}
    assert all(soundfile.info(clip).duration == 2 for clip in clips)
