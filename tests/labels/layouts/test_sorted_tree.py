import json

import pytest

from bird_tf.labels import split
from bird_tf.labels.layouts import reader
from tests.labels.layouts import example_sets


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
    recordings, _ = reader.read(reader.SourceConfig(audio=str(tmp_path)))
    assert [(r.recording_id, r.split) for r in recordings] == [("a", "train"), ("b", "val")]
    assert {r.label for r in recordings} == {"parmaj" if with_metadata else "Parus major"}
    assert recordings[0].background == (("Turdus merula", "Sitta s") if with_metadata else ())
    assert split.split(recordings, split.SplitConfig(val_share=0.5)) == recordings
