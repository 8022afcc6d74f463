import dataclasses
import json

import numpy as np
import pytest
import scipy.signal

from bird_tf import config, keras, tf
from bird_tf.audio import frontend

# The float32 sums of 1024 products have another order than in librosa, and a logarithm follows. Measured: below 1e-4.
TOLERANCE = 1e-3


@pytest.fixture
def default():
    return frontend.FrontendConfig()


def _bird_like(generator, seconds, rate):
    """Sweeps in noise, which use every band and the whole dynamic range."""
    t = np.arange(round(seconds * rate)) / rate
    sweep = np.sin(2 * np.pi * (2000 + 3000 * t / seconds) * t) * (np.sin(2 * np.pi * 5 * t) > 0)
    return (0.5 * sweep + 0.01 * generator.normal(size=len(t))).astype(np.float32)


def _by_librosa(librosa, samples, front_end):
    """The 2018 spectrogram, computed with librosa."""
    emphasised = librosa.effects.preemphasis(samples, coef=front_end.pre_emphasis, zi=[0.0])
    window = scipy.signal.get_window("hann", front_end.n_fft, fftbins=front_end.n_fft % 2 == 0)
    magnitude = librosa.feature.melspectrogram(
        y=emphasised, sr=front_end.sample_rate_hz, n_fft=front_end.n_fft, hop_length=front_end.hop_length,
        n_mels=front_end.num_bands, fmin=front_end.fmin_hz, fmax=front_end.fmax_hz, power=1.0, pad_mode="reflect",
        window=window,
    )  # fmt: skip
    decibels = librosa.amplitude_to_db(magnitude, ref=np.max, top_db=front_end.top_db)[::-1, : front_end.num_frames]
    return (decibels - decibels.min()) / (decibels.max() - decibels.min())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"chunk_seconds": 3.0, "sample_rate_hz": 32000, "num_bands": 64, "fmin_hz": 150.0, "n_fft": 2048},
        {"num_frames": 128, "pre_emphasis": 0.0, "top_db": 60.0},
        {"num_frames": 33},  # a hop longer than n_fft
        {"n_fft": 779, "num_bands": 32},  # an odd one
        {"num_frames": 1500},  # a short one
        {"num_frames": 2, "chunk_seconds": 257 / 44100, "n_fft": 512, "num_bands": 32},  # the shortest chunk
    ],
)
@pytest.mark.filterwarnings("ignore:n_fft=512 is too large")
def test_spectrograms_match_librosa(librosa, default, generator, changes):
    front_end = dataclasses.replace(default, **changes)
    samples = _bird_like(generator, front_end.chunk_seconds, front_end.sample_rate_hz)
    ours = frontend.spectrograms(samples[None], front_end).numpy()[0]
    assert ours.shape == (front_end.num_bands, front_end.num_frames)
    np.testing.assert_allclose(ours, _by_librosa(librosa, samples, front_end), atol=TOLERANCE)


def test_default_sizes_are_those_of_2018(default):
    assert (default.chunk_samples, default.hop_length) == (44100, 172)
    assert 1 + default.chunk_samples // default.hop_length == 257  # one more than the 256 frames that are used


@pytest.mark.parametrize("num_frames", [2, 33, 128, 256, 400])
def test_the_hop_gives_enough_frames(default, num_frames):
    front_end = dataclasses.replace(default, num_frames=num_frames)
    assert 1 + front_end.chunk_samples // front_end.hop_length >= num_frames
    samples = np.zeros((1, front_end.chunk_samples), np.float32)
    assert frontend.spectrograms(samples, front_end).shape == (1, 128, num_frames)


def test_silence_gives_zeros(default):
    assert not frontend.spectrograms(np.zeros((1, 44100), np.float32), default).numpy().any()


def test_range_is_zero_to_one(default, generator):
    values = frontend.spectrograms(_bird_like(generator, 1, 44100)[None], default).numpy()
    assert values.min() == 0 and values.max() == 1


