"""Where the decisions of `--tune` are stored: beside the results, and in the models that they were made for."""

from __future__ import annotations

import os
from collections.abc import Sequence

from absl import logging

from bird_tf.inference import ensembles, serving
from bird_tf.scores import decisions


def path(output: str) -> str:
    """Where they are in a folder of results."""
    return os.path.join(output, "decisions.json")


def store(ensemble: ensembles.Ensemble, output: str, paths: Sequence[str]) -> None:
    """Writes the decisions into the output folder, and into the model if there is only one.

    Args:
        ensemble: with the decisions.
        output: folder of the results.
        paths: of a single model: with --refit, the one that was evaluated and the one that was asked for.
    """
    targets = [path(output)]
    if len(ensemble.models) == 1:
        models = dict.fromkeys(paths)
        for model in models:
            if not serving.store(model, ensemble.decisions.chunk):
                logging.warning(
                    "%s is of an earlier version: its signatures give raw scores; export it again with bird_tf.export",
                    model,
                )
        targets += [os.path.join(model, decisions.ASSET) for model in models]
    for target in targets:
        decisions.save(target, ensemble.decisions, ensemble.classes)
        logging.info("pooling, weights, calibration and thresholds: %s", target)
