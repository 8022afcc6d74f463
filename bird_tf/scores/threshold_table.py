"""Thresholds of one's own: a table of classes and the least probability of each."""

from __future__ import annotations

import math
import os

import numpy as np
from absl import logging

from bird_tf import config, free_text
from bird_tf.labels import given_table, taxonomy

COLUMNS = ("class_id", "threshold")


def choose(given: str, own: np.ndarray, classes: taxonomy.Taxonomy) -> np.ndarray:
    """The least probability of each class, as the flag --min_probability gives it.

    Args:
        given: empty; a number in [0, 1] for all classes; or a CSV with the columns class_id (or a Latin name) and
            threshold, for some of them.
        own: [..., classes] those of classes without a given one.
        classes: the classes.

    Returns:
        [..., classes] float64.

    Raises:
        InputError: neither a number in [0, 1] nor such a table, or none of its rows is a class of the model.
    """
    if not given:
        return own
    number = free_text.probability(given)
    if number >= 0:
        return np.full(own.shape, number)
    if not os.path.exists(given):
        raise config.InputError(f"--min_probability={given}: neither a number in [0, 1] nor a file")
    chosen = np.array(own, np.float64)
    unknown, set_by = [], dict[int, int]()
    for row in given_table.read(given, "min_probability", COLUMNS):
        name, threshold = row.text("class_id"), row.number("threshold", 0, 1)
        if math.isnan(threshold):
            raise row.error(f"{name} has no threshold, a number from 0 to 1")
        indices = classes.resolve([name])
        if not indices:
            unknown.append(name)
        elif indices[0] in set_by:
            raise row.error(f"{name} has a threshold in line {set_by[indices[0]]} already")
        else:
            set_by[indices[0]] = row.line
            chosen[..., indices[0]] = threshold
    if not set_by:
        raise config.InputError(f"--min_probability={given}: none of {len(unknown)} rows is a class of the model")
    if unknown:
        logging.warning("%s: %d rows are no classes of the model, for example %s", given, len(unknown), unknown[0])
    return chosen