def test_a_chunk_does_not_depend_on_its_neighbours(default, generator):
    faint, loud = 1e-3 * _bird_like(generator, 1, 44100), _bird_like(generator, 1, 44100)
    alone = frontend.spectrograms(faint[None], default).numpy()[0]
    beside = frontend.spectrograms(np.stack([loud, faint]), default).numpy()[1]
    np.testing.assert_allclose(alone, beside, atol=1e-6)


def test_eager_equals_graph(default, generator):
    samples = _bird_like(generator, 1, 44100)[None]
    graph = tf.function(lambda s: frontend.spectrograms(s, default))
    np.testing.assert_allclose(frontend.spectrograms(samples, default), graph(samples), atol=1e-5)


def test_mixed_precision_does_not_change_spectrograms(default, generator):
    samples = _bird_like(generator, 1, 44100)[None]
    expected = frontend.spectrograms(samples, default).numpy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        np.testing.assert_array_equal(frontend.spectrograms(samples, default).numpy(), expected)
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("frequency_hz", [700.0, 3000.0, 7473.0, 11000.0, 14800.0])
def test_linear_scale_shows_a_tone_in_its_band(default, frequency_hz):
    front_end = dataclasses.replace(default, scale="linear")
    tone = np.sin(2 * np.pi * frequency_hz * np.arange(44100) / 44100).astype(np.float32)
    row = int(frontend.spectrograms(tone[None], front_end).numpy()[0].mean(axis=1).argmax())
    spacing = (front_end.fmax_hz - front_end.fmin_hz) / (front_end.num_bands + 1)
    from_row = front_end.fmin_hz + spacing * (front_end.num_bands - row)  # the top row is the highest band
    assert abs(from_row - frequency_hz) <= spacing


def test_linear_bands_cover_exactly_fmin_to_fmax(default):
    front_end = dataclasses.replace(default, scale="linear")
    bins_hz = np.arange(513) * 44100 / 1024
    covered = frontend.filter_bank(front_end).sum(axis=0) > 0
    np.testing.assert_array_equal(covered, (bins_hz > front_end.fmin_hz) & (bins_hz < front_end.fmax_hz))


@pytest.mark.parametrize(
    ("rate", "n_fft", "bands", "fmin", "fmax"),
    [
        (44100, 1024, 128, 500, 15000),
        (32000, 1024, 64, 300, 15000),
        (48000, 2048, 96, 0, 24000),
        (22050, 512, 40, 50.5, 11025),
        (16000, 400, 16, 1000, 8000),
        (250000, 1023, 1, 1234.5, 3000),
        (8000, 256, 4, 0, 900),
    ],
)
def test_mel_filter_bank_is_that_of_librosa_bit_for_bit(librosa, rate, n_fft, bands, fmin, fmax):
    front_end = frontend.FrontendConfig(
        sample_rate_hz=rate, n_fft=n_fft, num_bands=bands, fmin_hz=fmin, fmax_hz=fmax, num_frames=64
    )
    expected = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=bands, fmin=fmin, fmax=fmax)
    np.testing.assert_array_equal(frontend.filter_bank(front_end), expected)


def test_every_field_changes_the_fingerprint(default):
    changes = {
        "sample_rate_hz": 48000, "chunk_seconds": 2.0, "scale": "linear", "num_bands": 64, "num_frames": 128,
        "n_fft": 2048, "fmin_hz": 400.0, "fmax_hz": 14000.0, "pre_emphasis": 0.9, "top_db": 70.0,
    }  # fmt: skip
    assert set(changes) == {field.name for field in dataclasses.fields(default)}
    prints = {dataclasses.replace(default, **{name: value}).fingerprint for name, value in changes.items()}
    assert len(prints | {default.fingerprint}) == len(changes) + 1


def test_from_description_reads_what_describe_writes(default):
    assert frontend.from_description(frontend.describe(default), "here") == default


def test_another_version_is_refused_with_the_differing_fields(default):
    old = {**frontend.describe(default), "version": 0}
    old["config"] = {**old["config"], "window": "hann"}
    with pytest.raises(config.InputError, match=r"records/x.*version 0.*window"):
        frontend.from_description(old, "records/x")
    with pytest.raises(config.InputError, match=r"records/x: a newer bird_tf wrote it"):
        frontend.from_description({**old, "version": frontend.VERSION + 1}, "records/x")


