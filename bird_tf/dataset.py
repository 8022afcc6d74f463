"""Manifest → tf.data graph: `training(...)` and `evaluation(...)`.

Equal seeds give equal batches in equal order. What is done to a picture belongs to `augment`.
"""

from __future__ import annotations

import dataclasses

from bird_tf import augment, config, frontend, records, tf

_SHUFFLE_SALT, _AUGMENT_SALT, _NOISE_SALT = 1, 2, 3


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

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.shuffle_buffer < 1 or not 0 <= self.background_weight <= 1:
            raise config.InputError(
                f"--batch_size={self.batch_size} --shuffle_buffer={self.shuffle_buffer} --background_weight="
                f"{self.background_weight}: need sizes of at least 1 and a weight in [0, 1]"
            )


def steps_per_epoch(manifest: records.Manifest, settings: DatasetConfig) -> int:
    """Batches that go through every training chunk about once, at least one."""
    return max(1, round(manifest.num_chunks("train") / settings.batch_size))


def training(
    manifest: records.Manifest,
    settings: DatasetConfig,
    augmentation: augment.AugmentConfig,
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
        "weights": [batch, classes] float32, 0 where presence is unknown; "label": [batch] int64;
        "recording_id": [batch] string}.

    Raises:
        InputError: no training chunk.
    """
    if not manifest.num_chunks("train"):
        raise config.InputError(f"{manifest.directory} has no training chunk")
    steps = steps_per_epoch(manifest, settings)
    examples = _epochs(manifest.paths("train"), steps * settings.batch_size, settings, seed, epoch)
    batches = examples.batch(settings.batch_size, drop_remainder=True)
    if augmentation.add_noise and manifest.num_chunks("noise"):
        noise_per_epoch = steps * settings.batch_size
        noise = _epochs(manifest.paths("noise"), noise_per_epoch, settings, seed + _NOISE_SALT, epoch)
        batches = tf.data.Dataset.zip((batches, noise.batch(settings.batch_size, drop_remainder=True)))
    else:
        batches = batches.map(lambda examples: (examples, None))

    def finish(step: tf.Tensor, both: tuple[tf.Tensor, tf.Tensor | None]) -> dict[str, tf.Tensor]:
        parsed = records.parse(both[0], manifest.front_end)
        noise = None if both[1] is None else _pictures(records.parse(both[1], manifest.front_end))
        draw = tf.stack([tf.cast(seed * 8 + _AUGMENT_SALT, tf.int64), step])
        return {
            "spectrogram": augment.apply(_pictures(parsed), noise, augmentation, draw),
            "label": parsed["label"],
            "recording_id": parsed["recording_id"],
            **targets(parsed, len(manifest.classes), settings),
        }

    batches = batches.enumerate(start=epoch * steps).skip(step)
    return batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _epochs(
    paths: list[str], num_examples: int, settings: DatasetConfig, seed: int, first_epoch: int
) -> tf.data.Dataset:
    """Serialised examples, `num_examples` for each epoch, shards and examples shuffled anew in each."""

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        draw = tf.stack([tf.cast(seed * 8 + _SHUFFLE_SALT, tf.int64), epoch])
        shards = tf.data.Dataset.from_tensor_slices(tf.random.experimental.stateless_shuffle(paths, draw))
        examples = shards.interleave(
            tf.data.TFRecordDataset, cycle_length=min(8, len(paths)), num_parallel_calls=tf.data.AUTOTUNE
        )
        order = tf.random.stateless_uniform([], draw, 0, 2**62, tf.int64)
        examples = examples.shuffle(settings.shuffle_buffer, seed=order, reshuffle_each_iteration=False)
        return examples.repeat().take(num_examples)

    return tf.data.Dataset.range(first_epoch, 2**31).flat_map(one_epoch)


def evaluation(manifest: records.Manifest, settings: DatasetConfig) -> tf.data.Dataset:
    """Every validation chunk once, in order, never augmented; the last batch may be smaller.

    Returns:
        What `records.parse` gives, with "spectrogram" [batch, bands, frames] float32 in [0, 1], and "targets" and
        "weights" as in training.
    """

    def finish(parsed: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        wanted = targets(parsed, len(manifest.classes), settings)
        return {**parsed, "spectrogram": _pictures(parsed), **wanted}

    batches = records.read(manifest, "val", settings.batch_size)
    return batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def _pictures(parsed: dict[str, tf.Tensor]) -> tf.Tensor:
    return frontend.dequantise(parsed["spectrogram"])


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
