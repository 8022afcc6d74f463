"""A picture of a training batch: augmented spectrograms with their targets, for a PNG file or TensorBoard."""

from __future__ import annotations

import dataclasses
import io

import numpy as np

from bird_tf.audio import axes, frontend
from bird_tf.input import dataset
from bird_tf.input.augment import augmentations
from bird_tf.records import manifests

MAX_CHUNKS = 16
_COLUMNS = 4


def batch(
    manifest: manifests.Manifest,
    settings: dataset.DatasetConfig,
    augmentation: augmentations.AugmentConfig,
    seed: int,
    taught: dataset.Taught | None = None,
) -> dict[str, np.ndarray]:
    """A batch as in training; arguments as for `dataset.training`.

    It comes from a separate stream, with a small shuffle buffer to be quick.
    """
    few = dataclasses.replace(settings, shuffle_buffer=min(settings.shuffle_buffer, 8 * settings.batch_size))
    first = next(iter(dataset.training(manifest, few, augmentation, seed, taught=taught or dataset.Taught())))
    return {name: value.numpy() for name, value in first.items()}


def png(examples: dict[str, np.ndarray], class_names: tuple[str, ...], front_end: frontend.FrontendConfig) -> bytes:
    """Draws up to 16 chunks of a batch with their targets as titles, as one PNG file.

    A title lists the positive targets, the greatest first, and the number of classes with weight 0, if any. The
    frequencies at the left are those before an augmentation that moves them.
    """
    from matplotlib.figure import Figure

    count = min(MAX_CHUNKS, len(examples["spectrogram"]))
    rows = -(-count // _COLUMNS)
    figure = Figure(figsize=(2.8 * _COLUMNS, 2.2 * rows))
    grid = figure.subplots(rows, _COLUMNS, squeeze=False)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1, wspace=0.04, hspace=0.5)  # for titles of four lines
    for i, drawn in enumerate(grid.flat):
        if i >= count:
            drawn.set_axis_off()
            continue
        drawn.imshow(examples["spectrogram"][i], vmin=0.0, vmax=1.0, cmap="magma", aspect="auto")
        axes.mark(drawn, front_end, frequencies=i % _COLUMNS == 0, seconds=i + _COLUMNS >= count)
        title = _title(examples["targets"][i], examples["weights"][i], class_names)
        drawn.set_title(title, fontsize=9, linespacing=1.1, parse_math=False)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100, bbox_inches="tight")
    return file.getvalue()


def _title(targets: np.ndarray, weights: np.ndarray, class_names: tuple[str, ...]) -> str:
    present = [i for i in np.argsort(-targets, kind="stable") if targets[i] > 0]
    names = [class_names[i] if targets[i] == 1 else f"{class_names[i]} {targets[i]:.2f}" for i in present[:3]]
    names += [f"+{len(present) - 3}"] if len(present) > 3 else []
    ignored = int(np.sum(weights == 0))
    return "\n".join(names or ["no call"]) + (f" ({ignored} ignored)" if ignored else "")
