"""Evaluation results → one self-contained HTML page, readable without a network, on a desk or a phone."""

from __future__ import annotations

import base64
import dataclasses
import html
from collections.abc import Mapping, Sequence

import numpy as np

from bird_tf import files
from bird_tf.evaluation import examples, page, plots
from bird_tf.labels import taxonomy
from bird_tf.scores import decisions, metrics


@dataclasses.dataclass(frozen=True, kw_only=True)
class Results:
    """An evaluation.

    Attributes:
        title: what was evaluated.
        notes: sentences that a reader must know to judge the numbers.
        headline: {metric: value}.
        intervals: {metric: (low, high)}, 95 %.
        classes: of the models.
        recording_ids: [recordings].
        labels: [recordings] index of the foreground species.
        truth: [recordings, classes] bool, background included.
        scores: [recordings, classes] pooled, in [0, 1].
        probabilities: [recordings, classes] calibrated; the scores themselves where nothing is.
        training_recordings: [classes]; empty if unknown.
        decisions: pooling and thresholds.
        examples: the recordings that fared worst.
    """

    title: str
    notes: Sequence[str]
    headline: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    classes: taxonomy.Taxonomy
    recording_ids: Sequence[str]
    labels: np.ndarray
    truth: np.ndarray
    scores: np.ndarray
    probabilities: np.ndarray
    training_recordings: Sequence[int]
    decisions: decisions.Decisions
    examples: Sequence[examples.Example]


@dataclasses.dataclass(frozen=True)
class Species:
    """How one species fared: recordings it is the label of, how many of them rank it first, its average precision
    (NaN if never present), training recordings (-1: unknown), its threshold by best F1, and the species most often
    put first instead ("" if none)."""

    class_id: str
    name: str
    recordings: int
    first: int
    average_precision: float
    training_recordings: int
    threshold: float
    mistaken_for: str


def per_species(results: Results) -> list[Species]:
    """One entry for each class that is present in some recording, the best first."""
    precisions = metrics.class_average_precisions(results.scores, results.truth)
    best = np.argmax(results.scores, axis=1)
    training = results.training_recordings or [-1] * len(results.classes)
    thresholds = results.decisions.recording.thresholds["f1"]
    entries = []
    for index, (class_id, name) in enumerate(zip(results.classes.class_ids, results.classes.names, strict=True)):
        own = results.labels == index
        wrong = best[own & (best != index)]
        mistaken = results.classes.names[np.bincount(wrong).argmax()] if len(wrong) else ""
        entries.append(
            Species(class_id, name, int(own.sum()), int((best[own] == index).sum()), float(precisions[index]),
                    int(training[index]), float(thresholds[index]), mistaken)
        )  # fmt: skip
    return sorted(
        (e for e in entries if e.average_precision == e.average_precision), key=lambda e: -e.average_precision
    )


def confusions(results: Results, count: int = 15) -> list[tuple[int, int, int]]:
    """(label, put first instead, how often), the most frequent first; what is heard in the background is no mistake."""
    best = np.argmax(results.scores, axis=1)
    wrong = ~results.truth[np.arange(len(best)), best]
    pairs, counts = np.unique(np.stack([results.labels[wrong], best[wrong]]), axis=1, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:count]
    return [(int(pairs[0, i]), int(pairs[1, i]), int(counts[i])) for i in order]


def write(path: str, results: Results) -> None:
    """Writes the page."""
    names = [html.escape(name) for name in results.classes.names]
    sections = [
        page.figures([(name, value, results.intervals.get(name)) for name, value in results.headline.items()]),
        "<p class=hint>Small print: 95 % intervals, by drawing recordings anew.</p>" if results.intervals else "",
        "".join(f"<p class=note>{html.escape(note)}</p>" for note in results.notes),
        page.section("Curves", _curves(results)),
        page.section("Species", _species_table(results), "A column's heading sorts by it."),
        page.section(
            "Most confused",
            page.table(["labelled", "put first", "#recordings"],
                       [[names[a], names[b], str(n)] for a, b, n in confusions(results)]),
        ),
        page.section(
            "Recordings that fared worst",
            "".join(_example(results, names, example) for example in results.examples),
            "True species are underlined; each strip shows a species' score over the whole recording, darker for more.",
        ),
    ]  # fmt: skip
    files.write_text(path, page.page(results.title, "".join(sections)))


def _curves(results: Results) -> str:
    calibrated = results.probabilities is not results.scores
    curves = [("scores", results.scores)] + ([("calibrated", results.probabilities)] if calibrated else [])
    pictures = [
        page.picture(plots.precision_recall(results.scores, results.truth),
                     "Precision and recall of all species together"),
        page.picture(plots.reliability(curves, results.truth),
                     "Reliability: on the dotted line a stated probability means what it says"),
    ]  # fmt: skip
    known = [e for e in per_species(results) if e.training_recordings > 0]
    if known:
        sizes, precisions = (np.array([getattr(e, name) for e in known]) for name in
                             ("training_recordings", "average_precision"))  # fmt: skip
        pictures.append(
            page.picture(plots.precision_by_training_size(sizes, precisions),
                         "Average precision of each species by its number of training recordings")
        )  # fmt: skip
    return f"<div class=curves>{''.join(pictures)}</div>"


def _species_table(results: Results) -> str:
    rows = []
    for e in per_species(results):
        share = 100 * e.average_precision
        rows.append([
            html.escape(e.name), str(e.training_recordings) if e.training_recordings >= 0 else "–", str(e.recordings),
            str(e.first), f"{e.average_precision:.3f}",
            f"<div class=track><div class=bar style='width:{share:.0f}%'></div></div>",
            f"{e.threshold:.2f}" if e.threshold <= 1 else "never", html.escape(e.mistaken_for),
        ])  # fmt: skip
    columns = ["species", "#training", "#recordings", "#put first", "#average precision", "", "#threshold",
               "mistaken for"]  # fmt: skip
    return page.table(columns, rows)


def _example(results: Results, names: Sequence[str], example: examples.Example) -> str:
    """Spectrogram, sound and strips of one recording."""
    best = int(np.argmax(results.scores[example.index]))
    precision = metrics.average_precision(results.scores[example.index], results.truth[example.index])
    start, end = example.excerpt
    png = base64.b64encode(plots.spectrogram_png(example.spectrograms)).decode()
    sound = ""
    if example.mp3:
        mp3 = base64.b64encode(example.mp3).decode()
        sound = f"<audio controls preload=none src='data:audio/mpeg;base64,{mp3}'></audio>"
    strips = "".join(
        page.strip(names[c], f"{results.scores[example.index, c]:.2f}", example.chunks[:, i],
                   marked=bool(results.truth[example.index, c]))
        for i, c in enumerate(example.species)
    )  # fmt: skip
    title = html.escape(results.recording_ids[example.index])
    label = int(results.labels[example.index])
    return (
        f"<article><h3>{title}</h3><p>labelled <b>{names[label]}</b>, put first <b>{names[best]}</b> "
        f"({results.scores[example.index, best]:.2f}); average precision {precision:.3f}</p>"
        f"<img alt='spectrogram of {title}' src='data:image/png;base64,{png}'>"
        f"<p class=hint>{start:.0f}–{end:.0f} s of {example.seconds:.0f} s</p>{sound}"
        f"<div class=strips>{strips}</div></article>"
    )
