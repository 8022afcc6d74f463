"""One task: which chunks it writes, and what becomes of recordings that are bad in some way."""

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
    """Runs a task on recordings; returns its chunks, its noise chunks, and the outcomes."""
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
            "teacher": backbone.BackboneConfig(),
            "noise_share": 1.0,
            **values,
        },
    )
    result = worker.write_shard(task)
    found = []
    for shard in result.shards:
        dataset = schema.tf.data.TFRecordDataset(f"{task.directory}/{shard.name}").batch(1000)
        found.append([{k: v.numpy() for k, v in schema.parse(b, task.front_end).items()} for b in dataset])
    return [part[0] if part else None for part in found], result.outcomes


def _recording(path, **known):
    return metadata.Recording(**{"recording_id": "1", "path": str(path), "label": "a", **known})


def _sound(seconds, rate=RATE, channels=1, seed=0):
    """Noise with a chirp in it, [samples, channels] float32."""
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


# what it is: (how to make it, chunks expected, words of the reason)
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
    "link in a circle": (lambda d: _loop(d / "x.wav"), 0, "cannot be decoded"),
    "a folder": (lambda d: (d / "x.wav").mkdir() or d / "x.wav", 0, "cannot be decoded"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_recording_is_used_or_listed_and_the_next_one_read(tmp_path, what):
    make, count, words = BAD[what]
    (tmp_path / "audio").mkdir()
    good = _recording(_write(tmp_path / "audio" / "good.wav", _sound(2)), recording_id="2")
    [chunks], (outcome, after) = _run(tmp_path, _recording(make(tmp_path / "audio")), good)
    assert after.chunks == {"a": 2} and after.reason == ""
    written = outcome.chunks.get("a", 0)
    assert list(chunks["recording_id"]) == [b"1"] * written + [b"2"] * 2
    if count is None:  # how much of a damaged stream comes out is the decoder's affair; nothing is hidden
        assert written > 0 or "cannot be decoded" in outcome.reason
        assert written < 5
    else:
        assert written == count
        assert words in outcome.reason and bool(outcome.reason) == bool(words)


@pytest.mark.slow
def test_three_hours_of_silence_are_listed(tmp_path):
    path = tmp_path / "x.wav"
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        for _ in range(180):
            file.write(np.zeros(60 * RATE, np.int16))
    [chunks, noise], [outcome] = _run(tmp_path, _recording(path), split="train", noise_share=0.01)
    assert chunks is None and 50 < len(noise["label"]) < 200
    assert "no chunk reaches --signal_threshold" in outcome.reason


def test_training_is_restricted_to_an_interval_of_signal_to_noise(tmp_path):
    path = _write(tmp_path / "x.wav", np.concatenate([_sound(20, seed=3), 0 * _sound(2)]))
    [everything, noise], _ = _run(tmp_path, _recording(path), split="train")
    lowest, highest = np.percentile(everything["signal_to_noise"], [30, 70])
    limited = activity.ActivityConfig(signal_interval=(lowest, highest))
    [chunks, still], _ = _run(tmp_path, _recording(path), split="train", activity=limited)
    wanted = [v for v in everything["signal_to_noise"] if lowest <= v <= highest]
    assert 0 < len(wanted) < len(everything["label"])
    np.testing.assert_array_equal(chunks["signal_to_noise"], wanted)
    assert len(noise["label"]) == len(still["label"]) == 2


def test_chunks_of_an_annotated_recording_get_the_labels_of_their_spans(tmp_path):
    path = _write(tmp_path / "x.wav", _sound(8))
    marks = (
        metadata.Annotation(start_seconds=0.0, end_seconds=2.0, label="a"),
        metadata.Annotation(start_seconds=1.8, end_seconds=4.0, label="b"),
        metadata.Annotation(start_seconds=4.9, end_seconds=5.3, label="dodo"),
        metadata.Annotation(start_seconds=6.1, end_seconds=6.2, label=""),
    )
    recording = _recording(path, annotations=marks, background_known=True)
    [chunks, noise], [outcome] = _run(tmp_path, recording, split="train", classes=("a", "b", "c"))
    assert list(zip(chunks["chunk_index"], chunks["label"], strict=True)) == [(0, 0), (1, 0), (2, 1), (3, 1)]
    # the second chunk holds 0.2 s of b as well; none of the others holds a second species
    assert chunks["background"].tolist() == [[-1], [1], [-1], [-1]]
    assert chunks["background_known"].all()
    # a species that is no class, and a sound that nobody could name, are neither example nor noise
    assert noise["chunk_index"].tolist() == [7]
    assert outcome.chunks == {"a": 2, "b": 2}


def test_a_quota_is_drawn_for_each_label(tmp_path):
    path = _write(tmp_path / "x.wav", _sound(20))
    marks = (
        metadata.Annotation(start_seconds=0.0, end_seconds=10.0, label="a"),
        metadata.Annotation(start_seconds=10.0, end_seconds=20.0, label="b"),
    )
    [chunks, _], [outcome] = _run(
        tmp_path, _recording(path, annotations=marks), split="train", classes=("a", "b"), quotas=({"a": 2, "b": 5},)
    )
    assert outcome.chunks == {"a": 2, "b": 5}
    assert list(chunks["chunk_index"]) == sorted(chunks["chunk_index"])


@pytest.mark.parametrize(
    ("background", "known", "stored"),
    [((), False, [-1]), ((), True, [-1]), (("b", "dodo", "a"), True, [1])],
    ids=["unknown", "none", "known"],
)
def test_background_known_none_and_unknown_reach_the_records(tmp_path, background, known, stored):
    path = _write(tmp_path / "x.wav", _sound(1))
    recording = _recording(path, background=background, background_known=known)
    [chunks], _ = _run(tmp_path, recording, classes=("a", "b"))
    assert chunks["background_known"].tolist() == [known]
    assert [i for i in chunks["background"][0].tolist() if i >= 0] == [i for i in stored if i >= 0]
