import numpy as np
import pytest
import soundfile

from bird_tf import config
from bird_tf.evaluation import mixtures
from bird_tf.records import shard_files
from tests import conftest


def test_the_clearest_chunk_of_each_validation_recording_is_a_call(manifest):
    spans = mixtures.spans(manifest, "val")
    calls = mixtures.clearest_calls(manifest, {recording: f"{recording}.wav" for recording, *_ in spans})
    assert len(calls) == len({recording for recording, *_ in spans}) == manifest.num_recordings["val"]
    for path, start, class_id in calls:
        own = [span for span in spans if f"{span[0]}.wav" == path]
        _, best, label, _ = max(own, key=lambda span: span[3])
        assert (start, class_id) == (best, manifest.classes.class_ids[label])


def test_calls_without_further_known_species_are_preferred_where_enough_are_left(manifest, monkeypatch, caplog):
    calls = [(f"{name}.wav", float(name == "a2"), name[0]) for name in ("a1", "a2", "b1", "b2", "b3")]
    paths = {name[:2]: name for name, _, _ in calls}
    # the chunk of a1 holds another species, and two of three calls of b
    monkeypatch.setattr(mixtures, "_shared", lambda _: iter([("a1", 0.0), ("a2", 0.0), ("b1", 0.0), ("b3", 0.0)]))
    assert mixtures.without_others(manifest, paths, calls) == calls[1:]
    assert "2 of 4 calls are of chunks in which further species are known" in caplog.text
    caplog.clear()
    assert mixtures.without_others(manifest, paths, calls[:2]) == calls[1:2] and not caplog.text


def test_chunks_with_known_background_species_are_found(manifest):
    batches = [batch["background"].numpy() for batch in shard_files.read(manifest, "val", 256, ())]
    known = [index >= 0 for background in batches for index in background.max(axis=1, initial=-1)]
    assert len(list(mixtures._shared(manifest))) == sum(known)


def test_equal_seeds_give_equal_mixtures_and_noise_lies_under_the_calls(manifest, tmp_path):
    rate = manifest.front_end.sample_rate_hz
    times = np.arange(2 * rate) / rate
    for name, frequency in (("call", 3000), ("noise", 500)):
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * np.sin(2 * np.pi * frequency * times), rate)
    settings = mixtures.MixtureConfig(num_mixtures=1, seconds=4.0, calls=1, ratio_db=(20.0, 20.0))
    calls, noise = [(str(tmp_path / "call.wav"), 0.5, "a")], [(str(tmp_path / "noise.wav"), 0.0)]
    for output in ("one", "two"):
        assert mixtures.Mixer(settings, manifest, calls, noise).write(str(tmp_path / output), 7) == 1
    first, second = (tmp_path / o / "mixtures" / "mix000.wav" for o in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
    mixed, _ = soundfile.read(first)
    power = np.abs(np.fft.rfft(mixed)) ** 2
    call, bed = (power[4 * f - 40 : 4 * f + 40].sum() for f in (3000, 500))
    assert 10 * np.log10(call / (bed / 4)) == pytest.approx(20, abs=1)  # one second of four
    assert (tmp_path / "one" / "noise.csv").read_text().count("\n") == 1
    [row] = conftest.table(tmp_path / "one" / "mixtures.csv")
    assert row["cut_from"] == str(tmp_path / "call.wav")


def test_silent_stretches_are_no_noise(manifest, tmp_path, generator):
    rate, length = manifest.front_end.sample_rate_hz, manifest.front_end.chunk_seconds
    samples = generator.normal(0, 0.1, round(3.5 * length * rate))
    samples[round(length * rate) : round(2 * length * rate)] = 0
    for name, some in (("a", samples), ("b", samples[: rate // 10]), ("silent", np.zeros(rate))):
        soundfile.write(tmp_path / f"{name}.wav", some, rate)
    a, b = (str(tmp_path / f"{name}.wav") for name in "ab")
    assert mixtures.stretches(str(tmp_path), manifest) == [(a, 0.0), (a, 2 * length), (b, 0.0)]
    for path in (a, b):
        (tmp_path / path).unlink()
    with pytest.raises(config.InputError, match="no recording there has any sound"):
        mixtures.stretches(str(tmp_path), manifest)


@pytest.mark.parametrize("seconds", [0.01, 3.0, 7.98, 8.0])
def test_noise_is_as_loud_at_its_end_as_before(manifest, tmp_path, generator, seconds):
    rate = manifest.front_end.sample_rate_hz
    soundfile.write(tmp_path / "noise.wav", generator.normal(0, 0.1, 2 * rate), rate)
    noise = [(str(tmp_path / "noise.wav"), start) for start in (0, 1)]
    bed = mixtures.Mixer(mixtures.MixtureConfig(seconds=seconds), manifest, [], noise).bed(generator)
    assert len(bed) == round(seconds * rate)
    end = bed[-round(0.05 * rate) :]
    assert 0 < np.sqrt(np.mean(np.square(end))) < 1.3 and np.abs(bed).max() < 6


@pytest.mark.parametrize(
    "values", [{"num_mixtures": 0}, {"seconds": 0.0}, {"calls": 0}, {"ratio_db": (1.0,)}, {"ratio_db": (20.0, 0.0)}]
)
def test_what_cannot_be_mixed_is_refused(values):
    with pytest.raises(config.InputError, match=f"--{next(iter(values))}="):
        mixtures.MixtureConfig(**values)


def test_a_persons_own_files_stay(manifest, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 44100), 22050)
    settings = mixtures.MixtureConfig(num_mixtures=1, seconds=2.0, calls=1)
    mixer = mixtures.Mixer(settings, manifest, [(str(tmp_path / "a.wav"), 0.0, "a")], [(str(tmp_path / "a.wav"), 0.0)])
    (tmp_path / "mixtures").mkdir()
    own = tmp_path / "mixtures" / "mix000.wav"
    own.write_text("mine")
    with pytest.raises(config.InputError, match="is there already, and is not of a mixing"):
        mixer.write(str(tmp_path), 0)
    assert own.read_text() == "mine"
