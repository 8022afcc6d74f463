"""A backbone in a larger TensorFlow graph: all of a SavedModel; of other files, what is done with their outputs."""

from __future__ import annotations

import numpy as np

from bird_tf import tf
from bird_tf.audio import hearing
from bird_tf.backbones import backbone, exported, saved_model, signatures, sources, windows
from bird_tf.labels import taxonomy


class Graph:
    """Spans of sound → the backbone's logits and embeddings, as `windows.answers`, in TensorFlow operations.

    Attributes:
        model: the SavedModel; it must be an attribute of the module that is saved.
    """

    def __init__(self, source: sources.Source, classes: taxonomy.Taxonomy, heard: hearing.Hearing) -> None:
        """Loads the model.

        Args:
            source: a SavedModel.
            classes: our classes.
            heard: as from `windows.hears`.

        Raises:
            InputError: as `saved_model.find`.
        """
        names = source.label_names()
        self._found = saved_model.find(source, len(names))
        self.model = self._found.model
        if source.is_ours:  # its graph reads none of its assets, and those of the larger model have the same names
            del self.model.assets
        if source.uncalibrated:
            exported.forget_calibration(self.model)
        self._gives_logits = source.gives_logits
        self._columns = backbone.matching_outputs(names, classes, source.classes)
        self._window_samples = self._found.shape[-1]
        self._starts = windows.starts(self._window_samples, heard)

    def answers(self, spans: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """[batch, span_samples] float32 → logits [batch, classes], NaN where unknown, and embeddings [batch, size]."""
        cut = cut_windows(spans, self._starts, self._window_samples)
        scores, embeddings = self._of_windows(cut)
        return joined(cut, scores, embeddings, self._columns, len(self._starts), gives_logits=self._gives_logits)

    def _of_windows(self, cut: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """[windows, window_samples] → scores [windows, labels] and embeddings [windows, embedding_size]."""
        found = self._found

        def called(inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            outputs = found.function(**{found.argument: inputs})
            return outputs[found.scores], outputs[found.embedding]

        if found.batched:
            scores, embeddings = called(cut)
            return scores, tf.reshape(embeddings, [-1, found.embedding_size])
        types = tf.TensorSpec(None, tf.float32), tf.TensorSpec([found.embedding_size], tf.float32)

        def one(window: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return tuple(tf.reshape(part, [-1]) for part in called(tf.reshape(window, found.shape)))

        return tf.map_fn(one, cut, fn_output_signature=types)


def cut_windows(spans: tf.Tensor, starts: np.ndarray, window_samples: int) -> tf.Tensor:
    """[batch, span_samples] → [batch × windows, window_samples], as `windows.cut`; starts as of `windows.starts`."""
    cut = tf.stack([spans[:, start : start + window_samples] for start in starts.tolist()], axis=1)
    return tf.reshape(cut, [-1, window_samples])


def joined(
    cut: tf.Tensor, scores: tf.Tensor, embeddings: tf.Tensor, columns: np.ndarray, num_windows: int, *,
    gives_logits: bool,
) -> tuple[tf.Tensor, tf.Tensor]:  # fmt: skip
    """A backbone's outputs for windows → its logits and embeddings of chunks, as `windows.answers`.

    Args:
        cut: [batch × num_windows, window_samples] float32, the windows.
        scores: [batch × num_windows, labels] float32, the windows of a chunk together.
        embeddings: [batch × num_windows, embedding_size] float32.
        columns: [classes] int, which of the scores is that of each of our classes; -1: none.
        num_windows: windows of a chunk.
        gives_logits: whether the scores are logits; else probabilities.

    Returns:
        Logits [batch, classes] float32, NaN where unknown, and embeddings [batch, embedding_size] float32.
    """
    silent = tf.reduce_max(cut, axis=1, keepdims=True) <= tf.reduce_min(cut, axis=1, keepdims=True)
    embeddings = _of_silence(silent, embeddings, 0.0)
    scores = tf.gather(scores, np.maximum(columns, 0), axis=1)
    scores = _of_silence(silent, scores, signatures.LEAST_LOGIT if gives_logits else 0.0)
    if not gives_logits:
        scores = tf.clip_by_value(scores, 0.0, 1.0)
        scores = tf.math.log(scores) - tf.math.log(1.0 - scores)  # not log1p, which ONNX does not have
        # not of the probabilities: float32 has no 1 - 1e-7
        scores = tf.clip_by_value(scores, signatures.LEAST_LOGIT, -signatures.LEAST_LOGIT)
    scores = tf.where(columns >= 0, scores, np.float32("nan"))
    by_chunk = [tf.reshape(part, [-1, num_windows, part.shape[1]]) for part in (scores, embeddings)]
    return tf.reduce_max(by_chunk[0], axis=1), tf.reduce_mean(by_chunk[1], axis=1)


def _of_silence(silent: tf.Tensor, answers: tf.Tensor, answer: float) -> tf.Tensor:
    """As `signatures.of_silence`, with silent [windows, 1] bool."""
    finite = tf.abs(answers) <= answers.dtype.max  # not is_finite, which TFLite does not have
    return tf.where(silent & ~finite, tf.fill(tf.shape(answers), np.float32(answer)), answers)
