"""One task: the chunks that it writes, and how it treats damaged or unusual recordings."""

import shutil

import numpy as np
import pytest
import soundfile

from bird_tf.audio import activity, decode, frontend
from bird_tf.backbones import backbone
from bird_tf.conversion import worker
from bird_tf.labels import metadata, spans, taxonomy
from bird_tf.records import schema
from tests.conftest import SMALL

RATE = SMALL["sample_rate_hz"]


def _run(folder, *recordings, split="val", classes=("a",), quotas=None, **values):
    """Runs a task. Returns [chunks, noise chunks], and a ConvertedRecording for each recording."""
    task = worker.ShardTask(
        directory=str(folder / "records"),
        name="val-0",
        noise_name="noise-0" if split == "train" else "",
        recordings=recordings,
        quotas=quotas or ({},) * len(recordings),
        classes=taxonomy.Taxonomy(tuple(classes), tuple(classes)),
        front_end=frontend.FrontendConfig(**SMALL),
        **{
            "chunking": decode.ChunkingConfig(),
            "activity": activity.ActivityConfig(),
            "annotated": spans.AnnotationConfig(),
            "backbone": backbone.BackboneConfig(),
            "noise_share": 1.0,
            **values,
        },
    )
    result = worker.write_shard(task)
    found = []
    for shard in result.shards:
        dataset = schema.tf.data.TFRecordDataset(f"{task.directory}/{shard.name}").batch(1000)
        found.append([{k: v.numpy() for k, v in schema.parse(b, task.front_end).items()} for b in dataset])
    return [part[0] if part else None for part in found], result.recordings


def _recording(path, **known):
    return metadata.Recording(**{"recording_id": "1", "path": str(path), "label": "a", **known})


def _sound(seconds, rate=RATE, channels=1, seed=0):
    """A chirp with noise, [samples, channels] float32."""
    generator = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    chirp = np.sin(2 * np.pi * (1500 * t + 100 * np.sin(9 * t))) * (np.sin(5 * t) > 0.3)
    return (0.3 * chirp[:, None] + generator.normal(0, 0.01, (len(t), channels))).astype(np.float32)


def _write(path, sound, rate=RATE, **options):
    soundfile.write(path, sound, rate, **options)
    return path


