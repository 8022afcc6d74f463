import pytest
import soundfile

from bird_tf import config
from bird_tf.inference import audio_files


def test_equal_names_in_two_folders_give_two_recordings(tmp_path):
    for name in ("a/1.wav", "b/1.wav"):
        (tmp_path / name).parent.mkdir()
        soundfile.write(tmp_path / name, [0.0], 8000)
    found = audio_files.find_recordings(str(tmp_path))
    assert len({recording_id for recording_id, _ in found}) == 2


def test_a_single_file_is_one_recording_and_a_missing_one_is_refused(tmp_path):
    soundfile.write(tmp_path / "DEMO_RN7.wav", [0.0], 8000)
    path = str(tmp_path / "DEMO_RN7.wav")
    assert audio_files.find_recordings(path) == [("7", path)]
    with pytest.raises(config.InputError, match="no such file or folder"):
        audio_files.find_recordings(str(tmp_path / "other.wav"))
