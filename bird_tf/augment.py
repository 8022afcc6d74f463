"""Seeded random operations on batches of spectrograms: vectorised, stateless, each the identity at strength 0.

Which chunks meet in a batch, and what they are to be recognised as, belongs to `dataset`.
"""

from __future__ import annotations

import dataclasses

from bird_tf import config, tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How training chunks are varied. A strength of 0 turns an operation off; the recipe of 2018 is in configs/."""

    augment_count: int = config.option(2, "the most operations on one chunk")
    augment_probability: float = config.option(0.5, "probability that an operation is tried on a chunk")
    roll_time: float = config.option(0.0, "roll in time by up to this share of the width, either way")
    roll_frequency: float = config.option(0.0, "roll in frequency by up to this share of the height, either way")
    gaussian_noise: float = config.option(0.0, "standard deviation of noise added to every pixel")
    add_noise: bool = config.option(False, "blend with a chunk from the noise records")

    def __post_init__(self) -> None:
        if not 0 <= self.augment_probability <= 1 or self.augment_count < 0:
            raise config.InputError(
                f"--augment_probability={self.augment_probability} --augment_count={self.augment_count}: need a "
                "probability in [0, 1] and a count of at least 0"
            )
        if not (0 <= self.roll_time <= 1 and 0 <= self.roll_frequency <= 1 and self.gaussian_noise >= 0):
            raise config.InputError(
                f"--roll_time={self.roll_time} --roll_frequency={self.roll_frequency} "
                f"--gaussian_noise={self.gaussian_noise}: need shares in [0, 1] and noise of at least 0"
            )


def roll_time(spectrograms: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Rolls each picture in time by U(-share, share) of its width; what leaves at one edge enters at the other.

    Args:
        spectrograms: [batch, bands, frames] float32.
        share: in [0, 1].
        seed: [2] int.

    Returns:
        [batch, bands, frames] float32.
    """
    rolled = _roll_rows(tf.transpose(spectrograms, [0, 2, 1]), share, seed)
    return tf.transpose(rolled, [0, 2, 1])


def roll_frequency(spectrograms: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Rolls each picture in frequency by U(-share, share) of its height; arguments as of `roll_time`."""
    return _roll_rows(spectrograms, share, seed)


def _roll_rows(pictures: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Rolls along the first axis of each picture, [batch, rows, columns]."""
    batch, rows = tf.shape(pictures)[0], pictures.shape[1]
    shifts = tf.random.stateless_uniform([batch, 1], seed, -share, share) * rows
    source = tf.math.floormod(tf.range(rows)[None, :] - tf.cast(tf.round(shifts), tf.int32), rows)
    return tf.gather(pictures, source, axis=1, batch_dims=1)


def gaussian_noise(spectrograms: tf.Tensor, deviation: float, seed: tf.Tensor) -> tf.Tensor:
    """Adds normal noise to every pixel and clips to [0, 1]; other arguments as of `roll_time`."""
    noise = tf.random.stateless_normal(tf.shape(spectrograms), seed, 0.0, deviation)
    return tf.clip_by_value(spectrograms + noise, 0.0, 1.0)


def add_noise(spectrograms: tf.Tensor, noise: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Blends each picture with one of noise, both weighted by U(1, 2), the weights scaled to a sum of 1.

    Args:
        spectrograms: [batch, bands, frames] float32 in [0, 1].
        noise: of the same shape and range.
        seed: [2] int.

    Returns:
        [batch, bands, frames] float32 in [0, 1]. The labels stay: noise chunks hold no species.
    """
    weights = tf.random.stateless_uniform([tf.shape(spectrograms)[0], 2, 1, 1], seed, 1.0, 2.0)
    share = weights[:, 0] / (weights[:, 0] + weights[:, 1])
    return share * spectrograms + (1.0 - share) * noise


def choose(batch_size: tf.Tensor, num_operations: int, settings: AugmentConfig, seed: tf.Tensor) -> tf.Tensor:
    """Which operations each chunk undergoes.

    Each operation is tried with `augment_probability`; where more than `augment_count` succeed, that many of them
    drawn at random stay.

    Returns:
        [batch, num_operations] bool.
    """
    draws = tf.random.stateless_uniform([batch_size, num_operations], seed)
    # of those that succeed the smallest draws stay: given success they are as good as a random order
    position = tf.argsort(tf.argsort(draws, axis=1), axis=1)
    return (draws < settings.augment_probability) & (position < settings.augment_count)


def apply(spectrograms: tf.Tensor, noise: tf.Tensor | None, settings: AugmentConfig, seed: tf.Tensor) -> tf.Tensor:
    """Applies to each chunk the operations drawn for it.

    Args:
        spectrograms: [batch, bands, frames] float32 in [0, 1].
        noise: noise chunks of the same shape, or None if there are none.
        settings: operations and strengths.
        seed: [2] int; equal seeds give equal results.

    Returns:
        [batch, bands, frames] float32 in [0, 1].
    """
    operations = []
    if settings.roll_time:
        operations.append(lambda x, s: roll_time(x, settings.roll_time, s))
    if settings.roll_frequency:
        operations.append(lambda x, s: roll_frequency(x, settings.roll_frequency, s))
    if settings.add_noise and noise is not None:
        operations.append(lambda x, s: add_noise(x, noise, s))
    if settings.gaussian_noise:
        operations.append(lambda x, s: gaussian_noise(x, settings.gaussian_noise, s))
    seeds = tf.random.split(seed, len(operations) + 1)
    chosen = choose(tf.shape(spectrograms)[0], len(operations), settings, seeds[0])
    for i, operation in enumerate(operations):
        spectrograms = tf.where(chosen[:, i, None, None], operation(spectrograms, seeds[i + 1]), spectrograms)
    return spectrograms
