"""Manifest → tf.data graph: `training(...)` and `evaluation(...)`.

Equal seeds give equal batches in equal order. The operations on spectrograms are in `augment`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import numpy as np
from absl import logging

from bird_tf import config, tf
from bird_tf.audio import frontend, noises
from bird_tf.input import pseudo_labels, sampling
from bird_tf.input.augment import augmentations
from bird_tf.records import manifests, schema, shard_files

_SHUFFLE_SALT, _AUGMENT_SALT, _NOISE_SALT, _PSEUDO_SALT = 1, 2, 3, 4
# noise chunks read for a batch, as a share of its chunks; reading one for each chunk would double the reading
_NOISE_SHARE = 0.125
# synthesised chunks that are turned into spectrograms at once, to limit memory
_FRONT_END_BATCH = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers:
    """What another model says of the chunks, from features in the records; it becomes a part of the targets.

    Attributes:
        features: names of the features that it needs.
        probabilities: a function of {name: [batch, …] float32}, in a graph → [batch, classes] float32 in [0, 1], NaN
            for classes that the model does not know.
        weight: its share in the targets; the labels have the rest.
    """

    features: Sequence[str]
    probabilities: Callable[[dict[str, tf.Tensor]], tf.Tensor]
    weight: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetConfig:
    """Batches, targets, and the training chunks that are used."""

    batch_size: int = config.option(32, "chunks in a batch")
    shuffle_buffer: int = config.option(
        4096, "chunks among which the next one is drawn; each needs bands × frames bytes, and those of other features"
    )
    background: str = config.option(
        "ignore",
        "background species as targets: positive (with --background_weight), ignore (neither present nor absent), "
        "or negative (absent, as in 2018)",
        choices=("positive", "ignore", "negative"),
    )
    background_weight: float = config.option(0.5, "target of a background species with --background=positive")
    background_loss_weight: float = config.option(
        1.0, "weight of background species in the loss with --background=positive; the label has 1"
    )
    unknown_background: str = config.option(
        "negative", "all other classes of a recording whose background is unknown", choices=("ignore", "negative")
    )
    backbone_weight: float = config.option(
        0.0,
        "share of the backbone's answers in the targets; the labels have the rest",
        was=("records_teacher_weight",),
    )
    in_noise_share: float = config.option(
        0.5,
        "head: share of chunks heard with synthesised noise, if the records have them so (--backbone_noise)",
    )
    no_call_share: float = config.option(0.0, "share of noise chunks in a batch; they have no species as target")
    synthetic_noise: int = config.option(
        0,
        "number of synthesised noise chunks (rain, wind, water, engines, insects, voices, …) beside those of the "
        "records; half of the noise chunks that are used are synthesised",
    )
    sampling: sampling.SamplingConfig = dataclasses.field(default_factory=sampling.SamplingConfig)
    data_service: str = config.option(
        "", "tf.data service that makes the batches, as grpc://host:5000; empty: this process"
    )

    def __post_init__(self) -> None:
        if not 0 <= self.no_call_share < 1 or round(self.no_call_share * self.batch_size) >= self.batch_size:
            raise config.InputError(f"--no_call_share={self.no_call_share}: need a share of the batch below 1")
        if self.synthetic_noise < 0:
            raise config.InputError(f"--synthetic_noise={self.synthetic_noise}: need a number of chunks, or 0")
        if not 0 <= self.in_noise_share <= 1:
            raise config.InputError(f"--in_noise_share={self.in_noise_share}: need a share in [0, 1]")
        if not 0 <= self.backbone_weight <= 1:
            raise config.InputError(f"--backbone_weight={self.backbone_weight}: need a share in [0, 1]")
        if self.batch_size < 1 or self.shuffle_buffer < 1:
            raise config.InputError(
                f"--batch_size={self.batch_size} --shuffle_buffer={self.shuffle_buffer}: need sizes of at least 1"
            )
        for name in ("background_weight", "background_loss_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise config.InputError(f"--{name}={getattr(self, name)}: need a weight in [0, 1]")

    @property
    def uses_backbone(self) -> bool:
        """Whether a training learns from the backbone's answers."""
        return self.backbone_weight > 0 or self.sampling.backbone_presence > 0


