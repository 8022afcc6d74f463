"""What TensorBoard shows of a training. Nothing here changes what is learnt."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from bird_tf import config, files, keras, tf
from bird_tf.input import preview
from bird_tf.labels import taxonomy
from bird_tf.scores import metrics
from bird_tf.training import validation

# the confusion image names so many species at most, those with the most recordings
_MOST_CLASSES = 40
# the first steps build graphs and fill buffers
_PROFILE_AFTER = 5


class EventWriter:
    """Writes events under `run_dir`/logs; one that is not active writes none (workers beside the chief)."""

    def __init__(self, run_dir: str, profile_steps: int, *, active: bool) -> None:
        self._folder = files.enable(os.path.join(run_dir, "logs"))
        self._writer = tf.summary.create_file_writer(self._folder) if active else tf.summary.create_noop_writer()
        self._profile_steps = profile_steps if active else 0
        self._steps_seen = 0

    def beginning(self, settings: Any, batch: Any, network: keras.Model, classes: taxonomy.Taxonomy) -> None:
        """Configuration as text, the graph of the network, and pictures of a batch as augmented."""
        rows = "\n".join(f"| {name} | {value} |" for name, value in config.to_mapping(settings).items())
        graph = tf.function(lambda x: network(x, training=False)).get_concrete_function(batch["spectrogram"]).graph
        picture = preview.png({name: value.numpy() for name, value in batch.items()}, classes.class_ids)
        with self._writer.as_default(step=0):
            tf.summary.text("configuration", f"| flag | value |\n|---|---|\n{rows}")
            tf.summary.graph(graph)
            tf.summary.image("training/batch", tf.io.decode_png(picture, channels=3)[None])

    def step(self) -> None:
        """Call it after each step: starts and stops the profiler."""
        self._steps_seen += 1
        if not self._profile_steps:
            return
        if self._steps_seen == _PROFILE_AFTER:
            tf.profiler.experimental.start(self._folder)
        elif self._steps_seen == _PROFILE_AFTER + self._profile_steps:
            tf.profiler.experimental.stop()

    def epoch(self, epoch: int, values: dict[str, float]) -> None:
        """Scalars of one epoch of training."""
        with self._writer.as_default(step=epoch):
            for name, value in values.items():
                tf.summary.scalar(f"training/{name}", value)

    def validated(
        self, epoch: int, outcome: validation.ValidationResult, classes: taxonomy.Taxonomy, *, better: bool
    ) -> None:
        """Metrics, the classes' average precisions, and, of an epoch better than those before, the confusion."""
        precisions = metrics.class_average_precisions(outcome.scores, outcome.truth)
        with self._writer.as_default(step=epoch):
            for name, value in outcome.metrics.items():
                tf.summary.scalar(f"validation/{name}", value)
            tf.summary.histogram("validation/average_precision_of_classes", precisions[np.isfinite(precisions)])
            if better:
                tf.summary.image("validation/confusion", confusion_image(outcome, classes)[None])
        self._writer.flush()

    def close(self) -> None:
        """Ends a profile under way, and the file."""
        if self._profile_steps and _PROFILE_AFTER <= self._steps_seen < _PROFILE_AFTER + self._profile_steps:
            tf.profiler.experimental.stop()
        self._writer.close()


def confusion(outcome: validation.ValidationResult) -> tuple[np.ndarray, np.ndarray]:
    """Which species is taken for which.

    Returns:
        [rows, rows] float64, the share of a species' recordings (row) whose highest score is the column's, and [rows]
        the class indices of both: at most 40, those with the most recordings; rows need not sum to 1 then.
    """
    counts = np.bincount(outcome.labels, minlength=outcome.scores.shape[1])
    shown = np.sort(np.argsort(-counts, kind="stable")[: min(_MOST_CLASSES, np.count_nonzero(counts))])
    matrix = np.zeros((len(counts), len(counts)))
    np.add.at(matrix, (outcome.labels, outcome.scores.argmax(axis=1)), 1.0)
    return matrix[np.ix_(shown, shown)] / counts[shown, None], shown


def confusion_image(outcome: validation.ValidationResult, classes: taxonomy.Taxonomy) -> np.ndarray:
    """The same as a picture: [height, width, 3] uint8."""
    from matplotlib.backends import backend_agg
    from matplotlib.figure import Figure

    shares, shown = confusion(outcome)
    names = [classes.names[index] for index in shown]
    side = 3.0 + 0.22 * len(names)
    figure = Figure(figsize=(side, side), layout="constrained")
    canvas = backend_agg.FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(shares, vmin=0.0, vmax=1.0, cmap="Blues")
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_xlabel("named")
    axes.set_ylabel("foreground species")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
