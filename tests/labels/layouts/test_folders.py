import collections

from bird_tf.labels.layouts import reader
from tests.labels.layouts import example_sets


def test_the_folder_is_the_label(tmp_path):
    for name in ("Parus major/deep/1.wav", "Parus major/2.WAV", "Öl käuzchen/1.wav"):
        example_sets.write_wav(tmp_path / name)
    recordings, _ = reader.read(reader.SourceConfig(audio=str(tmp_path)))
    assert collections.Counter(r.label for r in recordings) == {"Parus major": 2, "Öl käuzchen": 1}
    assert len({r.recording_id for r in recordings}) == 3
    assert not any(r.background_known for r in recordings)
