"""The chunks of a recording, and what its labels say of them, by a whole task."""

from bird_tf.labels import metadata
from tests.conversion.test_worker import _recording, _run, _sound, _write


def test_chunks_of_an_annotated_recording_get_the_labels_of_their_spans(tmp_path):
    path = _write(tmp_path / "x.wav", _sound(8))
    marks = (
        metadata.Annotation(start_seconds=0.0, end_seconds=2.0, label="a"),
        metadata.Annotation(start_seconds=1.8, end_seconds=4.0, label="b"),
        metadata.Annotation(start_seconds=4.9, end_seconds=5.3, label="dodo"),
        metadata.Annotation(start_seconds=6.1, end_seconds=6.2, label=""),
    )
    recording = _recording(path, annotations=marks, background_known=True)
    found, [converted] = _run(tmp_path, recording, split="train", classes=("a", "b", "c"))
    chunks = found["train"]
    assert list(zip(chunks["chunk_index"], chunks["label"], strict=True)) == [(0, 0), (1, 0), (2, 1), (3, 1)]
    # the second chunk holds 0.2 s of b as well; none of the others holds a second species
    assert chunks["background"].tolist() == [[-1], [1], [-1], [-1]]
    assert chunks["background_known"].all()
    # chunks with a species that is no class, or with an unnamed sound, are left out
    assert found["noise"]["chunk_index"].tolist() == [7] and found["rest"] is None
    assert converted.chunks == converted.candidates == {"a": 2, "b": 2}


def test_the_background_of_a_chunk_with_an_unnamed_sound_is_not_known(tmp_path):
    marks = (
        metadata.Annotation(start_seconds=0.0, end_seconds=2.0, label="a"),
        metadata.Annotation(start_seconds=1.2, end_seconds=1.4, label=""),
    )
    recording = _recording(_write(tmp_path / "x.wav", _sound(2)), annotations=marks, background_known=True)
    found, _ = _run(tmp_path, recording, split="train", classes=("a", "b"))
    assert found["train"]["background_known"].tolist() == [True, False]


def test_what_a_damaged_file_lacks_gives_no_chunk_and_the_others_keep_their_times(tmp_path):
    path = _write(tmp_path / "x.flac", _sound(10))
    content = bytearray(path.read_bytes())
    first, last = int(0.41 * len(content)), int(0.59 * len(content))
    content[first:last] = bytes(last - first)
    path.write_bytes(content)
    found, [converted] = _run(tmp_path, _recording(path))
    times = found["val"]["start_seconds"].tolist()
    assert times[:4] == [0, 1, 2, 3] and times[-4:] == [6, 7, 8, 9] and len(times) in (8, 9)
    assert "of 10.0 s cannot be decoded" in converted.reason and converted.seconds == 10
