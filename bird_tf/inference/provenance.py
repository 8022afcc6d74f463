"""What a summary tells of how its results were made, so that two results can be compared, and made again."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from bird_tf import config, executor
from bird_tf.inference import ensembles
from bird_tf.records import manifests
from bird_tf.scores import decisions

# flags that change no result: where the work runs and where its results are
_WITHOUT_EFFECT = {
    "output", "overwrite", "batch_size", *(field.name for field in dataclasses.fields(executor.PlaceConfig)),
}  # fmt: skip


def of_command(settings: Any) -> dict[str, Any]:
    """The flags of a command that decide its results, given or not, and the versions of bird_tf and its libraries."""
    told = config.to_mapping(settings).items()
    flags = {name: _as_json(value) for name, value in told if name not in _WITHOUT_EFFECT}
    return {"flags": flags, "versions": manifests.versions()}


def _as_json(value: Any) -> Any:
    """Infinity, which JSON does not have, as a text."""
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def of_models(ensemble: ensembles.Ensemble) -> dict[str, Any]:
    """Digests of the models, in their order, and of the decisions that count: paths may hold other models later."""
    return {
        "fingerprints": [model.fingerprint for model in ensemble.models],
        "decisions_digest": decisions.digest(ensemble.decisions, ensemble.classes),
    }
