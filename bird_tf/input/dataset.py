"""Manifest → tf.data graph: `training(...)` and `evaluation(...)`.

Equal seeds give equal batches in equal order. The operations on spectrograms are in `augment`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from absl import logging

from bird_tf import config, tf
from bird_tf.audio import frontend
from bird_tf.input import pseudo_labels, sampling, streams, targets
from bird_tf.input.augment import augmentations
from bird_tf.records import manifests, schema, shard_files

_AUGMENT_SALT = 2  # 1, 3 and 4 are those of `streams`
_ADDING_SALT = 4  # of the seed of a step


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetConfig(streams.StreamConfig, targets.TargetConfig):
    """Batches, targets, and the training chunks that are used."""

    in_noise_share: float = config.option(
        0.5,
        "head: share of chunks heard with synthesised noise, if the records have them so (--backbone_noise)",
    )
    data_service: str = config.option(
        "", "tf.data service that makes the batches, as grpc://host:5000; empty: this process"
    )

    def __post_init__(self) -> None:
        streams.StreamConfig.__post_init__(self)
        targets.TargetConfig.__post_init__(self)
        if not 0 <= self.in_noise_share <= 1:
            raise config.InputError(f"--in_noise_share={self.in_noise_share}: need a share in [0, 1]")

    @property
    def uses_backbone(self) -> bool:
        """Whether a training learns from the backbone's answers."""
        return self.backbone_weight > 0 or self.sampling.backbone_presence > 0


def training(
    manifest: manifests.Manifest,
    settings: DatasetConfig,
    augmentation: augmentations.AugmentConfig,
    seed: int,
    epoch: int = 0,
    step: int = 0,
    features: Sequence[str] = (schema.SPECTROGRAM,),
    answers: targets.Answers | None = None,
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
    wanted, num_no_call = manifest.select(features, "this training"), streams.num_no_call(manifest, settings)
    if settings.backbone_weight:
        manifest.select([schema.BACKBONE_ANSWERS], f"--backbone_weight={settings.backbone_weight}")
        answers = answers or targets.Answers(
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
    mixtures = settings.mixtures and _has_mixtures(manifest, features, answers)

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
            how = tf.random.fold_in(step_seed, _ADDING_SALT)
            examples = augmentations.add_unlabelled(examples, others, pseudo.pseudo_share, front_end, how)
        return examples

    strings = streams.batches(manifest, settings, augmentation, seed, epoch, step, unlabelled, mixtures=mixtures)
    batches = strings.map(finish, num_parallel_calls=tf.data.AUTOTUNE)
    if settings.data_service:
        # a worker gets a whole epoch, so that no two workers read the same chunks
        by_epoch = tf.data.experimental.service.ShardingPolicy.DYNAMIC
        batches = batches.apply(tf.data.experimental.service.distribute(by_epoch, settings.data_service))
    return batches.prefetch(tf.data.AUTOTUNE)


def _with_targets(
    serialised: tf.Tensor, manifest: manifests.Manifest, settings: DatasetConfig, wanted: Sequence[schema.Feature],
    answers: targets.Answers | None, unheard: sampling.Unheard | None,
) -> dict[str, tf.Tensor]:  # fmt: skip
    parsed = schema.parse(serialised, wanted)
    targeted = targets.of_labels(parsed, len(manifest.classes), settings)
    if settings.mixtures:  # what is masked in a mixture, no label tells
        is_mixture = parsed["partner_id"][:, None] != ""
        targeted["weights"] = tf.where(is_mixture, 0.0, targeted["weights"])
    if unheard:
        targeted["weights"] = tf.where(unheard(serialised), 0.0, targeted["weights"])
    targeted = targets.labelled_only(targeted, manifest)
    if answers:
        found = schema.parse_features(serialised, [manifest.features[name] for name in answers.features])
        targeted = targets.blended(targeted, answers.probabilities(found), answers.weight)
    return {**{name: parsed[name] for name in ("label", "recording_id", *(f.name for f in wanted))}, **targeted}


def _has_mixtures(manifest: manifests.Manifest, features: Sequence[str], answers: targets.Answers | None) -> bool:
    """Whether there are mixtures that can teach; it is told if not."""
    if not manifest.num_chunks(manifests.MIXED[0]):
        logging.info("--mixtures: %s has none (--backbone_mixtures)", manifest.directory)
        return False
    if not answers or schema.SPECTROGRAM not in features:
        logging.info("--mixtures: no head is the --teacher of a network, so mixtures are left out")
        return False
    return True


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
        **targets.labelled_only({"targets": tf.zeros(shape), "weights": tf.ones(shape)}, manifest),
    }
    return {name: tf.concat([examples[name], value], axis=0) for name, value in added.items()}


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
        targeted = targets.of_labels(parsed, len(manifest.classes), settings)
        return {**_in_float32(parsed), **targets.labelled_only(targeted, manifest)}

    batches = shard_files.read(manifest, "val", settings.batch_size, manifest.select(features, "this validation"))
    return batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)
