"""Where the decisions of `--tune` are stored: beside the results, and in the models that they were made for."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from absl import logging

from bird_tf import files, next_steps
from bird_tf.inference import ensembles, leaks, model_files, serving
from bird_tf.inference.formats import parts
from bird_tf.scores import decisions, thresholds

RECORDINGS = "validation recordings (--val_share of the converter)"


def path(output: str) -> str:
    """Where they are in a folder of results."""
    return os.path.join(output, "decisions.json")


def store(ensemble: ensembles.Ensemble, output: str, asked_for: Sequence[str], fitted_to: str = RECORDINGS) -> None:
    """Writes the decisions into the output folder, and into the model if there is only one.

    Args:
        ensemble: with the decisions.
        output: folder of the results.
        asked_for: for each of its models, the one that was asked for: with --refit, it is not the one that was
            evaluated. The decisions are for both, as for the one before the refit if that was not evaluated.
        fitted_to: what thresholds were fitted to, in words.
    """
    same = [tuple(dict.fromkeys((m.path, asked))) for m, asked in zip(ensemble.models, asked_for, strict=True)]
    targets = [path(output)]
    if len(same) == 1:
        for model in same[0]:
            if not serving.store(model, ensemble.decisions.chunk):
                logging.warning(
                    "%s is of an earlier version: its signatures give raw scores; export it again with bird_tf.export",
                    model,
                )
            _warn_of_small_models(model)
        targets += [os.path.join(model, decisions.ASSET) for model in same[0]]
    every = [dict.fromkeys((*paths, leaks.validated(paths[-1]))) for paths in same]
    made_for = tuple(tuple(serving.digest(path) for path in paths if files.exists(path)) for paths in every)
    decided = dataclasses.replace(ensemble.decisions, models=made_for)
    for target in targets:
        decisions.save(target, decided, ensemble.classes)
    logging.info("pooling, weights, calibration and thresholds are stored: %s", ", ".join(targets))
    _warn_of_missing_thresholds(decided, fitted_to)


def _warn_of_missing_thresholds(decided: decisions.Decisions, fitted_to: str) -> None:
    """Tells of how many species no rule can ever find any."""
    for rule, fitted in decided.answers.thresholds.items():
        if missing := thresholds.num_never(fitted):
            wanted, further = "any", ""
            if rule == thresholds.PRECISION:
                wanted = f"a precision of {decided.precision:g}, above noise,"
                further = ", or a lower --precision, or a training with more noise (--synthetic_noise)"
            logging.warning(
                "--threshold=%s will find nothing of %d of %d species: no threshold reaches %s with these %s; more "
                "of them help%s", rule, missing, len(fitted), wanted, fitted_to, further,
            )  # fmt: skip


def _warn_of_small_models(model: str) -> None:
    """Tells if the run of a model has files for small computers: they keep the calibration from before."""
    run = os.path.dirname(model.rstrip(os.sep)) or "."
    if not files.exists(os.path.join(run, model_files.RUN_DESCRIPTION)):
        return
    outdated = [name for name in parts.FOLDERS if files.exists(os.path.join(run, name))]
    if outdated:
        logging.warning(
            "%s: the calibration there is the one from before; write it again: %s",
            " and ".join(os.path.join(run, name) for name in outdated),
            next_steps.command("export", run_dir=run, **dict.fromkeys(outdated, True)),
        )
