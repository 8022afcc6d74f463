"""One task: the chunks that it writes, and how it treats damaged or unusual recordings."""

import shutil

import numpy as np
import pytest
import soundfile

from bird_tf.audio import activity, decode, frontend
from bird_tf.conversion import shard_tasks, worker
from bird_tf.labels import metadata, spans, taxonomy
from bird_tf.records import schema, selection
from tests.conftest import SMALL

RATE = SMALL["sample_rate_hz"]


def _run(folder, *recordings, split="val", classes=("a",), **values):
    """Runs a task. Returns {split: its chunks, None without one}, and a ConvertedRecording for each recording."""
    task = shard_tasks.ShardTask(
        directory=str(folder / "records"),
        split=split,
        number=0,
        total=1,
        recordings=recordings,
        classes=taxonomy.Taxonomy(tuple(classes), tuple(classes)),
        front_end=frontend.FrontendConfig(**SMALL),
        **{
            "chunking": decode.ChunkingConfig(),
            "activity": activity.ActivityConfig(),
            "annotated": spans.AnnotationConfig(),
            "max_chunks_per_class": 0,
            "noise_share": 1.0,
            **values,
        },
    )
    result = worker.write_shard(task)
    found, features = {}, [schema.spectrogram_feature(task.front_end)]
    for shard in result.shards:
        dataset = schema.tf.data.TFRecordDataset(f"{task.directory}/{shard.name}").batch(100_000)
        parsed = [{**schema.parse(batch, features), **schema.parse_order(batch)} for batch in dataset]
        found[shard.name.split("-")[0]] = {k: v.numpy() for k, v in parsed[0].items()} if parsed else None
    return found, result.recordings


def _recording(path, **known):
    return metadata.Recording(**{"recording_id": "1", "path": str(path), "label": "a", **known})


def _sound(seconds, rate=RATE, channels=1, seed=0):
    """A chirp with noise, [samples, channels] float32."""
    generator = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    chirp = np.sin(2 * np.pi * (1500 * t + 100 * np.sin(9 * t))) * (np.sin(5 * t) > 0.3)
    return (0.3 * chirp[:, None] + generator.normal(0, 0.01, (len(t), channels))).astype(np.float32)


def _hiss(seconds):
    """Noise without activity, [samples, 1] float32."""
    return np.random.default_rng(1).normal(0, 0.001, (round(seconds * RATE), 1)).astype(np.float32)


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


def _patched(path, at, content):
    """Puts other bytes into a file."""
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(content)
    return path


def _renamed(path, name):
    return path.rename(path.with_name(name))


def _loop(path):
    path.symlink_to(path)
    return path


