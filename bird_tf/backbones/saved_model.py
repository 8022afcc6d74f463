"""SavedModels as backbones."""

from __future__ import annotations

from typing import Any

import numpy as np

from bird_tf import config, tf
from bird_tf.backbones import signatures, sources


def load(source: sources.Source, num_labels: int) -> signatures.Loaded:
    """Loads a SavedModel.

    Of the signatures that fit, those with an embedding come first, then `serving_default`, then the order of names.

    Raises:
        InputError: the SavedModel cannot be loaded, or no signature fits.
    """
    try:
        loaded = tf.saved_model.load(source.model)
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise config.InputError(f"--backbone={source.name}: not a SavedModel that can be loaded ({error})") from error
    fitting: list[tuple[Any, ...]] = []
    all_shapes: dict[str, list[int | None]] = {}
    for signature in sorted(loaded.signatures, key=lambda name: (name != "serving_default", name)):
        function = loaded.signatures[signature]
        inputs = function.structured_input_signature[1]
        shape = signatures.window_shape([(spec.shape.as_list(), spec.dtype.as_numpy_dtype) for spec in inputs.values()])
        specs = {name: spec for name, spec in function.structured_outputs.items() if spec.shape.rank}
        shapes = {name: spec.shape.as_list() for name, spec in specs.items() if spec.dtype == tf.float32}
        all_shapes.update(shapes)
        scores = signatures.score_name(shapes, num_labels, source.gives_logits)
        embedding = source.embedding or signatures.embedding_name(shapes, num_labels)
        size = signatures.vector_size(shapes.get(embedding, ()))
        if shape and scores:
            fitting.append((size == 0, len(fitting), function, next(iter(inputs)), shape, scores, embedding, size))
    if not fitting:
        raise signatures.unfit_model(source, num_labels, all_shapes)
    _, _, function, argument, shape, scores, embedding, size = min(fitting, key=lambda found: found[:2])
    if source.embedding and not size:
        raise signatures.unknown_embedding(source, all_shapes)

    def predict(window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with tf.device("CPU"):
            outputs = function(**{argument: tf.constant(window)})
        found = outputs[embedding].numpy().reshape(-1) if size else np.zeros(0, np.float32)
        return outputs[scores].numpy().reshape(-1), found

    predict.model = loaded  # type: ignore[attr-defined]  # its signatures are valid only while it exists
    return signatures.Loaded(shape, size, predict)
