"""Weights to start from: those of an earlier run, classes mapped by name, layers frozen."""

from __future__ import annotations

import dataclasses

import numpy as np
from absl import logging

from bird_tf import config, keras
from bird_tf.labels import taxonomy
from bird_tf.models import application, architectures
from bird_tf.training import run_directory


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainedConfig:
    """Where a training starts."""

    pretrained: str = config.option(
        "", "finished run, as runs/NAME, whose weights training starts from; imagenet: --backbone's"
    )
    pretrained_output: bool = config.option(True, "take its last layer too, for the classes that it knows")
    freeze_layers: int = config.option(
        0, "the first so many convolutions and dense layers, normalisations between them included, stay as they are"
    )

    def __post_init__(self) -> None:
        if self.freeze_layers < 0:
            raise config.InputError(f"--freeze_layers={self.freeze_layers}: must be at least 0")


def start(
    network: keras.Model, model: architectures.ModelConfig, classes: taxonomy.Taxonomy, settings: PretrainedConfig
) -> None:
    """Gives a fresh network the weights asked for, and freezes its first layers.

    Args:
        network: from `architectures.build`.
        model: its options.
        classes: its outputs.
        settings: where the weights come from.

    Raises:
        InputError: the other run has another network, or there are not so many layers to freeze.
    """
    if settings.pretrained == "imagenet":
        if model.architecture != "application":
            raise config.InputError(f"--pretrained=imagenet needs --architecture=application, not {model.architecture}")
        network.set_weights([*application.imagenet_weights(model), *network.get_weights()[-2:]])
    elif settings.pretrained:
        run, weights = run_directory.load(settings.pretrained)
        ours, theirs = config.to_mapping(model), config.to_mapping(run.model)
        if differing := [name for name in ours if ours[name] != theirs[name] and not name.startswith("dropout")]:
            names = ", ".join(f"--{name}={theirs[name]} there, {ours[name]} here" for name in differing)
            raise config.InputError(f"--pretrained={settings.pretrained} has another network: {names}")
        known = _same_classes(classes, run.classes) if settings.pretrained_output else {}
        network.set_weights(_mapped(network.get_weights(), weights, known, settings.pretrained))
        logging.info(
            "starts from %s, with the outputs of %d of %d classes", settings.pretrained, len(known), len(classes)
        )
    _freeze(network, settings.freeze_layers)


def _same_classes(ours: taxonomy.Taxonomy, theirs: taxonomy.Taxonomy) -> dict[int, int]:
    """{our index: their index} of the classes that both know, by class id, else by Latin name."""
    found = {
        index: theirs.resolve([class_id]) or theirs.resolve([name])
        for index, (class_id, name) in enumerate(zip(ours.class_ids, ours.names, strict=True))
    }
    return {index: match[0] for index, match in found.items() if match}


def _mapped(fresh: list[np.ndarray], stored: list[np.ndarray], known: dict[int, int], path: str) -> list[np.ndarray]:
    """The stored weights, the last layer's (kernel [features, classes], bias [classes]) for known classes only."""
    *body, kernel, bias = fresh
    for ours, theirs in zip(body, stored[:-2], strict=True):
        if ours.shape != theirs.shape:
            raise config.InputError(
                f"--pretrained={path} has a layer of shape {theirs.shape}, here it is {ours.shape}: its spectrograms "
                "are of another size, which this network cannot bridge"
            )
    kernel, bias = kernel.copy(), bias.copy()
    for ours_index, theirs_index in known.items():
        kernel[:, ours_index] = stored[-2][:, theirs_index]
        bias[ours_index] = stored[-1][theirs_index]
    return [*stored[:-2], kernel, bias]


def _freeze(network: keras.Model, count: int) -> None:
    layers = [layer for layer in network.layers if layer.weights]
    weighted = [index for index, layer in enumerate(layers) if hasattr(layer, "kernel")]
    if count >= len(weighted):
        raise config.InputError(f"--freeze_layers={count}: the network has {len(weighted)}, one must be left to learn")
    for layer in layers[: weighted[count]] if count else []:
        layer.trainable = False
