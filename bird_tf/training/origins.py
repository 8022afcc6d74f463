"""What a network has learnt from, by itself and by way of the models that it started or learnt from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bird_tf.backbones import sources
from bird_tf.inference import leaks, model_files
from bird_tf.input import pseudo_labels
from bird_tf.records import learnt, manifests
from bird_tf.training import run_directory, training_flags


def learnt_from(settings: training_flags.TrainConfig, manifest: manifests.Manifest) -> learnt.Learnt:
    """What the network has learnt from: the records, and what the models know that it started or learnt from."""
    found = learnt.of_records(manifest)
    if settings.pretrained.pretrained not in ("", "imagenet"):
        found |= run_directory.load_description(settings.pretrained.pretrained).learnt or learnt.Learnt()
    for teacher in settings.teachers.teacher:
        found |= leaks.learnt_by(teacher) or learnt.Learnt()
    if settings.pseudo.pseudo_labels:
        found |= pseudo_labels.load(settings.pseudo.pseudo_labels).learnt
    return found


def _uses_backbone(settings: training_flags.TrainConfig) -> bool:
    learns = settings.dataset.uses_backbone or settings.teachers.embedding_weight > 0
    return learns or settings.model.needs_backbone


def backbones(settings: training_flags.TrainConfig, manifest: manifests.Manifest) -> tuple[dict[str, str], ...]:
    """The backbones that the network has learnt from, also by way of the models that it started or learnt from."""
    described: list[Mapping[str, Any]] = []
    if manifest.backbone and _uses_backbone(settings):
        described += [manifest.backbone, *manifest.backbone.get("backbones", ())]
    if settings.pretrained.pretrained not in ("", "imagenet"):
        described += run_directory.load_description(settings.pretrained.pretrained).backbones
    for teacher in settings.teachers.teacher:
        described += model_files.read_description(teacher).backbones
    if settings.pseudo.pseudo_labels:
        described += pseudo_labels.load(settings.pseudo.pseudo_labels).backbones
    return tuple({found["fingerprint"]: sources.credit(found) for found in described}.values())
