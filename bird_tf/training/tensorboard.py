"""Events of a training for TensorBoard. They do not influence the training."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from bird_tf import config, files, keras, tf
from bird_tf.audio import frontend
from bird_tf.input import preview
from bird_tf.labels import taxonomy
from bird_tf.models import architectures
from bird_tf.records import schema
from bird_tf.scores import metrics
from bird_tf.training import validation

# the confusion image shows at most this number of species: those with the most recordings
_MOST_CLASSES = 40
_LONGEST_NAME = 40  # characters of a name in it
# the first steps build graphs and fill buffers, so they are not profiled
_PROFILE_AFTER = 5


class EventWriter:
    """Writes events to `run_dir`/logs. If it is not active, as in workers other than the chief, it writes nothing."""

    def __init__(self, run_dir: str, profile_steps: int, *, active: bool) -> None:
        self._folder = files.enable(os.path.join(run_dir, "logs"))
        self._writer = tf.summary.create_file_writer(self._folder) if active else tf.summary.create_noop_writer()
        self._profile_steps = profile_steps if active else 0
        self._num_steps = 0

    def write_start(
        self,
        settings: Any,
        batch: Any,
        network: keras.Model,
        classes: taxonomy.Taxonomy,
        front_end: frontend.FrontendConfig,
    ) -> None:
        """Writes the configuration as text, the network's graph, and its spectrograms of a batch after augmentation."""
        rows = "\n".join(f"| {name} | {_as_markdown(value)} |" for name, value in config.to_mapping(settings).items())
        function = tf.function(lambda b: architectures.call(network, b, training=False), autograph=False)
        graph = function.get_concrete_function(batch).graph
        with self._writer.as_default(step=0):
            tf.summary.text("configuration", f"| flag | value |\n|---|---|\n{rows}")
            tf.summary.graph(graph)
            if schema.SPECTROGRAM in batch:
                examples = {name: value.numpy() for name, value in batch.items()}
                image = preview.png(examples, classes.names, front_end)
                tf.summary.image("training/batch", tf.io.decode_png(image, channels=3)[None])

    def after_step(self) -> None:
        """Starts and stops the profiler. Call it after each step."""
        self._num_steps += 1
        if not self._profile_steps:
            return
        if self._num_steps == _PROFILE_AFTER:
            tf.profiler.experimental.start(self._folder)
        elif self._num_steps == _PROFILE_AFTER + self._profile_steps:
            tf.profiler.experimental.stop()

    def write_epoch(self, epoch: int, values: dict[str, float]) -> None:
        """Writes scalars of the training in one epoch."""
        with self._writer.as_default(step=epoch):
            for name, value in values.items():
                tf.summary.scalar(f"training/{name}", value)

    def write_validation(
        self, epoch: int, result: validation.ValidationResult, classes: taxonomy.Taxonomy, *, is_best: bool
    ) -> None:
        """Writes the metrics, the average precisions of the classes, and, of the best epoch so far, the confusion."""
        precisions = metrics.class_average_precisions(result.scores, result.truth)
        with self._writer.as_default(step=epoch):
            for name, value in result.metrics.items():
                tf.summary.scalar(f"validation/{name}", value)
            tf.summary.histogram("validation/average_precision_of_classes", precisions[np.isfinite(precisions)])
            if is_best:
                tf.summary.image("validation/confusion", confusion_image(result, classes)[None])
        self._writer.flush()

    def close(self) -> None:
        """Ends the profile, if one is being recorded, and closes the file."""
        if self._profile_steps and _PROFILE_AFTER <= self._num_steps < _PROFILE_AFTER + self._profile_steps:
            tf.profiler.experimental.stop()
        self._writer.close()


def _as_markdown(value: Any) -> str:
    """A value as text in Markdown: no sign of it is markup, a cell's end, or a link."""
    return "".join(sign if sign.isalnum() or sign in " ./-" else f"&#{ord(sign)};" for sign in str(value))


def confusion(result: validation.ValidationResult) -> tuple[np.ndarray, np.ndarray]:
    """Which species the network confuses.

    Returns:
        [rows, rows] float64, the share of the row's recordings that have the highest score in the column's species; and
        [rows], the class indices of both. Only the 40 species with the most recordings are shown, so the sum of a row
        can be below 1.
    """
    counts = np.bincount(result.labels, minlength=result.scores.shape[1])
    shown = np.sort(np.argsort(-counts, kind="stable")[: min(_MOST_CLASSES, np.count_nonzero(counts))])
    matrix = np.zeros((len(counts), len(counts)))
    np.add.at(matrix, (result.labels, result.scores.argmax(axis=1)), 1.0)
    return matrix[np.ix_(shown, shown)] / counts[shown, None], shown


def confusion_image(result: validation.ValidationResult, classes: taxonomy.Taxonomy) -> np.ndarray:
    """`confusion` as an image: [height, width, 3] uint8."""
    from matplotlib.backends import backend_agg
    from matplotlib.figure import Figure

    shares, shown = confusion(result)
    names = [classes.names[index][:_LONGEST_NAME] for index in shown]  # longer ones leave no room for the image
    side = 3.0 + 0.22 * len(names)
    figure = Figure(figsize=(side, side), layout="constrained")
    canvas = backend_agg.FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(shares, vmin=0.0, vmax=1.0, cmap="Blues")
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7, parse_math=False)
    axes.set_yticks(range(len(names)), names, fontsize=7, parse_math=False)
    axes.set_xlabel("predicted species")
    axes.set_ylabel("foreground species")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
