"""What a chunk teaches: targets and weights from its labels, blended with what another model says of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from bird_tf import config, tf
from bird_tf.records import manifests


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetConfig:
    """The meaning of labels, and the backbone's share in the targets."""

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

    def __post_init__(self) -> None:
        if not 0 <= self.backbone_weight <= 1:
            raise config.InputError(f"--backbone_weight={self.backbone_weight}: need a share in [0, 1]")
        for name in ("background_weight", "background_loss_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise config.InputError(f"--{name}={getattr(self, name)}: need a weight in [0, 1]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredAnswers:
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


def of_labels(parsed: dict[str, tf.Tensor], num_classes: int, settings: TargetConfig) -> dict[str, tf.Tensor]:
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


def blended(label_targets: dict[str, tf.Tensor], answers: tf.Tensor, weight: float) -> dict[str, tf.Tensor]:
    """Blends the targets from labels with another model's answers. If only one of them knows a class, it alone counts.

    A cross-entropy is linear in the target, so blending the targets equals blending the losses. Operations that mix
    chunks later mix the answers by the same rules as labels.

    Args:
        label_targets: as from `of_labels`.
        answers: [batch, classes] float32 in [0, 1], NaN for classes that the model does not know.
        weight: of the answers, above 0 and up to 1.

    Returns:
        As `of_labels`.
    """
    known = tf.cast(~tf.math.is_nan(answers), tf.float32)
    label_weight, answer_weight = (1.0 - weight * known) * label_targets["weights"], weight * known
    total = label_weight + answer_weight
    answers = tf.where(known > 0, answers, 0.0)
    blended = label_weight * label_targets["targets"] + answer_weight * answers
    return {"targets": tf.math.divide_no_nan(blended, total), "weights": tf.cast(total > 0, tf.float32)}


def labelled_only(targeted: dict[str, tf.Tensor], manifest: manifests.Manifest) -> dict[str, tf.Tensor]:
    """Targets and weights; classes of which the labels say nothing have weight 0."""
    if not manifest.num_further:
        return targeted
    labelled = np.arange(len(manifest.classes)) < len(manifest.labelled_classes)
    return {**targeted, "weights": targeted["weights"] * labelled.astype(np.float32)}
