"""Operations that change the values of pixels: noise, brightness, gain, dropout, masks, blur.

Each is a function of (spectrograms, strength, seed) on a batch. `augmentations` decides which chunks they are for.
"""

from __future__ import annotations

from bird_tf import tf


def gaussian_noise(spectrograms: tf.Tensor, deviation: float, seed: tf.Tensor) -> tf.Tensor:
    """Adds normal noise to every pixel and clips to [0, 1].

    Args:
        spectrograms: [batch, bands, frames] float32 in [0, 1].
        deviation: standard deviation of the noise.
        seed: [2] int.

    Returns:
        [batch, bands, frames] float32 in [0, 1].
    """
    noise = tf.random.stateless_normal(tf.shape(spectrograms), seed, 0.0, deviation)
    return tf.clip_by_value(spectrograms + noise, 0.0, 1.0)


def brightness(spectrograms: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Adds U(-share, share) to each spectrogram and clips to [0, 1]. Other arguments as for `gaussian_noise`."""
    return tf.clip_by_value(spectrograms + _each(spectrograms, seed, -share, share), 0.0, 1.0)


def multiplication(spectrograms: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Multiplies each spectrogram by U(1 - share, 1 + share) and clips to [0, 1]. Arguments as for `gaussian_noise`."""
    return tf.clip_by_value(spectrograms * _each(spectrograms, seed, 1.0 - share, 1.0 + share), 0.0, 1.0)


def mean_subtraction(spectrograms: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Subtracts U(0, share) of each spectrogram's mean and clips to [0, 1]. Arguments as for `gaussian_noise`."""
    mean = tf.reduce_mean(spectrograms, axis=[1, 2], keepdims=True)
    return tf.maximum(spectrograms - _each(spectrograms, seed, 0.0, share) * mean, 0.0)


def gain(spectrograms: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Makes each chunk fainter by U(0, share) of the range. What falls below the floor is lost.

    The rest is then scaled to its peak again, as in the front-end. Since spectrograms are relative to their own peak,
    the lost part is the only effect that a gain can have.

    Args:
        spectrograms: [batch, bands, frames] float32 in [0, 1].
        share: in [0, 1); 0.25 is 20 dB of 80.
        seed: [2] int.

    Returns:
        [batch, bands, frames] float32 in [0, 1].
    """
    lost = _each(spectrograms, seed, 0.0, share)
    return tf.maximum(spectrograms - lost, 0.0) / (1.0 - lost)


def blur(spectrograms: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Blends each spectrogram with a smoothed copy, which has the share U(0, share).

    The copy is smoothed by 1/4, 1/2, 1/4 along both axes; the edges are repeated. Other arguments as for
    `gaussian_noise`.
    """
    padded = tf.pad(spectrograms, [[0, 0], [1, 1], [1, 1]], mode="SYMMETRIC")
    smooth = (padded[:, :-2] + 2.0 * padded[:, 1:-1] + padded[:, 2:]) / 4.0
    smooth = (smooth[:, :, :-2] + 2.0 * smooth[:, :, 1:-1] + smooth[:, :, 2:]) / 4.0
    return spectrograms + _each(spectrograms, seed, 0.0, share) * (smooth - spectrograms)


def pixel_dropout(spectrograms: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Sets each pixel to 0 with probability `share`; spectrograms of any type."""
    return spectrograms * tf.cast(
        tf.random.stateless_uniform(tf.shape(spectrograms), seed) >= share, spectrograms.dtype
    )


def time_mask(spectrograms: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Sets one span of time in each spectrogram to 0: the blackout of 2018, and the time mask of SpecAugment.

    Of n frames the span has W = ⌊U(0, share · n)⌋ and begins at ⌊U(0, n - W)⌋: the distribution of
    `tfio.audio.time_mask(param=share * n)`.

    Args:
        spectrograms: [batch, bands, frames] of any type.
        share: the greatest length of the span, as a share of all frames, in [0, 1].
        seed: [2] int.

    Returns:
        Of the same shape and type.
    """
    return spectrograms * _mask(spectrograms, 2, share, seed)[:, None, :]


def frequency_mask(spectrograms: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Sets one span of bands in each spectrogram to 0; otherwise as `time_mask`."""
    return spectrograms * _mask(spectrograms, 1, share, seed)[:, :, None]


def _mask(spectrograms: tf.Tensor, axis: int, share: float, seed: tf.Tensor) -> tf.Tensor:
    """0 in one random span, 1 elsewhere. Returns [batch, length of the axis], of the spectrograms' type."""
    length = spectrograms.shape[axis]
    draws = tf.random.stateless_uniform([tf.shape(spectrograms)[0], 2, 1], seed)
    width = tf.floor(draws[:, 0] * round(share * length))
    start = tf.floor(draws[:, 1] * (length - width))
    position = tf.range(length, dtype=tf.float32)
    return tf.cast((position < start) | (position >= start + width), spectrograms.dtype)


def _each(spectrograms: tf.Tensor, seed: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """One draw of U(low, high) for each spectrogram. Returns [batch, 1, 1] float32."""
    return tf.random.stateless_uniform([tf.shape(spectrograms)[0], 1, 1], seed, low, high)
