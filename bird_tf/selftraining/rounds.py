"""The rounds of self-training: their table, the one that is kept, and its model."""

from __future__ import annotations

import dataclasses
import math
import os
import shutil
from collections.abc import Sequence
from typing import Any

from bird_tf import config, csv_files, files
from bird_tf.backbones import exported
from bird_tf.inference import model_files
from bird_tf.selftraining import gate
from bird_tf.training import exporter

TABLE = "rounds.csv"
_COLUMNS = ("round", "run_dir", "teachers", "power", "unlabelled_chunks", "labels_of_chunk", "cmap", "auroc", "mlrap")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Round:
    """A round; round 0 are the first teachers.

    Attributes:
        run_dir: of its training; empty for round 0.
        models: what it is judged by and teaches with; with --refit, the model from before the refit.
        row: of the table.
        quality: None without a gate.
        asked: of round 0, the teachers that were asked for; `models` are those from before their refit.
    """

    run_dir: str
    models: tuple[str, ...]
    row: dict[str, Any]
    quality: gate.Quality | None
    asked: tuple[str, ...] = ()


def best(rounds: Sequence[Round]) -> int:
    """The number of the round that is kept so far: the best one, without a gate the last one."""
    qualities = [one.quality for one in rounds if one.quality]
    return gate.best(qualities) if qualities else len(rounds) - 1


def write_table(run_dir: str, rounds: Sequence[Round]) -> None:
    """Writes rounds.csv; and adds the metrics to the rows."""
    for number, one in enumerate(rounds):
        one.row["round"] = number
        for name in ("cmap", "auroc", "mlrap"):
            value = getattr(one.quality, name) if one.quality else math.nan
            one.row[name] = None if math.isnan(value) else round(value, 4)
    cells = [["" if one.row.get(name) is None else one.row[name] for name in _COLUMNS] for one in rounds]
    csv_files.write(os.path.join(run_dir, TABLE), _COLUMNS, cells)


def take(run_dir: str, winner: Round) -> str:
    """Copies the model of the round that won to RUN_DIR/export, and that from before its refit. Returns its path.

    A copy that is there stays, with what `evaluate --tune` has stored in it. Several first teachers are no one model:
    they stay where they are.
    """
    if not winner.run_dir and len(winner.models) > 1:
        return ""
    names = (exporter.EXPORT, os.path.join(model_files.VALIDATED, exporter.EXPORT))
    export, validated = (os.path.join(run_dir, name) for name in names)
    if winner.run_dir:
        copies = {os.path.join(winner.run_dir, name): os.path.join(run_dir, name) for name in names}
    else:
        [asked], [judged] = winner.asked or winner.models, winner.models
        copies = {asked: export} | ({judged: validated} if judged != asked else {})
    for original, copy in copies.items():
        if files.exists(original) and not _is_copy(copy, original):
            with files.replacing(copy, durable=True) as temporary:
                shutil.copytree(original, temporary)
    return export


def _is_copy(path: str, original: str) -> bool:
    try:
        return exported.is_exported(path) and exported.fingerprint(path) == exported.fingerprint(original)
    except config.InputError:  # one that is damaged is made again
        return False


def in_words(row: dict[str, Any]) -> str:
    told = [f"{title} {row[name]:.4f}" for title, name in (("c-mAP", "cmap"), ("MLRAP", "mlrap")) if row.get(name)]
    return ", ".join(told) or "not judged"
