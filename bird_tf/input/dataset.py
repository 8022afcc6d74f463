"""Manifest → tf.data graph: `training(...)` and `evaluation(...)`.

Equal seeds give equal batches in equal order. What is done to a spectrogram belongs to `augment`.
"""

from __future__ import annotations

import dataclasses
import math

from bird_tf import config, executor, tf
from bird_tf.audio import frontend
from bird_tf.input import sampling
from bird_tf.input.augment import augmentations
from bird_tf.records import manifests, schema, shard_files

_SHUFFLE_SALT, _AUGMENT_SALT, _NOISE_SALT = 1, 2, 3
# noise chunks read for a batch, as a share of its chunks: reading one for every chunk would double the reading
_NOISE_SHARE = 0.125


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetConfig:
    """What training sees of the records."""

    batch_size: int = config.option(32, "chunks in a batch")
    shuffle_buffer: int = config.option(4096, "chunks among which the next is drawn; each takes bands × frames bytes")
    background: str = config.option(
        "ignore",
        "background species as targets: positive (with --background_weight), ignore (neither present nor absent), "
        "or negative (absent, as in 2018)",
        choices=("positive", "ignore", "negative"),
    )
    background_weight: float = config.option(0.5, "target of a background species, with --background=positive")
    unknown_background: str = config.option(
        "negative", "classes that a recording with unknown background does not name", choices=("ignore", "negative")
    )
    records_teacher_weight: float = config.option(
        0.0, "share of what the records' teacher says in the targets; true labels have the rest"
    )
    no_call_share: float = config.option(0.0, "share of a batch that are noise chunks, with no species as target")
    sampling: sampling.SamplingConfig = dataclasses.field(default_factory=sampling.SamplingConfig)
    data_service: str = config.option("", "tf.data service that makes the batches, as grpc://host:5000; empty: here")

    def __post_init__(self) -> None:
        if not 0 <= self.no_call_share < 1 or round(self.no_call_share * self.batch_size) >= self.batch_size:
            raise config.InputError(f"--no_call_share={self.no_call_share}: need a share of the batch below 1")
        if not 0 <= self.records_teacher_weight <= 1:
            raise config.InputError(f"--records_teacher_weight={self.records_teacher_weight}: need a share in [0, 1]")
        if self.batch_size < 1 or self.shuffle_buffer < 1 or not 0 <= self.background_weight <= 1:
            raise config.InputError(
                f"--batch_size={self.batch_size} --shuffle_buffer={self.shuffle_buffer} --background_weight="
                f"{self.background_weight}: need sizes of at least 1 and a weight in [0, 1]"
            )


def steps_per_epoch(manifest: manifests.Manifest, settings: DatasetConfig) -> int:
    """Batches in which every training chunk is expected as often as `sampling` wants it, at least one."""
    from_train = settings.batch_size - _num_no_call(manifest, settings)
    return max(1, round(sampling.chunks_per_epoch(manifest, settings.sampling) / from_train))


def _num_no_call(manifest: manifests.Manifest, settings: DatasetConfig) -> int:
    """Chunks of each batch that hold no species."""
    return round(settings.no_call_share * settings.batch_size) if manifest.num_chunks("noise") else 0


