"""Which model of bird_tf a folder holds, whatever calibration it has: its files change with each tuning and export."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

from bird_tf import config, files, stored, tf
from bird_tf.audio import frontend
from bird_tf.labels import taxonomy

# in the folder: the front-end, the description of the training, and the classes
FRONT_END, DESCRIPTION, CLASSES = "assets/frontend.json", "assets/train.json", "assets/classes.csv"
FORMAT_VERSION = 1  # of the description
VARIABLES = "variables"
# the names of the variables of the calibration begin so
DECISIONS = "decisions/"


def is_exported(path: str) -> bool:
    """Whether a folder holds a model that bird_tf exported."""
    return files.exists(os.path.join(path, FRONT_END))


def read(path: str) -> dict[str, Any]:
    """What an exported model says of its training, of any content.

    Raises:
        InputError: it cannot be read, or a newer version wrote it.
    """
    described = os.path.join(path, DESCRIPTION)
    content = stored.read_json(described, dict[str, Any])
    remedy = f"{described}: format_version is below 0; {stored.REMEDY}"
    stored.check_version(described, stored.version_of(content), range(FORMAT_VERSION + 1), remedy)
    return content


def variables(path: str) -> dict[str, Any]:
    """The variables of an exported model, by name.

    Raises:
        InputError: they are damaged.
    """
    try:
        reader = tf.train.load_checkpoint(os.path.join(path, VARIABLES, VARIABLES))
        return {name: reader.get_tensor(name) for name in sorted(reader.get_variable_to_shape_map())}
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        raise config.InputError(
            f"{path} is damaged ({str(error)[:300]}); export the run again with bird_tf.export"
        ) from error


def weights(path: str) -> list[str]:
    """Digests of an exported model's weights, without its calibration, sorted."""
    found = {
        hashlib.md5(value.tobytes(), usedforsecurity=False).hexdigest()
        for name, value in variables(path).items()
        if not name.startswith(DECISIONS) and not isinstance(value, bytes)  # those are the graph of the objects
    }
    return sorted(found)


def fingerprint(path: str) -> str:
    """Equal for exported models that give equal logits, scores and embeddings.

    Raises:
        InputError: the model is damaged.
    """
    described = read(path)
    inner: Mapping[str, Any] = described.get("backbone") or {}  # its weights may be no variables
    classes = taxonomy.load(os.path.join(path, CLASSES))
    front_end = frontend.load(os.path.join(path, FRONT_END))
    return files.digest({
        "weights": weights(path), "classes": classes.digest, "front_end": front_end.fingerprint,
        "loss": described.get("loss"), "backbone": inner.get("fingerprint"),
    })  # fmt: skip


def forget_calibration(loaded: Any) -> None:
    """Empties the calibration of a loaded model that becomes a part of another one, which must not depend on it."""
    if decided := getattr(loaded, DECISIONS.rstrip("/"), None):  # models of earlier versions have none
        for variable in (decided.slope, decided.intercept, *decided.thresholds.values()):
            variable.assign(tf.zeros_like(variable))