def test_an_edited_description_is_refused(default):
    edited = frontend.describe(default)
    edited["config"]["num_bands"] = 64
    with pytest.raises(config.InputError, match="fingerprint"):
        frontend.from_description(edited, "here")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fmax_hz": 30000.0}, "--fmax_hz=30000"),
        ({"fmin_hz": 15000.0}, "--fmin_hz=15000"),
        ({"chunk_seconds": 0.01}, "--chunk_seconds=0.01"),
        ({"num_frames": 1}, "--num_frames=1"),
        ({"pre_emphasis": 1.5}, "--pre_emphasis=1.5"),
    ],
)
def test_invalid_settings_are_refused(default, changes, words):
    with pytest.raises(config.InputError, match=words):
        dataclasses.replace(default, **changes)


def test_bands_without_a_fourier_bin_are_refused(default):
    with pytest.raises(config.InputError, match="--num_bands=1024"):
        frontend.filter_bank(dataclasses.replace(default, scale="linear", num_bands=1024))


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaterConfig(frontend.FrontendConfig):
    """The front-end of a later version, with a new field whose default changes nothing."""

    sharpness: float = config.option(0.0, "a new field")


def test_a_later_field_at_its_default_leaves_descriptions_and_fingerprints_as_they_were(default, monkeypatch):
    described, later = frontend.describe(default), LaterConfig()
    assert later.fingerprint == default.fingerprint and frontend.describe(later) == described
    assert dataclasses.replace(later, sharpness=1.0).fingerprint != default.fingerprint
    stored = json.loads(json.dumps(frontend.describe(dataclasses.replace(later, sharpness=1.0))))
    with pytest.raises(config.InputError, match="fields sharpness: convert"):
        frontend.from_description(stored, "records")
    monkeypatch.setattr(frontend, "FrontendConfig", LaterConfig)
    assert frontend.from_description(described, "records") == later
    assert frontend.from_description(stored, "records").sharpness == 1.0


def test_a_description_without_one_of_the_first_fields_is_refused(default):
    described = frontend.describe(default)
    del described["config"]["top_db"]
    with pytest.raises(config.InputError, match="fields top_db: convert"):
        frontend.from_description(described, "records")


def test_the_fingerprint_of_the_2018_front_end_does_not_change(default):
    """As in the records and models that earlier versions wrote."""
    assert default.fingerprint == "2609095217006e5e67a2ee5b79d21ee0"


@pytest.mark.parametrize("top_db", [60.0, 80.0])
def test_the_powers_of_pixels_are_those_of_the_sound(librosa, default, generator, top_db):
    """Relative to each other, above the floor."""
    front_end = dataclasses.replace(default, top_db=top_db, pre_emphasis=0.0)
    samples = generator.normal(0, 0.1, (1, front_end.chunk_samples)).astype(np.float32)
    samples[:, : front_end.chunk_samples // 2] = 0.0  # the whole range is used
    pixels = frontend.spectrograms(samples, front_end)
    power = frontend.powers(pixels, front_end).numpy()
    frames = librosa.feature.melspectrogram(
        y=samples[0], sr=front_end.sample_rate_hz, n_fft=front_end.n_fft, hop_length=front_end.hop_length,
        n_mels=front_end.num_bands, fmin=front_end.fmin_hz, fmax=front_end.fmax_hz, power=1.0, pad_mode="reflect",
    )[::-1, : front_end.num_frames] ** 2  # fmt: skip
    loud = frames > frames.max() / 1e4
    ratio = power[0][loud] / frames[loud]
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=0.01)
    np.testing.assert_allclose(frontend.from_powers(power, front_end), pixels, atol=1e-5)


def test_quantisation_is_exact_to_half_a_step(generator):
    values = generator.random((4, 8, 8)).astype(np.float32)
    stored = frontend.quantise(values)
    assert stored.dtype == tf.uint8
    np.testing.assert_allclose(frontend.dequantise(stored), values, atol=0.5 / 255 + 1e-7)
    np.testing.assert_array_equal(frontend.quantise(frontend.dequantise(stored)), stored)