def training(
    manifest: manifests.Manifest,
    settings: DatasetConfig,
    augmentation: augmentations.AugmentConfig,
    seed: int,
    epoch: int = 0,
    step: int = 0,
) -> tf.data.Dataset:
    """Batches for training, without end: epoch after epoch of `steps_per_epoch` batches, all of full size.

    Args:
        manifest: the records.
        settings: batch and targets.
        augmentation: how chunks are varied.
        seed: decides order and augmentation.
        epoch: where to start, from 0; what follows is what a run from the start would see there.
        step: batches of that epoch to leave out; they are read, but neither parsed nor augmented.

    Returns:
        {"spectrogram": [batch, bands, frames] float32 in [0, 1]; "targets": [batch, classes] float32 in [0, 1];
        "weights": [batch, classes] float32, 0 where presence is unknown; "label": [batch] int64, -1 for no-call;
        "recording_id": [batch] string, empty for no-call}.

    Raises:
        InputError: no training chunk; a teacher's answers are asked for, and the records hold none.
    """
    if settings.records_teacher_weight:
        manifest.require_teacher(f"--records_teacher_weight={settings.records_teacher_weight}")
    front_end, num_no_call = manifest.front_end, _num_no_call(manifest, settings)

    def finish(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        seeds = tf.unstack(tf.random.split(tf.stack([tf.cast(seed * 8 + _AUGMENT_SALT, tf.int64), batch["step"]]), 3))
        examples = _with_targets(batch["examples"], manifest, settings)
        noise = schema.parse_spectrogram(batch["noise"], front_end) if "noise" in batch else None
        if noise is not None and num_no_call:
            examples, noise = _with_no_call(examples, noise[:num_no_call]), noise[num_no_call:]
        spectrograms = augmentations.apply(examples["spectrogram"], noise, augmentation, front_end.top_db, seeds[0])
        examples = {**examples, "spectrogram": spectrograms}
        if augmentation.same_species:
            partners = _with_targets(batch["partners"], manifest, settings)
            partners = {**partners, "spectrogram": frontend.dequantise(partners["spectrogram"])}
            examples = augmentations.add_same_species(examples, partners, augmentation, front_end.top_db, seeds[1])
        return augmentations.mix(examples, augmentation, front_end.top_db, seeds[2])

    executor.start_compiler()
    strings = _batches_of_strings(manifest, settings, augmentation, seed, epoch, step)
    batches = strings.map(finish, num_parallel_calls=tf.data.AUTOTUNE)
    if settings.data_service:
        # whole epochs are handed to the workers, so that no two of them read the same chunks
        by_epoch = tf.data.experimental.service.ShardingPolicy.DYNAMIC
        batches = batches.apply(tf.data.experimental.service.distribute(by_epoch, settings.data_service))
    return batches.prefetch(tf.data.AUTOTUNE)


def _with_targets(serialised: tf.Tensor, manifest: manifests.Manifest, settings: DatasetConfig) -> dict[str, tf.Tensor]:
    parsed = schema.parse(serialised, manifest.front_end)
    wanted = targets(parsed, len(manifest.classes), settings)
    if settings.records_teacher_weight:
        answers = schema.parse_backbone(serialised, len(manifest.classes))["teacher"]
        wanted = blend_targets(wanted, answers, settings.records_teacher_weight)
    return {**{name: parsed[name] for name in ("spectrogram", "label", "recording_id")}, **wanted}


def _with_no_call(examples: dict[str, tf.Tensor], noise: tf.Tensor) -> dict[str, tf.Tensor]:
    """Appends chunks that hold none of the classes."""
    num = tf.shape(noise)[0]
    classes = examples["targets"].shape[1]
    added = {
        "spectrogram": noise,
        "label": tf.fill([num], tf.constant(-1, tf.int64)),
        "recording_id": tf.fill([num], ""),
        "targets": tf.zeros([num, classes]),
        "weights": tf.ones([num, classes]),
    }
    return {name: tf.concat([examples[name], value], axis=0) for name, value in added.items()}


def _batches_of_strings(
    manifest: manifests.Manifest,
    settings: DatasetConfig,
    augmentation: augmentations.AugmentConfig,
    seed: int,
    first_epoch: int,
    first_step: int,
) -> tf.data.Dataset:
    """Serialised examples in batches: "examples", "partners" and "noise" where they are needed, and "step", from 0."""
    steps, num_no_call = steps_per_epoch(manifest, settings), _num_no_call(manifest, settings)
    keeps = sampling.chunk_filter(manifest, settings.sampling)
    rates = sampling.rates(sampling.counts(manifest, settings.sampling), settings.sampling)
    num_noise = num_no_call
    if augmentation.needs_noise and manifest.num_chunks("noise"):
        num_noise += math.ceil(settings.batch_size * _NOISE_SHARE)

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.stack([tf.cast(seed * 8 + _SHUFFLE_SALT, tf.int64), epoch])
        examples = _shuffled_shards(manifest.paths("train"), order)
        examples = sampling.resample(examples, rates, keeps, order)
        examples = _shuffled(examples, settings, order)
        size = settings.batch_size - num_no_call
        if augmentation.same_species:
            pairs = _shuffled(sampling.with_partners(examples), settings, order).repeat()
            chunks = pairs.batch(size, drop_remainder=True).map(lambda own, other: {"examples": own, "partners": other})
        else:
            chunks = examples.repeat().batch(size, drop_remainder=True).map(lambda own: {"examples": own})
        parts = {"step": tf.data.Dataset.range(epoch * steps, (epoch + 1) * steps), "chunks": chunks}
        if num_noise:
            order = tf.stack([tf.cast(seed * 8 + _NOISE_SALT, tf.int64), epoch])
            noise = _shuffled_shards(manifest.paths("noise"), order)
            if manifest.num_chunks("noise") <= settings.shuffle_buffer:
                noise = noise.cache()  # a few chunks would be read again and again; the buffer holds them all anyway
            parts["noise"] = _shuffled(noise, settings, order).repeat().batch(num_noise, drop_remainder=True)
        # one pipeline for the whole epoch, so that a worker of a data service can be handed it
        whole = tf.data.Dataset.zip(parts).map(lambda batch: {**batch, **batch.pop("chunks")})
        return whole.skip(tf.where(epoch == first_epoch, tf.cast(first_step, tf.int64), 0))

    return tf.data.Dataset.range(first_epoch, 2**31).flat_map(one_epoch)


def _shuffled_shards(paths: list[str], seed: tf.Tensor) -> tf.data.Dataset:
    """Serialised examples of all shards, the shards in random order and interleaved."""
    shards = tf.data.Dataset.from_tensor_slices(tf.random.experimental.stateless_shuffle(paths, seed))
    return shards.interleave(
        tf.data.TFRecordDataset, cycle_length=min(8, len(paths)), num_parallel_calls=tf.data.AUTOTUNE
    )


def _shuffled(examples: tf.data.Dataset, settings: DatasetConfig, seed: tf.Tensor) -> tf.data.Dataset:
    order = tf.random.stateless_uniform([], seed, 0, 2**62, tf.int64)
    return examples.shuffle(settings.shuffle_buffer, seed=order, reshuffle_each_iteration=False)


def evaluation(manifest: manifests.Manifest, settings: DatasetConfig) -> tf.data.Dataset:
    """Every validation chunk once, in order, never augmented; the last batch may be smaller.

    Returns:
        What `schema.parse` gives, with "spectrogram" [batch, bands, frames] float32 in [0, 1], and "targets" and
        "weights" as in training.
    """

    def finish(parsed: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        wanted = targets(parsed, len(manifest.classes), settings)
        return {**parsed, "spectrogram": frontend.dequantise(parsed["spectrogram"]), **wanted}

    batches = shard_files.read(manifest, "val", settings.batch_size)
    return batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def targets(parsed: dict[str, tf.Tensor], num_classes: int, settings: DatasetConfig) -> dict[str, tf.Tensor]:
    """What a batch is to be recognised as.

    Args:
        parsed: "label" [batch] int64, "background" [batch, n] int64 filled up with -1, "background_known" [batch].
        num_classes: number of classes.
        settings: what background means.

    Returns:
        "targets" [batch, classes] float32: 1 for the label, `background_weight` for background if it is positive, 0
        for all others; "weights" [batch, classes] float32: 0 where a class is ignored, else 1.
    """
    label = tf.one_hot(parsed["label"], num_classes)
    background = tf.reduce_max(tf.one_hot(parsed["background"], num_classes), axis=1, keepdims=False)
    background = tf.maximum(background, 0.0) * (1.0 - label)  # the maximum of none is -inf
    ignored = background if settings.background == "ignore" else tf.zeros_like(background)
    if settings.unknown_background == "ignore":
        unknown = 1.0 - tf.cast(parsed["background_known"], tf.float32)
        ignored = tf.maximum(ignored, unknown[:, None] * (1.0 - label) * (1.0 - background))
    positive = settings.background_weight if settings.background == "positive" else 0.0
    return {"targets": label + positive * background, "weights": 1.0 - ignored}


def blend_targets(wanted: dict[str, tf.Tensor], answers: tf.Tensor, weight: float) -> dict[str, tf.Tensor]:
    """Targets that are partly a teacher's answers. What only one of labels and teacher knows is taken from that one.

    A cross-entropy is linear in the target, so blending targets blends the losses; and what mixes chunks afterwards
    mixes the answers by the rules of labels.

    Args:
        wanted: what `targets` gives.
        answers: [batch, classes] float32 in [0, 1], NaN where the teacher does not know the class.
        weight: of the answers, above 0 and up to 1.

    Returns:
        As `targets`.
    """
    known = tf.cast(~tf.math.is_nan(answers), tf.float32)
    of_labels, of_teacher = (1.0 - weight * known) * wanted["weights"], weight * known
    total = of_labels + of_teacher
    said = tf.where(known > 0, answers, 0.0)
    return {
        "targets": tf.math.divide_no_nan(of_labels * wanted["targets"] + of_teacher * said, total),
        "weights": tf.cast(total > 0, tf.float32),
    }
