"""Operations that move the pixels of a spectrogram: rolls, flip, crop, zoom, rotation, warps.

Each is a function of (spectrograms, strength, seed) on a batch. `augmentations` decides which chunks they are for.
"""

from __future__ import annotations

import math

from bird_tf import tf


def roll_time(spectrograms: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Rolls each spectrogram in time by U(-share, share) of its width; what leaves at one edge comes in at the other.

    Args:
        spectrograms: [batch, bands, frames] of any type.
        share: in [0, 1].
        seed: [2] int.

    Returns:
        Of the same shape and type.
    """
    return _transposed(_roll_rows(_transposed(spectrograms), share, seed))


def roll_frequency(spectrograms: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Rolls each spectrogram in frequency by U(-share, share) of its height. Arguments as for `roll_time`."""
    return _roll_rows(spectrograms, share, seed)


def _transposed(spectrograms: tf.Tensor) -> tf.Tensor:
    return tf.transpose(spectrograms, [0, 2, 1])


def _roll_rows(spectrograms: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Rolls along the first axis of each spectrogram, [batch, rows, columns]."""
    batch, rows = tf.shape(spectrograms)[0], spectrograms.shape[1]
    shifts = tf.random.stateless_uniform([batch, 1], seed, -share * rows, share * rows)
    source = tf.math.floormod(tf.range(rows) - tf.cast(tf.round(shifts), tf.int32), rows)
    return tf.gather(spectrograms, source, axis=1, batch_dims=1)


def flip(spectrograms: tf.Tensor, on: bool, seed: tf.Tensor) -> tf.Tensor:
    """Reverses each spectrogram in time; `on=False` is the identity, `seed` is not used."""
    del seed
    return spectrograms[:, :, ::-1] if on else spectrograms


def crop(spectrograms: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Cuts off up to `share` of height and of width at random places, and stretches the rest to the full size.

    Args:
        spectrograms: [batch, bands, frames] float32.
        share: in [0, 1).
        seed: [2] int.

    Returns:
        [batch, bands, frames] float32.
    """
    bands, frames = spectrograms.shape[1:]
    draws = tf.random.stateless_uniform([tf.shape(spectrograms)[0], 4], seed)
    high, wide = 1.0 - share * draws[:, 0], 1.0 - share * draws[:, 1]
    top, left = draws[:, 2] * (1.0 - high) * (bands - 1), draws[:, 3] * (1.0 - wide) * (frames - 1)
    none = tf.zeros_like(high)
    return _transform(spectrograms, [wide, none, left, none, high, top])


def zoom(spectrograms: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Enlarges each spectrogram about its centre by a factor U(1, 1 + share). Arguments as for `crop`."""
    bands, frames = spectrograms.shape[1:]
    kept = 1.0 / (1.0 + share * tf.random.stateless_uniform([tf.shape(spectrograms)[0]], seed))
    none = tf.zeros_like(kept)
    return _transform(
        spectrograms, [kept, none, (1.0 - kept) * (frames - 1) / 2, none, kept, (1.0 - kept) * (bands - 1) / 2]
    )


def rotation(spectrograms: tf.Tensor, degrees: float, seed: tf.Tensor) -> tf.Tensor:
    """Turns each spectrogram about its centre by U(-degrees, degrees). Pixels from outside are 0.

    Other arguments as for `crop`.
    """
    bands, frames = spectrograms.shape[1:]
    limit = math.radians(degrees)
    angle = tf.random.stateless_uniform([tf.shape(spectrograms)[0]], seed, -limit, limit)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    x, y = (frames - 1) / 2, (bands - 1) / 2
    return _transform(spectrograms, [cosine, -sine, x - cosine * x + sine * y, sine, cosine, y - sine * x - cosine * y])


def _transform(spectrograms: tf.Tensor, coefficients: list[tf.Tensor]) -> tf.Tensor:
    """New spectrograms whose pixel (x, y) is the old pixel (a x + b y + c, d x + e y + f), interpolated bilinearly.

    Args:
        spectrograms: [batch, bands, frames] float32.
        coefficients: a, b, c, d, e, f, each [batch] float32.
    """
    straight = tf.zeros_like(coefficients[0])
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=spectrograms[..., None],
        transforms=tf.stack([*coefficients, straight, straight], axis=1),
        output_shape=spectrograms.shape[1:],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return tf.reshape(moved, tf.shape(spectrograms))


def warp_time(spectrograms: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Moves one moment of each spectrogram by U(-share, share) of its width. The edges stay where they are.

    The time warp of SpecAugment (Park et al., arXiv 1904.08779): the moment is drawn at least `share` away from both
    edges; one side of it is stretched evenly, the other side is compressed.

    Args:
        spectrograms: [batch, bands, frames] float32.
        share: in [0, 0.5).
        seed: [2] int.

    Returns:
        [batch, bands, frames] float32, interpolated linearly.
    """
    return _transposed(_warp_rows(_transposed(spectrograms), share, seed))


def warp_frequency(spectrograms: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """As `warp_time`, along frequency: moves one band up or down, while the lowest and the highest stay."""
    return _warp_rows(spectrograms, share, seed)


def _warp_rows(spectrograms: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Warps along the first axis of each spectrogram, [batch, rows, columns] float32."""
    last = spectrograms.shape[1] - 1
    draws = tf.random.stateless_uniform([tf.shape(spectrograms)[0], 2, 1], seed)
    old = last * (share + (1.0 - 2.0 * share) * draws[:, 0])
    new = old + last * share * (2.0 * draws[:, 1] - 1.0)
    row = tf.range(last + 1, dtype=tf.float32)
    before = tf.math.divide_no_nan(row * old, new)
    after = last - tf.math.divide_no_nan((last - row) * (last - old), last - new)
    source = tf.clip_by_value(tf.where(row < new, before, after), 0.0, float(last))  # [batch, rows]
    lower = tf.floor(source)
    between = (source - lower)[:, :, None]
    index = tf.cast(lower, tf.int32)
    low = tf.gather(spectrograms, index, axis=1, batch_dims=1)
    high = tf.gather(spectrograms, tf.minimum(index + 1, last), axis=1, batch_dims=1)
    return low + between * (high - low)
