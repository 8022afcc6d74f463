"""A picture of a training batch: augmented spectrograms with their targets, for a PNG file or TensorBoard."""

from __future__ import annotations

import dataclasses
import io

import numpy as np

from bird_tf.input import dataset
from bird_tf.input.augment import augmentations
from bird_tf.records import manifests

_MAX_CHUNKS = 32
_COLUMNS = 8


def batch(
    manifest: manifests.Manifest, settings: dataset.DatasetConfig, augmentation: augmentations.AugmentConfig, seed: int
) -> dict[str, np.ndarray]:
    """A batch as in training. It comes from a separate stream, with a small shuffle buffer to be quick."""
    few = dataclasses.replace(settings, shuffle_buffer=min(settings.shuffle_buffer, 8 * settings.batch_size))
    first = next(iter(dataset.training(manifest, few, augmentation, seed)))
    return {name: value.numpy() for name, value in first.items()}


def png(examples: dict[str, np.ndarray], class_ids: tuple[str, ...]) -> bytes:
    """Draws up to 32 chunks of a batch with their targets as titles, as one PNG file.

    A title lists the positive targets, the greatest first, and the number of classes with weight 0, if any.
    """
    from matplotlib.backends import backend_agg
    from matplotlib.figure import Figure

    count = min(_MAX_CHUNKS, len(examples["spectrogram"]))
    rows = -(-count // _COLUMNS)
    figure = Figure(figsize=(2.2 * _COLUMNS, 1.7 * rows), layout="constrained")
    for i, axes in enumerate(figure.subplots(rows, _COLUMNS, squeeze=False).flat):
        axes.set_axis_off()
        if i < count:
            axes.imshow(examples["spectrogram"][i], vmin=0.0, vmax=1.0, cmap="magma", aspect="auto")
            axes.set_title(
                _title(examples["targets"][i], examples["weights"][i], class_ids), fontsize=7, parse_math=False
            )
    file = io.BytesIO()
    backend_agg.FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()


def _title(targets: np.ndarray, weights: np.ndarray, class_ids: tuple[str, ...]) -> str:
    present = [i for i in np.argsort(-targets, kind="stable") if targets[i] > 0]
    names = [class_ids[i] if targets[i] == 1 else f"{class_ids[i]} {targets[i]:.2f}" for i in present[:3]]
    names += [f"+{len(present) - 3}"] if len(present) > 3 else []
    ignored = int(np.sum(weights == 0))
    return ", ".join(names or ["no call"]) + (f" ({ignored} ignored)" if ignored else "")
