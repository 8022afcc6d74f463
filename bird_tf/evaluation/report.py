"""An evaluation → report.html: one page with everything in it, readable without a network, on a desk or a phone.

Layout and texts are in templates/. This module prepares the values for them.
"""

from __future__ import annotations

import base64
import dataclasses

import numpy as np

from bird_tf import files
from bird_tf.evaluation import examples, pages, plots, results
from bird_tf.scores import metrics

PAGE = "report.html"
_MAX_STRIP_CELLS = 160


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Strip:
    """The scores of one species over a recording, which holds it (`present`) or not; cells are in [0, 1]."""

    name: str
    score: float
    present: bool
    cells: list[float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _ExampleView:
    """One recording as the template shows it; `png` and `mp3` are in base64, `mp3` is empty without sound."""

    recording_id: str
    label: str
    first: str
    first_score: float
    average_precision: float
    png: str
    mp3: str
    excerpt: tuple[float, float]
    seconds: float
    strips: list[_Strip]


def write(path: str, evaluation: results.Evaluation) -> None:
    """Writes the page."""
    names = evaluation.classes.names
    page = pages.render(
        "report.html.j2",
        evaluation=evaluation,
        curves=_curves(evaluation),
        species=evaluation.species,
        confusions=[(names[label], names[first], count) for label, first, count in evaluation.confusions()],
        examples=[_example_view(evaluation, example) for example in evaluation.examples],
    )
    files.write_text(path, page)


def _curves(evaluation: results.Evaluation) -> dict[str, str]:
    """{name: SVG}; `training_size` is empty if no number of training recordings is known."""
    curves = [("scores", evaluation.pooled)]
    if not np.array_equal(evaluation.held_out, evaluation.pooled):
        curves.append(("calibrated", evaluation.held_out))
    known = [entry for entry in evaluation.species if entry.training_recordings > 0]
    sizes = np.array([entry.training_recordings for entry in known])
    precisions = np.array([entry.average_precision for entry in known])
    return {
        "precision_recall": plots.precision_recall(evaluation.scores, evaluation.truth),
        "reliability": plots.reliability(curves, evaluation.truth),
        "training_size": plots.precision_by_training_size(sizes, precisions) if known else "",
    }


def _example_view(evaluation: results.Evaluation, example: examples.Example) -> _ExampleView:
    scores, truth = evaluation.scores[example.index], evaluation.truth[example.index]
    names, first = evaluation.classes.names, int(np.argmax(scores))
    return _ExampleView(
        recording_id=evaluation.recording_ids[example.index],
        label=names[evaluation.labels[example.index]],
        first=names[first] if scores[first] > 0 else "no species",
        first_score=float(scores[first]),
        average_precision=metrics.average_precision(scores, truth),
        png=base64.b64encode(plots.spectrogram_png(example.spectrograms)).decode(),
        mp3=base64.b64encode(example.mp3).decode(),
        excerpt=example.excerpt,
        seconds=example.seconds,
        strips=[
            _Strip(name=names[c], score=float(scores[c]), present=bool(truth[c]), cells=_cells(example.chunks[:, i]))
            for i, c in enumerate(example.species)
        ],
    )


def _cells(scores: np.ndarray) -> list[float]:
    """Scores [chunks] of one species → at most `_MAX_STRIP_CELLS` values, each the maximum of neighbouring chunks."""
    step = -(-len(scores) // _MAX_STRIP_CELLS)  # ceil
    return [float(scores[i : i + step].max()) for i in range(0, len(scores), step)]
