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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Taught:
    """What teachers say, which a training learns beside the labels.

    Attributes:
        answers: of the labelled chunks; None: `backbone_weight` decides whether the backbone is a teacher.
        pseudo: of unlabelled chunks, which are added to labelled ones.
    """

    answers: targets.StoredAnswers | None = None
    pseudo: pseudo_labels.PseudoLabelConfig = dataclasses.field(default_factory=pseudo_labels.PseudoLabelConfig)


def training(
    manifest: manifests.Manifest,
    settings: DatasetConfig,
    augmentation: augmentations.AugmentConfig,
    seed: int,
    start: streams.Start = streams.BEGINNING,
    features: Sequence[str] = (schema.SPECTROGRAM,),
    taught: Taught = Taught(),
) -> tf.data.Dataset:
    """Batches for training, without end: epochs of `steps_per_epoch` batches, all of full size.

    Args:
        manifest: the records.
        settings: batches and targets.
        augmentation: the operations on spectrograms; without spectrograms only mixup is possible.
        seed: decides order and augmentation.
        start: the first batch.
        features: the features of the records that are asked for. Those of a backbone are of the chunks with noise for
            `in_noise_share` of the chunks, if the records have them and no spectrogram is asked for.
        taught: what is learnt beside the labels.

    Returns:
        {"spectrogram": [batch, bands, frames] float32 in [0, 1]; other features as from `schema.parse_features`, those
        of the first chunk where two are mixed, and NaN for synthesised noise; "targets": [batch, classes] float32 in
        [0, 1]; "weights": [batch, classes] float32, 0 where presence is unknown; "label": [batch] int64, -1 for
        no-call; "recording_id": [batch] string, empty for no-call}.

    Raises:
        InputError: there is no training chunk; an operation needs spectrograms, which are not asked for; or the records
            lack a feature that is asked for, or the backbone's answers, which the settings need.
    """
    wanted, answers, unlabelled = manifest.select(features, "this training"), taught.answers, None
    if settings.backbone_weight:
        manifest.select([schema.BACKBONE_ANSWERS], f"--backbone_weight={settings.backbone_weight}")
        answers = answers or targets.StoredAnswers(
            features=(schema.BACKBONE_ANSWERS,),
            probabilities=lambda found: tf.sigmoid(found[schema.BACKBONE_ANSWERS]),
            weight=settings.backbone_weight,
        )
    if schema.SPECTROGRAM not in features:
        config.refuse_without_effect({"--synthetic_noise without spectrograms": settings.synthetic_noise > 0})
        augmentation.refuse_without_spectrograms()
    if folder := taught.pseudo.pseudo_labels:
        config.refuse_without_effect({"--pseudo_labels without spectrograms": schema.SPECTROGRAM not in features})
        unlabelled = pseudo_labels.UnlabelledStream(pseudo_labels.load(folder), manifest)
    unheard = sampling.unheard(manifest, settings.sampling) if settings.background == "positive" else None
    if settings.mixtures and not _has_mixtures(manifest, features, answers):
        settings = dataclasses.replace(settings, mixtures=False)
    finisher = _Finisher(
        manifest=manifest, settings=settings, augmentation=augmentation, seed=seed, features=wanted,
        in_noise=_features_in_noise(manifest, settings, features), answers=answers, unheard=unheard,
        unlabelled=unlabelled, pseudo_share=taught.pseudo.pseudo_share,
    )  # fmt: skip
    strings = streams.batches(manifest, settings, augmentation, seed, start, unlabelled)
    batches = strings.map(finisher.finish, num_parallel_calls=tf.data.AUTOTUNE)
    if settings.data_service:
        # a worker gets a whole epoch, so that no two workers read the same chunks
        by_epoch = tf.data.experimental.service.ShardingPolicy.DYNAMIC
        batches = batches.apply(tf.data.experimental.service.distribute(by_epoch, settings.data_service))
    return batches.prefetch(tf.data.AUTOTUNE)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Finisher:
    """A batch of `streams.batches` → a batch of `training`, whose names the attributes have."""

    manifest: manifests.Manifest
    settings: DatasetConfig
    augmentation: augmentations.AugmentConfig
    seed: int
    features: Sequence[schema.Feature]
    in_noise: dict[str, schema.Feature]
    answers: targets.StoredAnswers | None
    unheard: sampling.Unheard | None
    unlabelled: pseudo_labels.UnlabelledStream | None
    pseudo_share: float

    def finish(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Parses a batch, and augments it."""
        augmentation, front_end = self.augmentation, self.manifest.front_end
        seed = streams.seed_of(self.seed, streams.Salt.AUGMENTATION, batch["step"])
        seeds = tf.unstack(tf.random.split(seed, 3))
        examples, noise = self._with_no_call(*self._parsed(batch, seeds[0]))
        if schema.SPECTROGRAM not in examples:
            return augmentations.mix(examples, augmentation, front_end, seeds[2])
        spectrograms = augmentations.apply(
            examples[schema.SPECTROGRAM], noise.get(schema.SPECTROGRAM), augmentation, front_end, seeds[0]
        )
        examples = {**examples, schema.SPECTROGRAM: spectrograms}
        if augmentation.same_species:
            partners = _in_float32(self._with_targets(batch["partners"]))
            examples = augmentations.add_same_species(examples, partners, augmentation, front_end, seeds[1])
        examples = augmentations.mix(examples, augmentation, front_end, seeds[2])
        if self.unlabelled:
            others = _in_float32(self.unlabelled.examples(*batch["unlabelled"]))
            how = tf.random.fold_in(seed, int(streams.Salt.UNLABELLED))
            examples = augmentations.add_unlabelled(examples, others, self.pseudo_share, front_end, how)
        return examples

    def _parsed(
        self, batch: dict[str, tf.Tensor], seed: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """The labelled examples, and the features of noise chunks, if there are some."""
        examples = self._with_targets(batch["examples"])
        noise = schema.parse_features(batch["noise"], self.features) if "noise" in batch else {}
        if self.in_noise:
            heard, share = tf.unstack(tf.random.split(seed, 2)), self.settings.in_noise_share
            examples |= _some_in_noise(examples, batch["examples"], self.in_noise, share, heard[0])
            if noise:
                noise |= _some_in_noise(noise, batch["noise"], self.in_noise, share, heard[1])
        return examples, noise

    def _with_targets(self, serialised: tf.Tensor) -> dict[str, tf.Tensor]:
        """The features that are asked for, targets, weights, label and recording of labelled chunks."""
        parsed = schema.parse(serialised, self.features)
        targeted = targets.of_labels(parsed, len(self.manifest.classes), self.settings)
        if self.settings.mixtures:  # what is masked in a mixture, no label tells
            is_mixture = parsed["partner_id"][:, None] != ""
            targeted["weights"] = tf.where(is_mixture, 0.0, targeted["weights"])
        if self.unheard:
            targeted["weights"] = tf.where(self.unheard(serialised), 0.0, targeted["weights"])
        targeted = targets.labelled_only(targeted, self.manifest)
        if self.answers:
            taken = [self.manifest.features[name] for name in self.answers.features]
            answered = self.answers.probabilities(schema.parse_features(serialised, taken))
            targeted = targets.blended(targeted, answered, self.answers.weight)
        return {
            **{name: parsed[name] for name in ("label", "recording_id", *(f.name for f in self.features))},
            **targeted,
        }

    def _with_no_call(
        self, examples: dict[str, tf.Tensor], noise: dict[str, tf.Tensor]
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """Appends noise chunks as examples without a species, and takes them out of the noise."""
        num = streams.num_no_call(self.manifest, self.settings)
        if not (noise and num):
            return examples, noise
        shape = [num, len(self.manifest.classes)]
        added = {
            **{name: tensor[:num] for name, tensor in noise.items()},
            "label": tf.fill([num], tf.constant(-1, tf.int64)),
            "recording_id": tf.fill([num], ""),
            **targets.labelled_only({"targets": tf.zeros(shape), "weights": tf.ones(shape)}, self.manifest),
        }
        examples = {name: tf.concat([examples[name], value], axis=0) for name, value in added.items()}
        return examples, {name: tensor[num:] for name, tensor in noise.items()}


def _has_mixtures(manifest: manifests.Manifest, features: Sequence[str], answers: targets.StoredAnswers | None) -> bool:
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
