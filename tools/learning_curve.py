"""Draws how good recipes are after few and after many recordings, from cross-validations with --recordings_per_class.

python tools/learning_curve.py --names=head --runs='runs/head-*-cv' --names=nothing --runs='runs/nothing-*-cv'
"""

from __future__ import annotations

import dataclasses
import glob
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bird_tf import command_line, config, csv_files, files, stored
from bird_tf.records import recordings_table
from tools import cross_validate


@dataclasses.dataclass(frozen=True, kw_only=True)
class CurveConfig:
    """Flags of the learning curve."""

    names: tuple[str, ...] = config.option(
        (), "a name for each of --runs; repeat the flag; those of equal names are one curve"
    )
    runs: tuple[str, ...] = config.option(
        (), "for each name the --run_dir of its cross-validations, as a pattern with *; repeat the flag"
    )
    metric: str = config.option("mlrap", "what is drawn", choices=cross_validate.METRICS)
    output: str = config.option(
        "learning_curve.png", "the picture; a table with the same numbers lies beside it (.csv)"
    )

    def __post_init__(self) -> None:
        if not self.runs or len(self.names) != len(self.runs):
            raise config.InputError("--names and --runs: need one name for each pattern, and one at least")


@dataclasses.dataclass(frozen=True)
class Point:
    """One cross-validation.

    Attributes:
        recordings: mean number of recordings of a species that a fold learnt from.
        mean, error: of the metric over the folds; the error is NaN for one fold.
    """

    recordings: float
    mean: float
    error: float


@dataclasses.dataclass(frozen=True)
class _Folds:
    """Which folds a cross-validation has finished, and how many it has; 0 in those of earlier versions."""

    folds: tuple[int, ...] = ()
    num_folds: int = 0


@dataclasses.dataclass(frozen=True)
class _Measured:
    """What the summary of a cross-validation says of a metric."""

    mean: float | None
    standard_error: float | None


def point(run_dir: str, metric: str) -> Point:
    """Reads a cross-validation.

    Args:
        run_dir: of the cross-validation.
        metric: one of `cross_validate.METRICS`.

    Raises:
        InputError: it is not finished.
    """
    path, numbers = os.path.join(run_dir, "cross_validation.json"), []
    summary = stored.read_json(path, dict[str, Any])
    done = stored.as_type(path, _Folds, summary, partial=True)
    if len(done.folds) < done.num_folds:
        raise config.InputError(
            f"{run_dir} has finished {len(done.folds)} of {done.num_folds} folds; repeat its cross-validation without "
            "--only_folds"
        )
    measured = stored.as_type(f"{path}, {metric}", _Measured, summary.get(metric))
    if measured.mean is None:
        raise config.InputError(f"{run_dir} has no {metric}: it is undefined in a fold; name another --metric")
    for row in csv_files.read(os.path.join(run_dir, "folds.csv"), ("fold",)):
        learnt = recordings_table.read(os.path.join(run_dir, f"fold-{row.text('fold')}", "records"))
        labels = [recording.label for recording in learnt if recording.label and recording.split == "train"]
        if not labels:
            raise config.InputError(f"fold {row.text('fold')} of {run_dir} has learnt from no recording")
        numbers.append(len(labels) / len(set(labels)))
    if not numbers:
        raise stored.damaged(os.path.join(run_dir, "folds.csv"), "it has no row")
    error = math.nan if measured.standard_error is None else measured.standard_error
    return Point(statistics.fmean(numbers), measured.mean, error)


def curves(settings: CurveConfig) -> dict[str, list[Point]]:
    """{name: points, by rising number of recordings}. Each cross-validation is one point, whatever finds it.

    Raises:
        InputError: a pattern finds no cross-validation.
    """
    found: dict[str, dict[str, Point]] = {}
    for name, pattern in zip(settings.names, settings.runs, strict=True):
        folders = sorted(glob.glob(pattern))
        if not folders:
            raise config.InputError(f"--runs={pattern}: there is no such folder")
        points = {os.path.realpath(folder): point(folder, settings.metric) for folder in folders}
        found[name] = found.get(name, {}) | points
    return {name: sorted(points.values(), key=lambda each: each.recordings) for name, points in found.items()}


def draw(found: Mapping[str, Sequence[Point]], metric: str, path: str) -> None:
    """Writes the picture: a line for each recipe, with standard errors."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for name, points in found.items():
        x, y, error = zip(*((each.recordings, each.mean, each.error) for each in points), strict=True)
        axes.errorbar(x, y, yerr=np.nan_to_num(error), marker="o", capsize=3, label=name)
    axes.set(xscale="log", xlabel="recordings of a species", ylabel=metric)
    ticks = sorted({round(each.recordings, 1) for points in found.values() for each in points})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    with files.replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def main(settings: CurveConfig) -> None:
    """Writes the picture and, beside it, the table."""
    found = curves(settings)
    draw(found, settings.metric, settings.output)
    rows = [
        (name, round(each.recordings, 2), round(each.mean, 4), round(each.error, 4))
        for name, points in found.items()
        for each in points
    ]
    table = os.path.splitext(settings.output)[0] + ".csv"
    csv_files.write(table, ("recipe", "recordings_per_species", settings.metric, "standard_error"), rows)
    print(f"next:\n  open {settings.output}; {table} has the numbers")


if __name__ == "__main__":
    command_line.run(main, CurveConfig)
