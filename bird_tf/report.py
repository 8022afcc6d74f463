"""Evaluation results → one self-contained HTML page, readable without a network."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Mapping, Sequence

import numpy as np

from bird_tf import files, metrics, taxonomy

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1b2a1f; background: #fbfcfa; margin: 0 auto; max-width: 60rem;
  padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.figures { display: flex; flex-wrap: wrap; gap: .75rem; }
.figures div { background: #e9f1ea; border-radius: .5rem; padding: .6rem .9rem; min-width: 7rem; }
.figures b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #dde5dd; white-space: nowrap; }
td.number { text-align: right; } .bar { background: #4f8a5b; height: .7rem; border-radius: .2rem; min-width: 1px; }
.track { background: #e3e9e3; width: 8rem; border-radius: .2rem; }
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Results:
    """An evaluation.

    Attributes:
        title: what was evaluated.
        headline: {metric: value}.
        classes: of the models.
        recording_ids: [recordings].
        labels: [recordings] index of the foreground species.
        truth: [recordings, classes] bool, background included.
        scores: [recordings, classes] pooled, in [0, 1].
    """

    title: str
    headline: Mapping[str, float]
    classes: taxonomy.Taxonomy
    recording_ids: Sequence[str]
    labels: np.ndarray
    truth: np.ndarray
    scores: np.ndarray


@dataclasses.dataclass(frozen=True)
class Species:
    """How one species fared: recordings it is the label of, how many of them rank it first, its average precision
    (NaN if never present), and the species most often put first instead ("" if none)."""

    class_id: str
    name: str
    recordings: int
    first: int
    average_precision: float
    mistaken_for: str


def per_species(results: Results) -> list[Species]:
    """One entry for each class that is present in some recording, the best first."""
    precisions = metrics.class_average_precisions(results.scores, results.truth)
    best = np.argmax(results.scores, axis=1)
    entries = []
    for index, (class_id, name) in enumerate(zip(results.classes.class_ids, results.classes.names, strict=True)):
        own = results.labels == index
        wrong = best[own & (best != index)]
        mistaken = results.classes.names[np.bincount(wrong).argmax()] if len(wrong) else ""
        entries.append(
            Species(class_id, name, int(own.sum()), int((best[own] == index).sum()), float(precisions[index]), mistaken)
        )
    return sorted(
        (e for e in entries if e.average_precision == e.average_precision), key=lambda e: -e.average_precision
    )


def write(path: str, results: Results) -> None:
    """Writes the page."""
    species = "".join(
        f"<tr><td>{html.escape(e.name)}</td><td class=number>{e.recordings}</td><td class=number>{e.first}</td>"
        f"<td class=number>{e.average_precision:.3f}</td>"
        f"<td><div class=track><div class=bar style='width:{100 * e.average_precision:.0f}%'></div></div></td>"
        f"<td>{html.escape(e.mistaken_for)}</td></tr>"
        for e in per_species(results)
    )
    precisions = [metrics.average_precision(s, t) for s, t in zip(results.scores, results.truth, strict=True)]
    worst = "".join(_recording_row(results, i, precisions[i]) for i in np.argsort(precisions)[:20])
    files.write_text(
        path,
        f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(results.title)}</title><style>{_STYLE}</style></head><body>
<h1>{html.escape(results.title)}</h1>
<div class="figures">{"".join(_figure(name, value) for name, value in results.headline.items())}</div>
<h2>Species</h2><div class="scroll"><table>
<tr><th>species</th><th>recordings</th><th>put first</th><th>average precision</th><th></th><th>mistaken for</th></tr>
{species}</table></div>
<h2>Recordings that fared worst</h2><div class="scroll"><table>
<tr><th>recording</th><th>average precision</th><th>labelled</th><th>put first</th></tr>
{worst}</table></div>
</body></html>
""",
    )


def _figure(name: str, value: float) -> str:
    shown = f"{value:.3f}" if isinstance(value, float) else str(value)
    return f"<div>{html.escape(name.replace('_', ' '))}<b>{shown}</b></div>"


def _recording_row(results: Results, index: int, precision: float) -> str:
    best = int(np.argmax(results.scores[index]))
    return (
        f"<tr><td>{html.escape(results.recording_ids[index])}</td><td class=number>{precision:.3f}</td>"
        f"<td>{html.escape(results.classes.names[results.labels[index]])}</td>"
        f"<td>{html.escape(results.classes.names[best])} ({results.scores[index, best]:.2f})</td></tr>"
    )
