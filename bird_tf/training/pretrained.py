"""Weights to start from: those of an earlier run, with classes matched by name; and frozen layers."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import numpy as np
from absl import logging

from bird_tf import config, files, keras
from bird_tf.inference import model_files
from bird_tf.labels import metadata, taxonomy
from bird_tf.models import application, architectures
from bird_tf.records import manifests
from bird_tf.training import run_directory


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainedConfig:
    """The first weights of a training."""

    pretrained: str = config.option(
        "", "start from the weights of this finished run, as runs/NAME; imagenet: those of --application"
    )
    pretrained_output: bool = config.option(True, "take its last layer too, for the classes that both know")
    keep_classes: bool = config.option(
        False,
        "keep the classes of --pretrained that the records lack, beside those of the records; a head answers for them "
        "as before, another network learns what --pretrained says of each chunk",
    )
    freeze_layers: int = config.option(
        0, "do not train the first N convolutions and dense layers, nor the normalisations between them"
    )

    def __post_init__(self) -> None:
        if self.freeze_layers < 0:
            raise config.InputError(f"--freeze_layers={self.freeze_layers}: must be at least 0")
        if self.freeze_layers and not self.pretrained:
            raise config.InputError(
                f"--freeze_layers={self.freeze_layers} without --pretrained: these layers would stay at random; name "
                "the run to start from, or leave it out"
            )
        if self.keep_classes and (self.pretrained in ("", "imagenet") or not self.pretrained_output):
            raise config.InputError(
                "--keep_classes needs --pretrained=runs/NAME, the run whose classes are kept, and not "
                "--pretrained_output=false"
            )


def runs(settings: PretrainedConfig) -> tuple[str, ...]:
    """The run directory that the first weights come from, and the one before its refit, which `without_leak` knows."""
    path = settings.pretrained
    return () if path in ("", "imagenet") else (path, os.path.join(path, model_files.VALIDATED))


def without_leak(
    settings: PretrainedConfig, judged: Sequence[metadata.Recording], sample_rate_hz: int
) -> PretrainedConfig:
    """The same start, but from the weights before a refit if those after it know recordings that will be judged.

    If the weights before know some as well, or there are none, a warning tells it.

    Args:
        settings: where the weights come from.
        judged: the validation recordings, with their digests.
        sample_rate_hz: of the digests.
    """
    found = runs(settings)
    if not judged or not found:
        return settings
    path, validated = found
    known = _num_known(path, judged, sample_rate_hz)
    if known and files.exists(os.path.join(validated, model_files.RUN_DESCRIPTION)):
        logging.info("%s knows validation recordings; the training starts from %s", path, validated)
        path, known = validated, _num_known(validated, judged, sample_rate_hz)
    if known:
        logging.warning(
            "%s has learnt from %d of the %d validation recordings: the validation says what it remembers of them",
            path, known, len(judged),
        )  # fmt: skip
    return dataclasses.replace(settings, pretrained=path)


def _num_known(run_dir: str, judged: Sequence[metadata.Recording], sample_rate_hz: int) -> int:
    known = run_directory.load_description(run_dir).learnt
    return len(known.known(judged, sample_rate_hz)) if known else 0


def check_records(settings: PretrainedConfig, model: architectures.ModelConfig, manifest: manifests.Manifest) -> None:
    """Refuses records on which the weights of the earlier run mean nothing, and warns if they mean something else.

    A head is bound to its backbone. A network of spectrograms may learn those of another front-end from where it is,
    but hears other frequencies or times in each pixel at first, and in its frozen layers for good.

    Args:
        settings: where the weights come from.
        model: of the new network; if it takes other features than the earlier one, `start` tells of it.
        manifest: the records.

    Raises:
        InputError: the records have the features of another backbone, or of the same one, asked otherwise.
    """
    if settings.pretrained in ("", "imagenet"):
        return
    run = run_directory.load_description(settings.pretrained)
    if run.model.features != model.features:
        return
    model_files.check_features(settings.pretrained, run.taken, manifest.front_end, run.backbone, manifest)
    if names := model_files.front_end_differences(run.taken, run.front_end, manifest.front_end):
        logging.warning(
            "--pretrained=%s was trained on chunks of another front-end than those of %s (%s): convert with the flags "
            "of its records to keep what it knows", settings.pretrained, manifest.directory, names,
        )  # fmt: skip


def start(
    network: keras.Model, model: architectures.ModelConfig, classes: taxonomy.Taxonomy, settings: PretrainedConfig
) -> None:
    """Gives a new network its first weights, and freezes its first layers.

    Args:
        network: from `architectures.build`.
        model: its options.
        classes: in the order of its outputs.
        settings: where the weights come from.

    Raises:
        InputError: the other run has another network, or the network has too few layers to freeze.
    """
    if settings.pretrained == "imagenet":
        if model.architecture != "application":
            raise config.InputError(f"--pretrained=imagenet needs --architecture=application, not {model.architecture}")
        network.set_weights([*application.imagenet_weights(model), *network.get_weights()[-2:]])
    elif settings.pretrained:
        run, trained = run_directory.load(settings.pretrained)
        ours, theirs = config.to_mapping(model), config.to_mapping(run.model)
        if differing := [name for name in ours if ours[name] != theirs[name] and not name.startswith("dropout")]:
            names = ", ".join(f"--{name}={theirs[name]} there, {ours[name]} here" for name in differing)
            raise config.InputError(f"--pretrained={settings.pretrained} has another network: {names}")
        shared = shared_classes(classes, run.classes) if settings.pretrained_output else {}
        network.set_weights(_mapped(network.get_weights(), trained.get_weights(), shared, settings.pretrained))
        logging.info(
            "starts from %s, with the outputs of %d of %d classes", settings.pretrained, len(shared), len(classes)
        )
    _freeze(network, settings.freeze_layers)


def shared_classes(ours: taxonomy.Taxonomy, theirs: taxonomy.Taxonomy) -> dict[int, int]:
    """{our index: their index} of the classes that both know, matched by class id or else by Latin name."""
    found = {
        index: theirs.resolve([class_id]) or theirs.resolve([name])
        for index, (class_id, name) in enumerate(zip(ours.class_ids, ours.names, strict=True))
    }
    return {index: match[0] for index, match in found.items() if match}


def _mapped(fresh: list[np.ndarray], stored: list[np.ndarray], shared: dict[int, int], path: str) -> list[np.ndarray]:
    """The stored weights; in the last layer (kernel [features, classes], bias [classes]) only for shared classes."""
    *body, kernel, bias = fresh
    for ours, theirs in zip(body, stored[:-2], strict=True):
        if ours.shape != theirs.shape:
            raise config.InputError(
                f"--pretrained={path} has a layer of shape {theirs.shape}, here it is {ours.shape}: its spectrograms "
                "have another size, and this network needs equal sizes"
            )
    kernel, bias = kernel.copy(), bias.copy()
    for ours_index, theirs_index in shared.items():
        kernel[:, ours_index] = stored[-2][:, theirs_index]
        bias[ours_index] = stored[-1][theirs_index]
    return [*stored[:-2], kernel, bias]


def _freeze(network: keras.Model, count: int) -> None:
    layers = [layer for layer in network.layers if layer.weights]
    # those of separable convolutions are called depthwise_kernel and pointwise_kernel
    kernels = [any(weight.name.endswith("kernel") for weight in layer.weights) for layer in layers]
    weighted = np.flatnonzero(kernels)
    if count >= len(weighted):
        raise config.InputError(
            f"--freeze_layers={count}: the network has {len(weighted)}, and the last must be trained"
        )
    for layer in layers[: weighted[count]] if count else []:
        layer.trainable = False
