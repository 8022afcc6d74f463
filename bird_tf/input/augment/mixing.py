"""Operations that put two chunks together, and the rule for what the mixture is to be recognised as.

Which chunks meet belongs to `augment` and `dataset`.
"""

from __future__ import annotations

import math

from bird_tf import tf
from bird_tf.audio import frontend


def draw(noise: tf.Tensor, count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws, `count` times, one of the chunks; [any, bands, frames] → [count, bands, frames]."""
    return tf.gather(noise, tf.random.stateless_uniform([count], seed, 0, tf.shape(noise)[0], tf.int32))


def add_noise(spectrograms: tf.Tensor, noise: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Blends spectrograms with noise as in 2018: both weighted by U(1, 2), the weights scaled to a sum of 1.

    Args:
        spectrograms: [batch, bands, frames] uint8.
        noise: [any, bands, frames] uint8; each spectrogram gets one of them at random.
        seed: [2] int.

    Returns:
        [batch, bands, frames] float32 in [0, 1]. The targets stay: noise chunks hold no species.
    """
    which, how = tf.unstack(tf.random.split(seed))
    weights = tf.random.stateless_uniform([tf.shape(spectrograms)[0], 2, 1, 1], how, 1.0, 2.0)
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    drawn = draw(noise, tf.shape(spectrograms)[0], which)
    return weights[:, 0] * frontend.dequantise(spectrograms) + weights[:, 1] * frontend.dequantise(drawn)


def add_powers(
    spectrograms: tf.Tensor, others: tf.Tensor, ratios_db: tuple[float, float], range_db: float, seed: tf.Tensor
) -> tf.Tensor:
    """Plays another chunk together with each, at a random ratio of their mean powers.

    A pixel v stands for range_db · v decibels, the range that the front-end keeps below a chunk's peak. The powers
    of both are added and the sum is scaled to [0, 1] as the front-end does. Where a chunk had less than that range
    before it was scaled, the ratio is only nearly the one that was drawn.

    Args:
        spectrograms: [batch, bands, frames] float32 in [0, 1].
        others: of the same shape and range.
        ratios_db: the least and greatest ratio of a spectrogram's mean power to that of the other, dB.
        range_db: of the spectrograms.
        seed: [2] int.

    Returns:
        [batch, bands, frames] float32 in [0, 1]. For the targets see `either`.
    """
    nepers = math.log(10.0) / 10.0
    # powers from 1 to 10^8 at 80 dB: well within float32
    own, other = tf.exp(range_db * nepers * spectrograms), tf.exp(range_db * nepers * others)
    ratio = tf.exp(nepers * tf.random.stateless_uniform([tf.shape(spectrograms)[0], 1, 1], seed, *ratios_db))
    own_mean, other_mean = (tf.reduce_mean(power, axis=[1, 2], keepdims=True) for power in (own, other))
    both = tf.math.log(own + own_mean / (other_mean * ratio) * other)
    lowest = tf.reduce_min(both, axis=[1, 2], keepdims=True)
    highest = tf.reduce_max(both, axis=[1, 2], keepdims=True)
    # the front-end's floor, range_db below the peak
    lowest = tf.maximum(lowest, highest - range_db * nepers)
    return tf.math.divide_no_nan(tf.maximum(both - lowest, 0.0), highest - lowest)


def blend(spectrograms: tf.Tensor, others: tf.Tensor, alpha: float, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mixup (Zhang et al., arXiv 1710.09412): λ · spectrogram + (1 - λ) · other with λ of Beta(alpha, alpha).

    Args:
        spectrograms: [batch, bands, frames] float32.
        others: of the same shape.
        alpha: above 0; small values leave most spectrograms nearly alone.
        seed: [2] int.

    Returns:
        The mixture, [batch, bands, frames] float32, and λ [batch, 1] float32, by which targets are blended too.
    """
    gammas = tf.random.stateless_gamma([tf.shape(spectrograms)[0], 2], seed, alpha)
    total = tf.reduce_sum(gammas, axis=1, keepdims=True)
    share = tf.where(total > 0, gammas[:, :1] / total, 1.0)  # both may underflow
    return others + share[:, :, None] * (spectrograms - others), share


def union_targets(
    targets: tf.Tensor, weights: tf.Tensor, other_targets: tf.Tensor, other_weights: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Targets of two chunks heard together: a species is present if it is in either of them (OR-mixup).

    The target is the greater one. It counts if a chunk is known to hold the species, or if both are known not to:
    a species that one lacks and the other may hold is neither right nor wrong.

    Args:
        targets: [batch, classes] float32 in [0, 1].
        weights: [batch, classes] float32, 0 where presence is unknown.
        other_targets: as `targets`.
        other_weights: as `weights`.

    Returns:
        (targets, weights) of the mixture.
    """
    targets, other_targets = targets * weights, other_targets * other_weights
    greater = tf.maximum(targets, other_targets)
    known = tf.maximum(tf.cast(greater > 0, weights.dtype), tf.minimum(weights, other_weights))
    return greater, known
