"""Thresholds of one's own: a table of classes and the least probability of each."""

from __future__ import annotations

import os

import numpy as np
from absl import logging

from bird_tf import config, files
from bird_tf.labels import taxonomy

COLUMNS = ("class_id", "threshold")


def choose(given: str, own: np.ndarray, classes: taxonomy.Taxonomy) -> np.ndarray:
    """The least probability of each class, as the flag --min_probability gives it.

    Args:
        given: empty; a number in [0, 1] for all classes; or a CSV with the columns class_id (or a Latin name) and
            threshold, for some of them.
        own: [classes] those of classes without a given one.
        classes: the classes.

    Returns:
        [classes] float64.

    Raises:
        InputError: neither a number in [0, 1] nor such a table, or none of its rows is a class of the model.
    """
    if not given:
        return own
    if (number := _probability(given)) is not None:
        return np.full(len(classes), number)
    if not os.path.exists(given):
        raise config.InputError(f"--min_probability={given}: neither a number in [0, 1] nor a file")
    chosen = np.array(own, np.float64)
    unknown, set_by = [], dict[int, int]()
    for line, row in enumerate(files.read_table(given), 2):
        where, name = f"--min_probability={given}, line {line}", (row.get("class_id") or "").strip()
        threshold = _probability(row.get("threshold") or "")
        if not name or threshold is None:
            raise config.InputError(f"{where}: need class_id and threshold, a number in [0, 1]")
        indices = classes.resolve([name])
        if not indices:
            unknown.append(name)
        elif indices[0] in set_by:
            raise config.InputError(f"{where}: {name} has a threshold in line {set_by[indices[0]]} already")
        else:
            set_by[indices[0]] = line
            chosen[indices[0]] = threshold
    if not set_by:
        raise config.InputError(f"--min_probability={given}: none of {len(unknown)} rows is a class of the model")
    if unknown:
        logging.warning("%s: %d rows are no classes of the model, for example %s", given, len(unknown), unknown[0])
    return chosen


def _probability(text: str) -> float | None:
    """The number in [0, 1] that a text is; None for any other text."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number <= 1 else None
