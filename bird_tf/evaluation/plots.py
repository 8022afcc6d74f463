"""Plots for the report: curves as SVG, spectrograms as PNG. The numbers are computed elsewhere."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from bird_tf.scores import metrics

_GREEN, _BLUE, _GREY = "#2f6f44", "#3a6ea5", "#9aa79d"
_MAX_IMAGE_WIDTH = 900  # pixels


def _figure(x_label: str, y_label: str) -> tuple[Any, Any]:
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(4.6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _svg(figure: Any) -> str:
    """The figure as an <svg> element. Its text stays text: screen readers and searches find it."""
    import matplotlib

    buffer = io.StringIO()
    # The salt makes equal figures equal byte by byte. It differs between figures: ids are unique in the page.
    settings = {"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": figure.axes[0].get_ylabel()}
    with matplotlib.rc_context(settings):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def precision_recall(scores: np.ndarray, truth: np.ndarray) -> str:
    """Precision against recall over all recordings and classes, as SVG.

    Args:
        scores: [recordings, classes] float.
        truth: of the same shape, bool.
    """
    _, hits, called = metrics.operating_points(scores.ravel(), truth.ravel())
    figure, axes = _figure("recall", "precision")
    axes.plot(hits / max(1, hits[-1]), hits / called, color=_GREEN)
    axes.axhline(truth.mean(), color=_GREY, linestyle=":", label="chance")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(frameon=False)
    return _svg(figure)


def reliability(curves: Sequence[tuple[str, np.ndarray]], truth: np.ndarray) -> str:
    """The share of recordings with the class against its probability, as SVG.

    Args:
        curves: (name, [recordings, classes] probabilities) of each curve, at most two.
        truth: [recordings, classes] bool.
    """
    figure, axes = _figure("stated probability", "share present")
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle=":")
    for (name, probabilities), colour in zip(curves, (_BLUE, _GREEN), strict=False):
        confidence, frequency, counts = metrics.reliability(probabilities, truth)
        axes.plot(confidence, frequency, color=colour, alpha=0.7, label=name)
        axes.scatter(confidence, frequency, s=8 + 60 * counts / counts.max(), color=colour)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(frameon=False)
    return _svg(figure)


def precision_by_training_size(num_recordings: np.ndarray, precisions: np.ndarray) -> str:
    """Average precision of each species against its number of training recordings, as SVG.

    Args:
        num_recordings: [species] int, at least 1.
        precisions: [species] float in [0, 1].
    """
    figure, axes = _figure("training recordings", "average precision")
    axes.scatter(num_recordings, precisions, color=_GREEN, alpha=0.6, s=22)
    axes.set_xscale("log")
    ticks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
             if num_recordings.min() <= t * 2 and t <= 2 * num_recordings.max()]  # fmt: skip
    axes.set_xticks(ticks, [str(t) for t in ticks])
    axes.minorticks_off()
    axes.set(ylim=(0, 1.02))
    return _svg(figure)


def spectrogram_png(spectrograms: np.ndarray) -> bytes:
    """Chunks side by side, low frequencies at the bottom, as PNG.

    Args:
        spectrograms: [chunks, bands, frames] float32 in [0, 1], the top row the highest band.
    """
    import matplotlib.image

    image = np.concatenate(list(spectrograms), axis=1)
    step = -(-image.shape[1] // _MAX_IMAGE_WIDTH)  # ceil
    if step > 1:
        width = image.shape[1] // step * step
        image = image[:, :width].reshape(len(image), -1, step).mean(axis=2)
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, image, cmap="magma", vmin=0, vmax=1, format="png", metadata={"Software": None})
    return buffer.getvalue()
