"""THE definition of chunk → spectrogram, in TensorFlow operations. Converter, export and tests use it.

Each statistic is of one chunk alone, and all numbers are float32 under any Keras policy.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bird_tf import config, files, stored, tf
from bird_tf.audio import mel

# A change in the numbers of `spectrograms` needs a new version. Records of other versions are refused.
VERSION = 1
# The fields that every description states. A field that came later must have a default that changes nothing: where it
# has that value it is neither described nor in the fingerprint, so that older records and models stay readable.
_FIRST_FIELDS = frozenset({
    "sample_rate_hz", "chunk_seconds", "scale", "num_bands", "num_frames", "n_fft", "fmin_hz", "fmax_hz",
    "pre_emphasis", "top_db",
})  # fmt: skip

_MOST_SAMPLES = 2**28  # of a chunk: 1 GB

# the floor of librosa.amplitude_to_db, with which the 2018 spectrograms were made
_AMPLITUDE_FLOOR = 1e-5
# the natural logarithm of the power of one decibel; that of the amplitude is half of it
_NEPERS = np.log(10.0) / 10.0

# more groups of bands multiply fewer zeros, but in smaller products; of 1, 4 and 8 groups, 4 were fastest
_BAND_GROUPS = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrontendConfig:
    """The settings that decide the spectrogram of a chunk, and no others. The defaults are those of 2018."""

    sample_rate_hz: int = config.option(44100, "sample rate to which recordings are resampled, Hz")
    chunk_seconds: float = config.option(1.0, "length of a chunk, seconds")
    scale: str = config.option("mel", "frequency scale of the bands", choices=("mel", "linear"))
    num_bands: int = config.option(128, "height of a spectrogram, bands")
    num_frames: int = config.option(256, "width of a spectrogram, frames; it decides the hop")
    n_fft: int = config.option(1024, "length of the Fourier transform and its Hann window, samples")
    fmin_hz: float = config.option(500.0, "lower edge of the lowest band, Hz")
    fmax_hz: float = config.option(15000.0, "upper edge of the highest band, Hz")
    pre_emphasis: float = config.option(0.95, "coefficient of the pre-emphasis filter; 0 turns it off")
    top_db: float = config.option(80.0, "range below the chunk's own peak that is kept, dB")

    def __post_init__(self) -> None:
        if not 0 < self.chunk_seconds * self.sample_rate_hz <= _MOST_SAMPLES:
            raise config.InputError(
                f"--sample_rate_hz={self.sample_rate_hz} --chunk_seconds={self.chunk_seconds}: need a chunk of more "
                f"than 0 and at most {_MOST_SAMPLES} samples"
            )
        if not 0 <= self.fmin_hz < self.fmax_hz <= self.sample_rate_hz / 2:
            raise config.InputError(
                f"--fmin_hz={self.fmin_hz} --fmax_hz={self.fmax_hz}: need 0 <= fmin_hz < fmax_hz <= "
                f"{self.sample_rate_hz / 2:g}, half of --sample_rate_hz"
            )
        if self.num_bands < 1 or self.num_frames < 2 or self.top_db <= 0 or not 0 <= self.pre_emphasis < 1:
            raise config.InputError(
                f"--num_bands={self.num_bands} --num_frames={self.num_frames} --top_db={self.top_db} "
                f"--pre_emphasis={self.pre_emphasis}: need bands >= 1, frames >= 2, top_db > 0, 0 <= pre_emphasis < 1"
            )
        if self.chunk_samples <= self.n_fft // 2 or self.hop_length < 1:
            raise config.InputError(
                f"--chunk_seconds={self.chunk_seconds} has {self.chunk_samples} samples at {self.sample_rate_hz} Hz: "
                f"too few for --n_fft={self.n_fft} and --num_frames={self.num_frames}"
            )

    @property
    def chunk_samples(self) -> int:
        """Samples in a chunk."""
        return round(self.chunk_seconds * self.sample_rate_hz)

    @property
    def hop_length(self) -> int:
        """Samples from frame to frame: the largest hop that gives `num_frames` frames (as in 2018)."""
        return self.chunk_samples // (self.num_frames - 1)

    @property
    def fingerprint(self) -> str:
        """A digest that is equal for two front-ends if and only if they make the same spectrograms."""
        return files.digest({"version": VERSION, **_described_fields(self)})


def _described_fields(front_end: FrontendConfig) -> dict[str, Any]:
    """{name: value} without later fields at their defaults."""
    defaults = {field.name: field.default for field in dataclasses.fields(front_end)}
    mapping = config.to_mapping(front_end)
    return {k: v for k, v in mapping.items() if k in _FIRST_FIELDS or v != defaults[k]}


@dataclasses.dataclass(frozen=True)
class _Description:
    """How a front-end is described in manifest and SavedModel: its version, the digest of its fields, the fields."""

    version: int
    fingerprint: str
    config: Mapping[str, Any]


def load(path: str) -> FrontendConfig:
    """Reads the file in which a SavedModel describes its front-end.

    Raises:
        InputError: it is damaged; or as `from_description`.
    """
    return from_description(stored.read_json(path, dict[str, Any]), path)


def from_description(description: Mapping[str, Any], origin: str) -> FrontendConfig:
    """Reads the configuration that `describe` wrote; fields that came later take their defaults.

    Args:
        description: as from `describe`.
        origin: the file that it comes from, for messages.

    Raises:
        InputError: another version of the front-end wrote it; the message names what differs.
    """
    fields = {field.name for field in dataclasses.fields(FrontendConfig)}
    described = stored.as_type(origin, _Description, description)
    differing = sorted((set(described.config) - fields) | (_FIRST_FIELDS - set(described.config)))
    names = f", fields {', '.join(differing)[:200]}" if differing else ""
    remedy = (
        f"{origin} holds spectrograms of front-end version {described.version}; this is version {VERSION}"
        f"{names}: convert the recordings again"
    )
    stored.check_version(origin, described.version, (VERSION,), remedy)
    if differing:
        raise config.InputError(remedy)
    front_end = config.from_mapping(FrontendConfig, described.config, origin)
    if front_end.fingerprint != described.fingerprint:
        raise config.InputError(
            f"{origin}: the front-end's fingerprint does not fit its fields; was it edited by hand?"
        )
    return front_end


def describe(front_end: FrontendConfig) -> dict[str, Any]:
    """The description of a front-end in manifest and SavedModel; `from_description` reads it."""
    return {"version": VERSION, "fingerprint": front_end.fingerprint, "config": _described_fields(front_end)}


def band_edges_hz(front_end: FrontendConfig) -> np.ndarray:
    """[num_bands + 2] float64, Hz: the edges of the bands, which divide [fmin_hz, fmax_hz] evenly on the scale."""
    if front_end.scale == "linear":
        return np.linspace(front_end.fmin_hz, front_end.fmax_hz, front_end.num_bands + 2)
    lowest, highest = mel.from_hz((front_end.fmin_hz, front_end.fmax_hz))
    return mel.to_hz(np.linspace(lowest, highest, front_end.num_bands + 2))


def filter_bank(front_end: FrontendConfig) -> np.ndarray:
    """Weights from Fourier bins to bands.

    Triangles, which cover exactly [fmin_hz, fmax_hz]: band i rises from edge i to edge i + 1, and falls to edge i + 2.
    On the scale `mel` they have equal areas, in `linear` equal heights. `mel` is librosa's bank, bit for bit.

    Returns:
        [num_bands, 1 + n_fft // 2] float32, lowest band first.

    Raises:
        InputError: a band is so narrow that it holds no Fourier bin.
    """
    edges = band_edges_hz(front_end)
    bins = np.arange(1 + front_end.n_fft // 2) * front_end.sample_rate_hz / front_end.n_fft
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    weights = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)  # [num_bands, bins]
    if front_end.scale == "mel":  # rounded to float32 before and after, as in librosa
        weights = (weights * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)
    empty = int(np.sum(weights.max(axis=1) <= 0))
    if empty:
        raise config.InputError(
            f"--num_bands={front_end.num_bands}: {empty} bands lie between two Fourier bins and would be empty; "
            f"use fewer bands or a larger --n_fft than {front_end.n_fft}"
        )
    return typing.cast(np.ndarray, weights)


def spectrograms(samples: tf.Tensor, front_end: FrontendConfig) -> tf.Tensor:
    """Log spectrograms. Each chunk is scaled by itself.

    Pre-emphasis; 1 + chunk_samples // hop_length frames, centred, the edges reflected; Hann window, periodic if n_fft
    is even and symmetric if it is odd; magnitude; bands; dB relative to the chunk's peak, floored at -top_db; the first
    num_frames frames, their minimum and maximum mapped to 0 and 1. Silence gives zeros. Equal to the 2018 baseline's
    numbers (Kahl et al., arXiv 1804.07177) and to librosa with `pad_mode="reflect"`, which has a periodic window for an
    odd n_fft too.

    Args:
        samples: [batch, chunk_samples] float32 in [-1, 1].
        front_end: its settings.

    Returns:
        [batch, num_bands, num_frames] float32 in [0, 1], the top row the highest band.
    """
    return scaled([bands(phase, front_end) for phase in spectra(samples, front_end)], front_end)


def spectra(samples: tf.Tensor, front_end: FrontendConfig) -> list[tf.Tensor]:
    """The Fourier transforms of the frames, in phases, so that no frame is gathered: the first step of `spectrograms`.

    Phase p is the signal from hop p on, reshaped into rows of as many hops as cover n_fft. The transform takes the
    first n_fft samples of a row. (`tf.signal.frame` gathers pieces of gcd(n_fft, hop) samples, and is as slow as the
    transform.)

    Returns:
        ⌈n_fft / hop_length⌉ phases, each [batch, rows, 1 + n_fft // 2] complex64. Frame i is row i // phases of phase
        i % phases. The last rows may hold more frames than `spectrograms` uses.
    """
    hop = front_end.hop_length
    num_phases = -(-front_end.n_fft // hop)
    rows = -(-_num_frames(front_end) // num_phases)
    padded = _padded(tf.cast(samples, tf.float32), front_end, (num_phases - 1 + rows * num_phases) * hop)
    window = tf.signal.hann_window(front_end.n_fft)
    window = tf.pad(window, [[0, num_phases * hop - front_end.n_fft]])
    phases = []
    for first in range(0, num_phases * hop, hop):
        grid = tf.reshape(padded[:, first : first + rows * num_phases * hop], [-1, rows, num_phases * hop])
        phases.append(tf.signal.rfft(grid * window, [front_end.n_fft]))
    return phases


def _num_frames(front_end: FrontendConfig) -> int:
    """Frames whose peak the decibels refer to; the first `num_frames` of them are used."""
    return 1 + front_end.chunk_samples // front_end.hop_length


def _padded(samples: tf.Tensor, front_end: FrontendConfig, length: int) -> tf.Tensor:
    """[batch, chunk_samples] → [batch, length]: pre-emphasis, reflected edges of n_fft // 2 samples, zeros, if any."""
    size, edge = front_end.chunk_samples, front_end.n_fft // 2
    emphasised = samples[:, 1:] - front_end.pre_emphasis * samples[:, :-1]  # of all samples but the first
    left = tf.reverse(emphasised[:, :edge], [1])
    right = tf.reverse(emphasised[:, max(0, size - 2 - edge) : size - 2], [1])
    rest = [samples[:, :1]] * (edge == size - 1)  # the shortest chunk is mirrored up to its first sample
    zeros = tf.zeros([tf.shape(samples)[0], max(0, length - size - 2 * edge)])
    return tf.concat([left, samples[:, :1], emphasised, right, *rest, zeros], axis=1)


def bands(phase: tf.Tensor, front_end: FrontendConfig) -> tf.Tensor:
    """Magnitudes in bands: the second step of `spectrograms`, and the one that gains from XLA.

    The bands are multiplied in groups, each with the bins in which it has weights.

    Args:
        phase: one of `spectra`.
        front_end: its settings.

    Returns:
        [batch, rows, num_bands] float32, the highest band first.
    """
    groups = _band_groups(front_end)
    lowest, highest = min(low for low, _, _ in groups), max(high for _, high, _ in groups)
    # TensorFlow Lite cannot slice complex numbers; the square root is cheaper than tf.abs, which guards against
    # overflow
    real, imaginary = (part(phase)[:, :, lowest:highest] for part in (tf.math.real, tf.math.imag))
    magnitudes = tf.sqrt(tf.square(real) + tf.square(imaginary))
    products = [
        tf.tensordot(magnitudes[:, :, low - lowest : high - lowest], group, axes=1) for low, high, group in groups
    ]
    return tf.concat(products, axis=2)


@functools.cache
def _band_groups(front_end: FrontendConfig) -> list[tuple[int, int, np.ndarray]]:
    """(first bin, bin behind the last, weights [bins, bands]) of neighbouring bands, the highest first."""
    groups = []
    for weights in np.array_split(filter_bank(front_end)[::-1].T, min(_BAND_GROUPS, front_end.num_bands), axis=1):
        used = np.flatnonzero(weights.max(axis=1))
        low, high = int(used[0]), int(used[-1]) + 1
        groups.append((low, high, np.ascontiguousarray(weights[low:high])))
    return groups


def scaled(phases: Sequence[tf.Tensor], front_end: FrontendConfig) -> tf.Tensor:
    """The `bands` of all phases → spectrograms: the last step of `spectrograms`."""
    rows, num_bands = phases[0].shape[1:]
    frames = tf.reshape(tf.stack(phases, axis=2), [-1, rows * len(phases), num_bands])
    nepers = tf.math.log(tf.maximum(frames[:, : _num_frames(front_end)], _AMPLITUDE_FLOOR))
    floor = tf.reduce_max(nepers, axis=[1, 2], keepdims=True) - front_end.top_db * _NEPERS / 2
    nepers = nepers[:, : front_end.num_frames]
    lowest, highest = (
        tf.maximum(extreme(nepers, axis=[1, 2], keepdims=True), floor) for extreme in (tf.reduce_min, tf.reduce_max)
    )
    above = tf.maximum(tf.transpose(nepers, [0, 2, 1]) - lowest, 0.0)
    return above / tf.where(highest > lowest, highest - lowest, 1.0)


def powers(spectrograms: tf.Tensor, front_end: FrontendConfig) -> tf.Tensor:
    """The power that each pixel means, relative to that of a pixel of 0.

    Args:
        spectrograms: float32 in [0, 1], of any shape.
        front_end: made them: from 0 to 1 are top_db decibels. If the range of a chunk was smaller before it was scaled,
            its powers are too far apart by that.

    Returns:
        Of the same shape, float32 from 1 to 10^(top_db / 10), which float32 holds for top_db up to 380.
    """
    return tf.exp(front_end.top_db * _NEPERS * spectrograms)


def from_powers(power: tf.Tensor, front_end: FrontendConfig) -> tf.Tensor:
    """Powers as pixels, scaled and floored as in `spectrograms`: [batch, bands, frames] float32 → in [0, 1]."""
    nepers = tf.math.log(power)
    highest = tf.reduce_max(nepers, axis=[1, 2], keepdims=True)
    lowest = tf.reduce_min(nepers, axis=[1, 2], keepdims=True)
    lowest = tf.maximum(lowest, highest - front_end.top_db * _NEPERS)
    return tf.math.divide_no_nan(tf.maximum(nepers - lowest, 0.0), highest - lowest)


def quantise(values: tf.Tensor) -> tf.Tensor:
    """[0, 1] float32 → uint8 in 255 steps. Spectrograms are stored in this form."""
    return tf.cast(tf.round(values * 255.0), tf.uint8)


def dequantise(values: tf.Tensor) -> tf.Tensor:
    """uint8 → float32 in [0, 1]: the inverse of `quantise`, exact to half a step (1/510)."""
    return tf.cast(values, tf.float32) / 255.0