# {description: (function that makes the file, expected chunks, words of the reason)}
BAD = {
    "truncated wav": (lambda d: _cut(_write(d / "x.wav", _sound(5))), 3, "2.0 of 5.0 s cannot be decoded"),
    "truncated mp3": (lambda d: _cut(_write(d / "x.mp3", _sound(5))), 3, "s cannot be decoded"),
    "truncated ogg": (lambda d: _cut(_write(d / "x.ogg", _sound(5))), 2, "s cannot be decoded"),
    "truncated flac": (lambda d: _cut(_write(d / "x.flac", _sound(5))), 3, "s cannot be decoded"),
    "zero bytes": (lambda d: _cut(_write(d / "x.wav", _sound(1)), 0), 0, "is empty (0 bytes)"),
    "text": (lambda d: shutil.copy(__file__, d / "x.wav"), 0, "cannot be decoded (it is text"),
    "a web page": (lambda d: shutil.copy(__file__, d / "x.m4a"), 0, "it is text, as a web page"),
    "one sample": (lambda d: _write(d / "x.wav", _sound(1)[:1]), 1, ""),
    "no sample": (lambda d: _write(d / "x.wav", _sound(1)[:0]), 0, "holds no samples"),
    "NaN": (lambda d: _write(d / "x.wav", _with(np.nan), subtype="FLOAT"), 2, "not finite"),
    "infinite": (lambda d: _write(d / "x.wav", _with(np.inf), subtype="FLOAT"), 2, "not finite"),
    "2^30 Hz": (
        lambda d: _patched(_write(d / "x.wav", _sound(3)), 24, (1 << 30).to_bytes(4, "little")),
        0,
        "header says",
    ),
    "m4a without sound": (
        lambda d: _renamed(_patched(_write(d / "x.wav", _sound(1)), 0, b"\0\0\0\x20ftypM4A "), "x.m4a"),
        0,
        "x.m4a: ",
    ),
    "all zero": (lambda d: _write(d / "x.wav", 0 * _sound(3)), 3, ""),
    "8 kHz": (lambda d: _write(d / "x.wav", _sound(3, 8000), 8000), 3, ""),
    "192 kHz, 24 bit": (lambda d: _write(d / "x.wav", _sound(3, 192000), 192000, subtype="PCM_24"), 3, ""),
    "6 channels": (lambda d: _write(d / "x.wav", _sound(3, channels=6)), 3, ""),
    "flac named mp3": (lambda d: _renamed(_write(d / "x.flac", _sound(3)), "x.mp3"), 3, ""),
    "mp3 named wav": (lambda d: _renamed(_write(d / "x.mp3", _sound(3)), "x.wav"), 3, ""),
    "link to itself": (lambda d: _loop(d / "x.wav"), 0, "cannot be opened"),
    "a folder": (lambda d: (d / "x.wav").mkdir() or d / "x.wav", 0, "is not a file"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_recording_is_used_or_listed_and_the_next_one_read(tmp_path, what):
    make, count, words = BAD[what]
    (tmp_path / "audio").mkdir()
    good = _recording(_write(tmp_path / "audio" / "good.wav", _sound(2)), recording_id="2")
    found, (converted, after) = _run(tmp_path, _recording(make(tmp_path / "audio")), good)
    assert after.chunks == {"a": 2} and after.reason == ""
    written = converted.chunks.get("a", 0)
    assert list(found["val"]["recording_id"]) == [b"1"] * written + [b"2"] * 2
    assert written == count
    assert words in converted.reason and bool(converted.reason) == bool(words)


def test_a_recording_is_as_long_as_its_sound_not_as_its_chunks(tmp_path):
    lengths = (0.3, 1.87, 3.0)
    given = [_recording(_write(tmp_path / f"{i}.wav", _sound(s)), recording_id=str(i)) for i, s in enumerate(lengths)]
    _, converted = _run(tmp_path, *given)
    assert [each.seconds for each in converted] == pytest.approx(lengths, abs=1 / RATE)


@pytest.mark.slow
def test_three_hours_of_silence_are_listed(tmp_path):
    path = tmp_path / "x.wav"
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        for _ in range(180):
            file.write(np.zeros(60 * RATE, np.int16))
    found, [converted] = _run(tmp_path, _recording(path), split="train", noise_share=0.01)
    assert found["train"] is None and found["noise"] is None and len(found["rest"]["label"]) > 200
    assert "no chunk reaches --signal_threshold" in converted.reason


def test_training_chunks_are_limited_to_an_interval_of_activity(tmp_path):
    path = _write(tmp_path / "x.wav", np.concatenate([_sound(20, seed=3), _hiss(2)]))
    before, _ = _run(tmp_path, _recording(path), split="train")
    everything = before["train"]
    lowest, highest = np.percentile(everything["activity"], [30, 70])
    limited = activity.ActivityConfig(interval=activity.ActivityInterval(signal_interval=(lowest, highest)))
    after, _ = _run(tmp_path, _recording(path), split="train", activity=limited)
    expected = [v for v in everything["activity"] if lowest <= v <= highest]
    assert 0 < len(expected) < len(everything["label"])
    np.testing.assert_array_equal(after["train"]["activity"], expected)
    assert len(before["noise"]["label"]) == len(after["noise"]["label"]) == 2
    assert len(after["train"]["label"]) + len(after["rest"]["label"]) == 22


@pytest.mark.parametrize("marks", [(), (metadata.Annotation(start_seconds=0.0, end_seconds=4.0, label="a"),)])
def test_a_recording_outside_of_the_interval_of_activity_is_told_as_such(tmp_path, marks):
    path = _write(tmp_path / "x.wav", _sound(4))
    limited = activity.ActivityConfig(interval=activity.ActivityInterval(signal_interval=(0.9, 1.0)))
    _, [converted] = _run(tmp_path, _recording(path, annotations=marks), split="train", activity=limited)
    assert converted.reason.endswith("no chunk has an activity in --signal_interval=0.9,1.0")


def test_with_a_cap_chunks_are_ranked_in_each_recording_and_class(tmp_path):
    path = _write(tmp_path / "x.wav", _sound(20))
    marks = (
        metadata.Annotation(start_seconds=0.0, end_seconds=3.0, label="a"),
        metadata.Annotation(start_seconds=3.0, end_seconds=20.0, label="b"),
    )
    recording = _recording(path, annotations=marks)
    found, [converted] = _run(tmp_path, recording, split="train", classes=("a", "b"), max_chunks_per_class=5)
    assert converted.chunks == converted.candidates == {"a": 3, "b": 17}
    assert list(found["train"]["chunk_index"]) == sorted(found["train"]["chunk_index"])
    ranked = [sorted(found["train"]["training_order"][found["train"]["label"] == label]) for label in (0, 1)]
    assert ranked == [[selection.order(rank, "1") for rank in range(count)] for count in (3, 5)]
    assert set(found["rest"]["training_order"]) == {selection.NEVER}
    judged, _ = _run(tmp_path, recording, classes=("a", "b"), max_chunks_per_class=5)
    both = (
        np.concatenate([found[part]["training_order"] for part in ("train", "rest")]),
        judged["val"]["training_order"],
    )
    assert sorted(both[0]) == sorted(both[1])


def test_the_side_of_the_split_changes_no_chunk(tmp_path):
    path = _write(tmp_path / "x.wav", np.concatenate([_sound(6, seed=3), _hiss(4)]))
    train, _ = _run(tmp_path, _recording(path), split="train", noise_share=0.5)
    val, _ = _run(tmp_path, _recording(path), noise_share=0.5)
    assert len(val["val"]["label"]) == 10 and 0 < len(val["val_noise"]["label"]) < 4
    np.testing.assert_array_equal(val["val_noise"]["chunk_index"], train["noise"]["chunk_index"])
    trains = val["val"]["training_order"] != selection.NEVER
    for part, kept in (("train", trains), ("rest", ~trains)):
        np.testing.assert_array_equal(val["val"]["spectrogram"][kept], train[part]["spectrogram"])


@pytest.mark.parametrize(
    ("background", "known", "stored"),
    [((), False, [-1]), ((), True, [-1]), (("b", "dodo", "a"), True, [1])],
    ids=["unknown", "none", "known"],
)
def test_known_no_and_unknown_background_are_written(tmp_path, background, known, stored):
    path = _write(tmp_path / "x.wav", _sound(1))
    recording = _recording(path, background=background, background_known=known)
    found, _ = _run(tmp_path, recording, classes=("a", "b"))
    assert found["val"]["background_known"].tolist() == [known]
    assert [i for i in found["val"]["background"][0].tolist() if i >= 0] == [i for i in stored if i >= 0]


def test_the_channel_of_the_flag_is_converted_and_one_that_is_not_there_told(tmp_path):
    sound = _sound(3)
    path = _write(tmp_path / "x.wav", np.concatenate([0 * sound, sound], axis=1))
    chunking = [decode.ChunkingConfig(channel=channel) for channel in ("1", "2", "3", "loudest")]
    digests = []
    for settings in chunking:
        _, [converted] = _run(tmp_path, _recording(path), chunking=settings)
        digests.append(converted.digest)
        assert ("has 2 channels, and not the one of --channel=3" in converted.reason) == (settings.channel == "3")
    assert len(set(digests)) == 3 and digests[1] == digests[3] and digests[2] == ""


def test_channels_that_cancel_are_warned_of(tmp_path):
    sound = _sound(3)
    path = _write(tmp_path / "x.wav", np.concatenate([sound, -sound], axis=1))
    _, [converted] = _run(tmp_path, _recording(path))
    assert "opposite polarity" in converted.warnings[0] and converted.chunks == {"a": 3}


def test_digital_silence_is_no_noise(tmp_path):
    path = _write(tmp_path / "a.wav", np.concatenate([_sound(2), np.zeros((2 * RATE, 1)), _sound(1)]))
    dead = _write(tmp_path / "dead.wav", np.zeros(2 * RATE))
    negative = {"label": "", "negative": True}
    recordings = _recording(path, **negative), _recording(dead, recording_id="2", **negative)
    found, converted = _run(tmp_path, *recordings, split="train")
    assert found["noise"]["chunk_index"].tolist() == [0, 1, 4] and converted[0].reason == ""
    assert "nothing but silence" in converted[1].reason


def test_only_the_chunks_that_are_asked_for_are_written(tmp_path):
    path = _write(tmp_path / "a.wav", _sound(5))
    unlabelled = _recording(path, label="", negative=True)
    found, [converted] = _run(tmp_path, unlabelled, split="train", kept={"1": frozenset({1, 4})})
    assert found["noise"]["chunk_index"].tolist() == [1, 4] and found["train"] is None
    assert converted.noise == {"a": 2} and converted.digest
