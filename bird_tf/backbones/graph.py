"""A SavedModel backbone as a part of a larger TensorFlow graph, so that one SavedModel holds both."""

from __future__ import annotations

import numpy as np

from bird_tf import tf
from bird_tf.audio import hearing
from bird_tf.backbones import backbone, saved_model, signatures, sources, windows
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
        self._gives_logits = source.gives_logits
        self._columns = backbone.matching_outputs(names, classes)
        self._window_samples = self._found.shape[-1]
        self._starts = windows.starts(self._window_samples, heard)

    def answers(self, spans: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """[batch, span_samples] float32 → logits [batch, classes], NaN where unknown, and embeddings [batch, size]."""
        cut = tf.stack([spans[:, start : start + self._window_samples] for start in self._starts.tolist()], axis=1)
        scores, embeddings = self._of_windows(tf.reshape(cut, [-1, self._window_samples]))
        scores = tf.gather(scores, np.maximum(self._columns, 0), axis=1)
        if not self._gives_logits:
            least = signatures.LEAST_PROBABILITY
            scores = tf.clip_by_value(scores, least, 1.0 - least)
            scores = tf.math.log(scores) - tf.math.log1p(-scores)
        scores = tf.where(self._columns >= 0, scores, np.float32("nan"))
        by_chunk = [tf.reshape(part, [-1, len(self._starts), part.shape[1]]) for part in (scores, embeddings)]
        return tf.reduce_max(by_chunk[0], axis=1), tf.reduce_mean(by_chunk[1], axis=1)

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