def steps_per_epoch(manifest: manifests.Manifest, settings: DatasetConfig) -> int:
    """Number of batches in an epoch, at least one. It follows from the expected number of chunks by `sampling`."""
    from_train = settings.batch_size - _num_no_call(manifest, settings)
    return max(1, round(sampling.chunks_per_epoch(manifest, settings.sampling) / from_train))


def _num_no_call(manifest: manifests.Manifest, settings: DatasetConfig) -> int:
    """Number of noise chunks in each batch as examples without a species."""
    return round(settings.no_call_share * settings.batch_size) if has_noise(manifest, settings) else 0


def has_noise(manifest: manifests.Manifest, settings: DatasetConfig) -> bool:
    """Whether there are noise chunks, recorded or synthesised."""
    return manifest.num_chunks("noise") > 0 or settings.synthetic_noise > 0


def training(
    manifest: manifests.Manifest,
    settings: DatasetConfig,
    augmentation: augmentations.AugmentConfig,
    seed: int,
    epoch: int = 0,
    step: int = 0,
    features: Sequence[str] = (schema.SPECTROGRAM,),
    answers: Answers | None = None,
    pseudo: pseudo_labels.PseudoLabelConfig | None = None,
) -> tf.data.Dataset:
    """Batches for training, without end: epochs of `steps_per_epoch` batches, all of full size.

    Args:
        manifest: the records.
        settings: batches and targets.
        augmentation: the operations on spectrograms; without spectrograms only mixup is possible.
        seed: decides order and augmentation.
        epoch: the first epoch, from 0. Its batches equal those of a run from the start.
        step: batches of that epoch to skip; they are read, but neither parsed nor augmented.
        features: the features of the records that are asked for. Those of a backbone are of the chunks with noise for
            `in_noise_share` of the chunks, if the records have them and no spectrogram is asked for.
        answers: what a teacher says, for the targets; None: `backbone_weight` decides whether the backbone is one.
        pseudo: unlabelled chunks that are added to labelled ones.

    Returns:
        {"spectrogram": [batch, bands, frames] float32 in [0, 1]; other features as from `schema.parse_features`, those
        of the first chunk where two are mixed, and NaN for synthesised noise; "targets": [batch, classes] float32 in
        [0, 1]; "weights": [batch, classes] float32, 0 where presence is unknown; "label": [batch] int64, -1 for
        no-call; "recording_id": [batch] string, empty for no-call}.

    Raises:
        InputError: there is no training chunk; an operation needs spectrograms, which are not asked for; or the records
            lack a feature that is asked for, or the backbone's answers, which the settings need.
    """
    wanted, num_no_call = manifest.select(features, "this training"), _num_no_call(manifest, settings)
    if settings.backbone_weight:
        manifest.select([schema.BACKBONE_ANSWERS], f"--backbone_weight={settings.backbone_weight}")
        answers = answers or Answers(
            features=(schema.BACKBONE_ANSWERS,),
            probabilities=lambda found: tf.sigmoid(found[schema.BACKBONE_ANSWERS]),
            weight=settings.backbone_weight,
        )
    if schema.SPECTROGRAM not in features:
        config.refuse_without_effect({"--synthetic_noise without spectrograms": settings.synthetic_noise > 0})
        augmentation.refuse_without_spectrograms()
    unlabelled = None
    if pseudo and pseudo.pseudo_labels:
        config.refuse_without_effect({"--pseudo_labels without spectrograms": schema.SPECTROGRAM not in features})
        unlabelled = pseudo_labels.Source(pseudo_labels.load(pseudo.pseudo_labels), manifest)
    unheard = sampling.unheard(manifest, settings.sampling) if settings.background == "positive" else None
    front_end, in_noise = manifest.front_end, _features_in_noise(manifest, settings, features)

    def finish(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        step_seed = tf.stack([tf.cast(seed * 8 + _AUGMENT_SALT, tf.int64), batch["step"]])
        seeds = tf.unstack(tf.random.split(step_seed, 3))
        examples = _with_targets(batch["examples"], manifest, settings, wanted, answers, unheard)
        noise = schema.parse_features(batch["noise"], wanted) if "noise" in batch else {}
        if in_noise:
            heard = tf.unstack(tf.random.split(seeds[0], 2))
            examples |= _some_in_noise(examples, batch["examples"], in_noise, settings.in_noise_share, heard[0])
            if noise:
                noise |= _some_in_noise(noise, batch["noise"], in_noise, settings.in_noise_share, heard[1])
        if noise and num_no_call:
            examples = _with_no_call(examples, {name: tensor[:num_no_call] for name, tensor in noise.items()}, manifest)
            noise = {name: tensor[num_no_call:] for name, tensor in noise.items()}
        if schema.SPECTROGRAM not in examples:
            return augmentations.mix(examples, augmentation, front_end, seeds[2])
        spectrograms = augmentations.apply(
            examples[schema.SPECTROGRAM], noise.get(schema.SPECTROGRAM), augmentation, front_end, seeds[0]
        )
        examples = {**examples, schema.SPECTROGRAM: spectrograms}
        if augmentation.same_species:
            partners = _in_float32(_with_targets(batch["partners"], manifest, settings, wanted, answers, unheard))
            examples = augmentations.add_same_species(examples, partners, augmentation, front_end, seeds[1])
        examples = augmentations.mix(examples, augmentation, front_end, seeds[2])
        if unlabelled and pseudo:
            others = _in_float32(unlabelled.examples(*batch["unlabelled"]))
            how = tf.random.fold_in(step_seed, _PSEUDO_SALT)
            examples = augmentations.add_unlabelled(examples, others, pseudo.pseudo_share, front_end, how)
        return examples

    strings = _batches_of_strings(manifest, settings, augmentation, seed, epoch, step, unlabelled)
    batches = strings.map(finish, num_parallel_calls=tf.data.AUTOTUNE)
    if settings.data_service:
        # a worker gets a whole epoch, so that no two workers read the same chunks
        by_epoch = tf.data.experimental.service.ShardingPolicy.DYNAMIC
        batches = batches.apply(tf.data.experimental.service.distribute(by_epoch, settings.data_service))
    return batches.prefetch(tf.data.AUTOTUNE)


def _with_targets(
    serialised: tf.Tensor, manifest: manifests.Manifest, settings: DatasetConfig, wanted: Sequence[schema.Feature],
    answers: Answers | None, unheard: sampling.Unheard | None,
) -> dict[str, tf.Tensor]:  # fmt: skip
    parsed = schema.parse(serialised, wanted)
    targeted = targets(parsed, len(manifest.classes), settings)
    if unheard:
        targeted["weights"] = tf.where(unheard(serialised), 0.0, targeted["weights"])
    targeted = _labelled_only(targeted, manifest)
    if answers:
        found = schema.parse_features(serialised, [manifest.features[name] for name in answers.features])
        targeted = blend_targets(targeted, answers.probabilities(found), answers.weight)
    return {**{name: parsed[name] for name in ("label", "recording_id", *(f.name for f in wanted))}, **targeted}


def _features_in_noise(
    manifest: manifests.Manifest, settings: DatasetConfig, features: Sequence[str]
) -> dict[str, schema.Feature]:
    """{name of a feature: description of the same in noise}, where it is used: spectrograms have no such noise."""
    if not settings.in_noise_share or schema.SPECTROGRAM in features:
        return {}
    known = {name: manifest.features.get(schema.IN_NOISE[name]) for name in features}
    if not all(known.values()):
        logging.info("%s: the backbone has not heard the chunks in noise (--backbone_noise)", manifest.directory)
    return {name: feature for name, feature in known.items() if feature}


def _some_in_noise(
    parsed: dict[str, tf.Tensor], serialised: tf.Tensor, in_noise: dict[str, schema.Feature], share: float,
    seed: tf.Tensor,
) -> dict[str, tf.Tensor]:  # fmt: skip
    """The features of a batch; those of a random share of the chunks are the ones in noise."""
    found = schema.parse_features(serialised, in_noise.values())
    drawn = tf.random.stateless_uniform([tf.shape(serialised)[0], 1], seed) < share
    return {name: tf.where(drawn, found[feature.name], parsed[name]) for name, feature in in_noise.items()}


def _in_float32(parsed: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Turns the bytes of spectrograms, if there are some, into numbers in [0, 1]."""
    if schema.SPECTROGRAM not in parsed:
        return parsed
    return {**parsed, schema.SPECTROGRAM: frontend.dequantise(parsed[schema.SPECTROGRAM])}


def _labelled_only(targeted: dict[str, tf.Tensor], manifest: manifests.Manifest) -> dict[str, tf.Tensor]:
    """Targets and weights; classes of which the labels say nothing have weight 0."""
    if not manifest.num_further:
        return targeted
    labelled = np.arange(len(manifest.classes)) < len(manifest.labelled_classes)
    return {**targeted, "weights": targeted["weights"] * labelled.astype(np.float32)}


def _with_no_call(
    examples: dict[str, tf.Tensor], noise: dict[str, tf.Tensor], manifest: manifests.Manifest
) -> dict[str, tf.Tensor]:
    """Appends noise chunks as examples without a species."""
    num = tf.shape(next(iter(noise.values())))[0]
    shape = [num, len(manifest.classes)]
    added = {
        **noise,
        "label": tf.fill([num], tf.constant(-1, tf.int64)),
        "recording_id": tf.fill([num], ""),
        **_labelled_only({"targets": tf.zeros(shape), "weights": tf.ones(shape)}, manifest),
    }
    return {name: tf.concat([examples[name], value], axis=0) for name, value in added.items()}


def _batches_of_strings(
    manifest: manifests.Manifest,
    settings: DatasetConfig,
    augmentation: augmentations.AugmentConfig,
    seed: int,
    first_epoch: int,
    first_step: int,
    unlabelled: pseudo_labels.Source | None,
) -> tf.data.Dataset:
    """Batches of serialised examples: "examples", "partners" and "noise" if they are needed, and "step", from 0.

    With `unlabelled` also ("unlabelled", pseudo-labels).
    """
    steps, num_no_call = steps_per_epoch(manifest, settings), _num_no_call(manifest, settings)
    passes = sampling.chunk_filter(manifest, settings.sampling)
    rates = sampling.rates(sampling.counts(manifest, settings.sampling), settings.sampling)
    num_noise = num_no_call
    if augmentation.needs_noise and has_noise(manifest, settings):
        num_noise += math.ceil(settings.batch_size * _NOISE_SHARE)
    synthesised = _synthesised(manifest, settings.synthetic_noise if num_noise else 0, seed)

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.stack([tf.cast(seed * 8 + _SHUFFLE_SALT, tf.int64), epoch])
        examples = _shuffled_shards(manifest.paths("train"), order)
        examples = sampling.resample(examples, rates, passes, order)
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
            sources = [_shuffled(tf.data.Dataset.from_tensor_slices(synthesised), settings, order)] * bool(synthesised)
            if manifest.num_chunks("noise"):
                noise = _shuffled_shards(manifest.paths("noise"), order)
                if manifest.num_chunks("noise") <= settings.shuffle_buffer:
                    noise = noise.cache()  # else a few chunks are read many times; all of them fit into the buffer
                sources.append(_shuffled(noise, settings, order))
            taken_in_turn = tf.data.Dataset.choose_from_datasets(
                [source.repeat() for source in sources], tf.data.Dataset.range(len(sources)).repeat()
            )
            parts["noise"] = taken_in_turn.batch(num_noise, drop_remainder=True)
        if unlabelled:
            order = tf.stack([tf.cast(seed * 8 + _PSEUDO_SALT, tf.int64), epoch])
            drawn = unlabelled.stream(order, settings.shuffle_buffer).repeat()
            parts["unlabelled"] = drawn.batch(settings.batch_size, drop_remainder=True)
        # one pipeline for the whole epoch, since a data service gives whole epochs to its workers
        whole = tf.data.Dataset.zip(parts).map(lambda batch: {**batch, **batch.pop("chunks")})
        return whole.skip(tf.where(epoch == first_epoch, tf.cast(first_step, tf.int64), 0))

    return tf.data.Dataset.range(first_epoch, 2**31).flat_map(one_epoch)


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


def _shuffled(examples: tf.data.Dataset, settings: DatasetConfig, seed: tf.Tensor) -> tf.data.Dataset:
    order = tf.random.stateless_uniform([], seed, 0, 2**62, tf.int64)
    return examples.shuffle(settings.shuffle_buffer, seed=order, reshuffle_each_iteration=False)


def evaluation(
    manifest: manifests.Manifest, settings: DatasetConfig, features: Sequence[str] = (schema.SPECTROGRAM,)
) -> tf.data.Dataset:
    """Every validation chunk once, in order and without augmentation. The last batch may be smaller.

    Args:
        manifest: the records.
        settings: batches and targets.
        features: the features of the records that are asked for.

    Returns:
        As `schema.parse`, but with "spectrogram" [batch, bands, frames] float32 in [0, 1], and with "targets" and
        "weights" as in training.

    Raises:
        InputError: the records lack a feature.
    """

    def finish(parsed: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        targeted = targets(parsed, len(manifest.classes), settings)
        return {**_in_float32(parsed), **_labelled_only(targeted, manifest)}

    batches = shard_files.read(manifest, "val", settings.batch_size, manifest.select(features, "this validation"))
    return batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def targets(parsed: dict[str, tf.Tensor], num_classes: int, settings: DatasetConfig) -> dict[str, tf.Tensor]:
    """Targets and weights of a batch, from its labels.

    Args:
        parsed: "label" [batch] int64, "background" [batch, n] int64 padded with -1, "background_known" [batch] bool.
        num_classes: number of classes.
        settings: the meaning of background.

    Returns:
        "targets" [batch, classes] float32: 1 for the label, `background_weight` for background if it is positive, 0
        for all others; "weights" [batch, classes] float32: 0 where a class is ignored, `background_loss_weight` for
        background that is positive, else 1.
    """
    label = tf.one_hot(parsed["label"], num_classes)
    background = tf.reduce_max(tf.one_hot(parsed["background"], num_classes), axis=1, keepdims=False)
    background = tf.maximum(background, 0.0) * (1.0 - label)  # the maximum over no element is -inf
    ignored = background if settings.background == "ignore" else tf.zeros_like(background)
    if settings.unknown_background == "ignore":
        unknown = 1.0 - tf.cast(parsed["background_known"], tf.float32)
        ignored = tf.maximum(ignored, unknown[:, None] * (1.0 - label) * (1.0 - background))
    if settings.background == "positive":
        certain = 1.0 - (1.0 - settings.background_loss_weight) * background
        return {"targets": label + settings.background_weight * background, "weights": certain - ignored}
    return {"targets": label, "weights": 1.0 - ignored}


def blend_targets(label_targets: dict[str, tf.Tensor], answers: tf.Tensor, weight: float) -> dict[str, tf.Tensor]:
    """Blends the targets from labels with another model's answers. If only one of them knows a class, it alone counts.

    A cross-entropy is linear in the target, so blending the targets equals blending the losses. Operations that mix
    chunks later mix the answers by the same rules as labels.

    Args:
        label_targets: as from `targets`.
        answers: [batch, classes] float32 in [0, 1], NaN for classes that the model does not know.
        weight: of the answers, above 0 and up to 1.

    Returns:
        As `targets`.
    """
    known = tf.cast(~tf.math.is_nan(answers), tf.float32)
    label_weight, answer_weight = (1.0 - weight * known) * label_targets["weights"], weight * known
    total = label_weight + answer_weight
    answers = tf.where(known > 0, answers, 0.0)
    blended = label_weight * label_targets["targets"] + answer_weight * answers
    return {"targets": tf.math.divide_no_nan(blended, total), "weights": tf.cast(total > 0, tf.float32)}
