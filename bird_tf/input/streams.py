"""Batches of serialised chunks, in the order of a training: shuffled, resampled, with noise beside them.

Equal seeds give equal batches in equal order. Nothing is parsed here.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import math

import numpy as np

from bird_tf import config, tf
from bird_tf.audio import frontend, noises
from bird_tf.input import pseudo_labels, sampling
from bird_tf.input.augment import augmentations
from bird_tf.records import manifests, schema

# noise chunks read for a batch, as a share of its chunks; reading one for each chunk would double the reading
_NOISE_SHARE = 0.125
# synthesised chunks that are turned into spectrograms at once, to limit memory
_FRONT_END_BATCH = 32


class Salt(enum.IntEnum):
    """What is drawn from a seed; other numbers would give other batches."""

    SHUFFLE = 1
    AUGMENTATION = 2
    NOISE = 3
    UNLABELLED = 4  # in an epoch; and how they are added, within the augmentation


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """The first batch of a training. It and all that follow are those of a run from the start.

    Attributes:
        epoch: from 0.
        step: batches of that epoch to skip; they are read, but neither parsed nor augmented.
    """

    epoch: int = 0
    step: int = 0


BEGINNING = Start()


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamConfig:
    """The size of the batches, and the chunks that are in them."""

    batch_size: int = config.option(32, "chunks in a batch")
    shuffle_buffer: int = config.option(
        4096, "chunks among which the next one is drawn; each needs bands × frames bytes, and those of other features"
    )
    no_call_share: float = config.option(
        0.0, "share of noise chunks in a batch, at least one chunk; they have no species as target; 0: none"
    )
    synthetic_noise: int = config.option(
        0,
        "number of synthesised noise chunks (rain, wind, water, engines, insects, voices, …) beside those of the "
        "records; half of the noise chunks that are used are synthesised",
    )
    mixtures: bool = config.option(
        False,
        "let a network learn from mixtures too, if the records have them (--backbone_mixtures); of them only what a "
        "head as --teacher says is learnt, no label; an epoch is as long as without",
    )
    sampling: sampling.SamplingConfig = dataclasses.field(default_factory=sampling.SamplingConfig)

    def __post_init__(self) -> None:
        if self.synthetic_noise < 0:
            raise config.InputError(f"--synthetic_noise={self.synthetic_noise}: need a number of chunks, or 0")
        if self.batch_size < 1 or self.shuffle_buffer < 1:
            raise config.InputError(
                f"--batch_size={self.batch_size} --shuffle_buffer={self.shuffle_buffer}: need sizes of at least 1"
            )
        if not 0 <= self.no_call_share < 1 or self.num_no_call >= self.batch_size:
            raise config.InputError(
                f"--no_call_share={self.no_call_share} --batch_size={self.batch_size}: need a share from 0 to 1 that "
                "leaves a chunk of the batch to the species"
            )

    @property
    def num_no_call(self) -> int:
        """Number of noise chunks in each batch as examples without a species, if there are noise chunks."""
        return max(1, round(self.no_call_share * self.batch_size)) if self.no_call_share else 0


def steps_per_epoch(manifest: manifests.Manifest, settings: StreamConfig) -> int:
    """Number of batches in an epoch, at least one. It follows from the expected number of chunks by `sampling`."""
    from_train = settings.batch_size - num_no_call(manifest, settings)
    return max(1, round(sampling.chunks_per_epoch(manifest, settings.sampling) / from_train))


def num_no_call(manifest: manifests.Manifest, settings: StreamConfig) -> int:
    """Number of noise chunks in each batch as examples without a species."""
    return settings.num_no_call if has_noise(manifest, settings) else 0


def has_noise(manifest: manifests.Manifest, settings: StreamConfig) -> bool:
    """Whether there are noise chunks, recorded or synthesised."""
    return manifest.num_chunks("noise") > 0 or settings.synthetic_noise > 0


def batches(
    manifest: manifests.Manifest,
    settings: StreamConfig,
    augmentation: augmentations.AugmentConfig,
    seed: int,
    start: Start,
    unlabelled: pseudo_labels.UnlabelledStream | None,
) -> tf.data.Dataset:
    """Batches of serialised examples: "examples", "partners" and "noise" if they are needed, and "step", from 0.

    With `unlabelled` also ("unlabelled", pseudo-labels). With `settings.mixtures`, these are among the examples.
    """
    steps, no_call = steps_per_epoch(manifest, settings), num_no_call(manifest, settings)
    passes = sampling.chunk_filter(manifest, settings.sampling)
    rates = sampling.rates(sampling.counts(manifest, settings.sampling), settings.sampling)
    num_noise = no_call
    if augmentation.needs_noise and has_noise(manifest, settings):
        num_noise += math.ceil(settings.batch_size * _NOISE_SHARE)
    paths = manifest.paths("train")
    if settings.mixtures:
        # An epoch has as many steps as without mixtures. It draws this share of a pass over all, for in files that are
        # larger than the shuffle buffer, it would never come to the last ones.
        num_chunks, num_mixtures = (manifest.num_chunks(split) for split in ("train", manifests.MIXED[0]))
        paths, rates = paths + manifest.paths(manifests.MIXED[0]), rates * num_chunks / (num_chunks + num_mixtures)
    synthesised = _synthesised(manifest, settings.synthetic_noise if num_noise else 0, seed)

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        order = seed_of(seed, Salt.SHUFFLE, epoch)
        examples = _shuffled_shards(paths, order)
        examples = sampling.resample(examples, rates, passes, order)
        examples = _shuffled(examples, settings, order)
        size = settings.batch_size - no_call
        if augmentation.same_species:
            pairs = _shuffled(sampling.with_partners(examples), settings, order).repeat()
            chunks = pairs.batch(size, drop_remainder=True).map(lambda own, other: {"examples": own, "partners": other})
        else:
            chunks = examples.repeat().batch(size, drop_remainder=True).map(lambda own: {"examples": own})
        parts = {"step": tf.data.Dataset.range(epoch * steps, (epoch + 1) * steps), "chunks": chunks}
        if num_noise:
            noise = _noise(manifest, settings, synthesised, seed_of(seed, Salt.NOISE, epoch))
            parts["noise"] = noise.batch(num_noise, drop_remainder=True)
        if unlabelled:
            drawn = unlabelled.one_pass(seed_of(seed, Salt.UNLABELLED, epoch), settings.shuffle_buffer).repeat()
            parts["unlabelled"] = drawn.batch(settings.batch_size, drop_remainder=True)
        # one pipeline for the whole epoch, since a data service gives whole epochs to its workers
        whole = tf.data.Dataset.zip(parts).map(lambda batch: {**batch, **batch.pop("chunks")})
        return whole.skip(tf.where(epoch == start.epoch, tf.cast(start.step, tf.int64), 0))

    return tf.data.Dataset.range(start.epoch, 2**31).flat_map(one_epoch)


def seed_of(seed: int, salt: Salt, number: tf.Tensor) -> tf.Tensor:
    """The seed, [2] int64, of what is drawn in the epoch or step of this number."""
    return tf.stack([tf.cast(seed * 8 + salt, tf.int64), number])


def _noise(
    manifest: manifests.Manifest, settings: StreamConfig, synthesised: list[bytes], order: tf.Tensor
) -> tf.data.Dataset:
    """Serialised noise chunks without end: synthesised ones and those of the records in turn."""
    sources = [_shuffled(tf.data.Dataset.from_tensor_slices(synthesised), settings, order)] * bool(synthesised)
    if manifest.num_chunks("noise"):
        recorded = _shuffled_shards(manifest.paths("noise"), order)
        if manifest.num_chunks("noise") <= settings.shuffle_buffer:
            recorded = recorded.cache()  # else a few chunks are read many times; all of them fit into the buffer
        sources.append(_shuffled(recorded, settings, order))
    return tf.data.Dataset.choose_from_datasets(
        [source.repeat() for source in sources], tf.data.Dataset.range(len(sources)).repeat()
    )


def _synthesised(manifest: manifests.Manifest, count: int, seed: int) -> list[bytes]:
    """Serialised examples of synthesised noise. Even seeds are for training, odd ones for `evaluate --tune`.

    No backbone has heard it: its other features are NaN.
    """
    others = [feature for feature in manifest.features.values() if feature.name != schema.SPECTROGRAM]
    unknown = {feature.name: np.full(feature.shape, np.nan, feature.dtype) for feature in others}
    chunks = (
        schema.Chunk(
            features={**unknown, schema.SPECTROGRAM: spectrogram}, label=0, background=[], background_known=True,
            recording_id="", chunk_index=0, start_seconds=0.0, activity=0.0,
        )
        for spectrogram in _spectrograms_of_noise(manifest.front_end, count, seed)
    )  # fmt: skip
    return [schema.serialise(chunk) for chunk in chunks]


@functools.lru_cache(maxsize=2)
def _spectrograms_of_noise(front_end: frontend.FrontendConfig, count: int, seed: int) -> np.ndarray:
    """[count, bands, frames] uint8; kept, since the second training of --refit and further folds take the same."""
    found = np.zeros((count, front_end.num_bands, front_end.num_frames), np.uint8)
    for first in range(0, count, _FRONT_END_BATCH):
        size = min(_FRONT_END_BATCH, count - first)
        samples = noises.synthesise(size, front_end.sample_rate_hz, front_end.chunk_samples, 2 * seed, first)
        found[first : first + size] = frontend.quantise(frontend.spectrograms(samples, front_end))
    return found


def _shuffled_shards(paths: list[str], seed: tf.Tensor) -> tf.data.Dataset:
    """Serialised examples of all shards. The shards are in random order and interleaved."""
    shards = tf.data.Dataset.from_tensor_slices(tf.random.experimental.stateless_shuffle(paths, seed))
    return shards.interleave(
        tf.data.TFRecordDataset, cycle_length=min(8, len(paths)), num_parallel_calls=tf.data.AUTOTUNE
    )


def _shuffled(examples: tf.data.Dataset, settings: StreamConfig, seed: tf.Tensor) -> tf.data.Dataset:
    order = tf.random.stateless_uniform([], seed, 0, 2**62, tf.int64)
    return examples.shuffle(settings.shuffle_buffer, seed=order, reshuffle_each_iteration=False)
