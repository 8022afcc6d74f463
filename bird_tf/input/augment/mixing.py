"""Operations that mix two chunks, and the targets of the mixture.

`augmentations` and `dataset` decide which chunks are mixed.
"""

from __future__ import annotations

import math

from bird_tf import tf
from bird_tf.audio import frontend


def draw_noise(noise: tf.Tensor, count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws `count` of the noise chunks, with repetition; [any, bands, frames] → [count, bands, frames]."""
    return tf.gather(noise, tf.random.stateless_uniform([count], seed, 0, tf.shape(noise)[0], tf.int32))


def add_noise(spectrograms: tf.Tensor, noise: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Blends spectrograms with noise as in 2018: both weighted by U(1, 2), the weights scaled to a sum of 1.

    Args:
        spectrograms: [batch, bands, frames] uint8.
        noise: [any, bands, frames] uint8; one of them is drawn for each spectrogram.
        seed: [2] int.

    Returns:
        [batch, bands, frames] float32 in [0, 1]. The targets do not change, since noise chunks hold no species.
    """
    which, how = tf.unstack(tf.random.split(seed))
    weights = tf.random.stateless_uniform([tf.shape(spectrograms)[0], 2, 1, 1], how, 1.0, 2.0)
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    drawn = draw_noise(noise, tf.shape(spectrograms)[0], which)
    return weights[:, 0] * frontend.dequantise(spectrograms) + weights[:, 1] * frontend.dequantise(drawn)


def add_powers(
    spectrograms: tf.Tensor, others: tf.Tensor, ratios_db: tuple[float, float], front_end: frontend.FrontendConfig,
    seed: tf.Tensor,
) -> tf.Tensor:  # fmt: skip
    """Adds another chunk to each spectrogram, at a random ratio of their mean powers.

    The powers of both are added, and the sum becomes pixels again as in the front-end. If the range of a chunk was
    smaller before scaling, the ratio differs a little from the one that was drawn. Silence, which has no ratio to
    anything, adds nothing: the other chunk stays as it is.

    Args:
        spectrograms: [batch, bands, frames] float32 in [0, 1].
        others: of the same shape and range.
        ratios_db: the least and the greatest ratio of a spectrogram's mean power to the other's, dB.
        front_end: made both; it knows which power a pixel means.
        seed: [2] int.

    Returns:
        [batch, bands, frames] float32 in [0, 1]. `union_targets` gives the targets.
    """
    own, other = frontend.powers(spectrograms, front_end), frontend.powers(others, front_end)
    draws = tf.random.stateless_uniform([tf.shape(spectrograms)[0], 1, 1], seed, *ratios_db)
    ratio = tf.exp(math.log(10.0) / 10.0 * draws)
    own_mean, other_mean = (tf.reduce_mean(power, axis=[1, 2], keepdims=True) for power in (own, other))
    mixture = frontend.from_powers(own + own_mean / (other_mean * ratio) * other, front_end)
    return tf.where(_is_silent(others), spectrograms, tf.where(_is_silent(spectrograms), others, mixture))


def _is_silent(spectrograms: tf.Tensor) -> tf.Tensor:
    """[batch, 1, 1] bool: whether all pixels of a chunk are equal."""
    lowest, highest = (f(spectrograms, axis=[1, 2], keepdims=True) for f in (tf.reduce_min, tf.reduce_max))
    return tf.equal(lowest, highest)


def shares(count: tf.Tensor, alpha: float, seed: tf.Tensor) -> tf.Tensor:
    """Shares λ of Beta(alpha, alpha) for mixup (Zhang et al., arXiv 1710.09412).

    Args:
        count: number of shares.
        alpha: above 0; with small values most of them are near 0 or 1.
        seed: [2] int.

    Returns:
        [count] float32 in [0, 1].
    """
    gammas = tf.random.stateless_gamma([count, 2], seed, alpha)
    total = tf.reduce_sum(gammas, axis=1)
    return tf.where(total > 0, gammas[:, 0] / total, 1.0)  # both may underflow to 0


def blend(own: tf.Tensor, others: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """λ · own + (1 - λ) · other of two tensors [batch, …] float32 of equal shape, with `share` [batch]."""
    share = tf.reshape(share, [-1, *[1] * (own.shape.rank - 1)])
    return others + share * (own - others)


def union_targets(
    targets: tf.Tensor, weights: tf.Tensor, other_targets: tf.Tensor, other_weights: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Targets of the sum of two chunks: a species is present if it is present in one of them (OR-mixup).

    The target is the greater one. It counts if one chunk is known to hold the species, as much as in that chunk, or if
    both are known not to hold it. It does not count if one chunk lacks the species and the other chunk may hold it.

    Args:
        targets: [batch, classes] float32 in [0, 1].
        weights: [batch, classes] float32 in [0, 1], 0 where presence is unknown.
        other_targets: as `targets`.
        other_weights: as `weights`.

    Returns:
        (targets, weights) of the mixture.
    """
    targets, other_targets = (
        tf.where(w > 0, t, 0.0) for t, w in ((targets, weights), (other_targets, other_weights))
    )  # fmt: skip
    greater = tf.maximum(targets, other_targets)
    holding = tf.maximum(tf.where(targets > 0, weights, 0.0), tf.where(other_targets > 0, other_weights, 0.0))
    return greater, tf.where(greater > 0, holding, tf.minimum(weights, other_weights))