def _cut(path, share=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def _with(values):
    sound = _sound(2.0)
    sound[RATE + 7] = values
    return sound


def _renamed(path, name):
    return path.rename(path.with_name(name))


def _loop(path):
    path.symlink_to(path)
    return path


# {description: (function that makes the file, expected chunks, words of the reason)}
BAD = {
    "truncated wav": (lambda d: _cut(_write(d / "x.wav", _sound(5))), 3, ""),
    "truncated mp3": (lambda d: _cut(_write(d / "x.mp3", _sound(5))), 3, ""),
    "truncated ogg": (lambda d: _cut(_write(d / "x.ogg", _sound(5))), None, None),
    "truncated flac": (lambda d: _cut(_write(d / "x.flac", _sound(5))), None, None),
    "zero bytes": (lambda d: _cut(_write(d / "x.wav", _sound(1)), 0), 0, "cannot be decoded"),
    "text": (lambda d: shutil.copy(__file__, d / "x.wav"), 0, "cannot be decoded"),
    "one sample": (lambda d: _write(d / "x.wav", _sound(1)[:1]), 1, ""),
    "no sample": (lambda d: _write(d / "x.wav", _sound(1)[:0]), 0, "holds no samples"),
    "NaN": (lambda d: _write(d / "x.wav", _with(np.nan), subtype="FLOAT"), 0, "not finite"),
    "infinite": (lambda d: _write(d / "x.wav", _with(np.inf), subtype="FLOAT"), 0, "not finite"),
    "all zero": (lambda d: _write(d / "x.wav", 0 * _sound(3)), 3, ""),
    "8 kHz": (lambda d: _write(d / "x.wav", _sound(3, 8000), 8000), 3, ""),
    "192 kHz, 24 bit": (lambda d: _write(d / "x.wav", _sound(3, 192000), 192000, subtype="PCM_24"), 3, ""),
    "6 channels": (lambda d: _write(d / "x.wav", _sound(3, channels=6)), 3, ""),
    "flac named mp3": (lambda d: _renamed(_write(d / "x.flac", _sound(3)), "x.mp3"), 3, ""),
    "mp3 named wav": (lambda d: _renamed(_write(d / "x.mp3", _sound(3)), "x.wav"), 3, ""),
    "link to itself": (lambda d: _loop(d / "x.wav"), 0, "cannot be decoded"),
    "a folder": (lambda d: (d / "x.wav").mkdir() or d / "x.wav", 0, "cannot be decoded"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_recording_is_used_or_listed_and_the_next_one_read(tmp_path, what):
    make, count, words = BAD[what]
    (tmp_path / "audio").mkdir()
    good = _recording(_write(tmp_path / "audio" / "good.wav", _sound(2)), recording_id="2")
    [chunks], (converted, after) = _run(tmp_path, _recording(make(tmp_path / "audio")), good)
    assert after.chunks == {"a": 2} and after.reason == ""
    written = converted.chunks.get("a", 0)
    assert list(chunks["recording_id"]) == [b"1"] * written + [b"2"] * 2
    if count is None:  # it depends on the decoder how much of a damaged stream can be read
        assert written > 0 or "cannot be decoded" in converted.reason
        assert written < 5
    else:
        assert written == count
        assert words in converted.reason and bool(converted.reason) == bool(words)


@pytest.mark.slow
def test_three_hours_of_silence_are_listed(tmp_path):
    path = tmp_path / "x.wav"
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        for _ in range(180):
            file.write(np.zeros(60 * RATE, np.int16))
    [chunks, noise], [converted] = _run(tmp_path, _recording(path), split="train", noise_share=0.01)
    assert chunks is None and 50 < len(noise["label"]) < 200
    assert "no chunk reaches --signal_threshold" in converted.reason


def test_training_chunks_are_limited_to_an_interval_of_activity(tmp_path):
    path = _write(tmp_path / "x.wav", np.concatenate([_sound(20, seed=3), 0 * _sound(2)]))
    [everything, noise], _ = _run(tmp_path, _recording(path), split="train")
    lowest, highest = np.percentile(everything["activity"], [30, 70])
    limited = activity.ActivityConfig(interval=activity.ActivityInterval(signal_interval=(lowest, highest)))
    [chunks, same_noise], _ = _run(tmp_path, _recording(path), split="train", activity=limited)
    expected = [v for v in everything["activity"] if lowest <= v <= highest]
    assert 0 < len(expected) < len(everything["label"])
    np.testing.assert_array_equal(chunks["activity"], expected)
    assert len(noise["label"]) == len(same_noise["label"]) == 2


def test_chunks_of_an_annotated_recording_get_the_labels_of_their_spans(tmp_path):
    path = _write(tmp_path / "x.wav", _sound(8))
    marks = (
        metadata.Annotation(start_seconds=0.0, end_seconds=2.0, label="a"),
        metadata.Annotation(start_seconds=1.8, end_seconds=4.0, label="b"),
        metadata.Annotation(start_seconds=4.9, end_seconds=5.3, label="dodo"),
        metadata.Annotation(start_seconds=6.1, end_seconds=6.2, label=""),
    )
    recording = _recording(path, annotations=marks, background_known=True)
    [chunks, noise], [converted] = _run(tmp_path, recording, split="train", classes=("a", "b", "c"))
    assert list(zip(chunks["chunk_index"], chunks["label"], strict=True)) == [(0, 0), (1, 0), (2, 1), (3, 1)]
    # the second chunk holds 0.2 s of b as well; none of the others holds a second species
    assert chunks["background"].tolist() == [[-1], [1], [-1], [-1]]
    assert chunks["background_known"].all()
    # chunks with a species that is no class, or with an unnamed sound, are left out
    assert noise["chunk_index"].tolist() == [7]
    assert converted.chunks == {"a": 2, "b": 2}


def test_a_quota_is_drawn_for_each_label(tmp_path):
    path = _write(tmp_path / "x.wav", _sound(20))
    marks = (
        metadata.Annotation(start_seconds=0.0, end_seconds=10.0, label="a"),
        metadata.Annotation(start_seconds=10.0, end_seconds=20.0, label="b"),
    )
    [chunks, _], [converted] = _run(
        tmp_path, _recording(path, annotations=marks), split="train", classes=("a", "b"), quotas=({"a": 2, "b": 5},)
    )
    assert converted.chunks == {"a": 2, "b": 5}
    assert list(chunks["chunk_index"]) == sorted(chunks["chunk_index"])


@pytest.mark.parametrize(
    ("background", "known", "stored"),
    [((), False, [-1]), ((), True, [-1]), (("b", "dodo", "a"), True, [1])],
    ids=["unknown", "none", "known"],
)
def test_known_no_and_unknown_background_are_written(tmp_path, background, known, stored):
    path = _write(tmp_path / "x.wav", _sound(1))
    recording = _recording(path, background=background, background_known=known)
    [chunks], _ = _run(tmp_path, recording, classes=("a", "b"))
    assert chunks["background_known"].tolist() == [known]
    assert [i for i in chunks["background"][0].tolist() if i >= 0] == [i for i in stored if i >= 0]
