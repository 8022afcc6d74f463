"""SavedModels as backbones."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from bird_tf import config, tf
from bird_tf.backbones import signatures, sources


@dataclasses.dataclass(frozen=True)
class Signature:
    """The signature of a SavedModel that is used.

    Attributes:
        model: the SavedModel; its signatures are valid only while it exists.
        function: the signature.
        argument: name of its input.
        shape: of one window: (samples,) or (1, samples).
        batched: whether the first size of the input is free: any number of windows at once.
        scores, embedding: names of the outputs; the second one counts only if `embedding_size` is above 0.
        embedding_size: numbers in the embedding.
    """

    model: Any
    function: Any
    argument: str
    shape: tuple[int, ...]
    batched: bool
    scores: str
    embedding: str
    embedding_size: int


def find(source: sources.Source, num_labels: int) -> Signature:
    """Loads a SavedModel.

    Of the signatures that fit, those with an embedding come first, then `serving_default`, then the order of names.

    Raises:
        InputError: the SavedModel cannot be loaded, or no signature fits.
    """
    try:
        loaded = tf.saved_model.load(source.model)
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise config.InputError(f"--backbone={source.name}: not a SavedModel that can be loaded ({error})") from error
    fitting: list[Signature] = []
    all_shapes: dict[str, list[int | None]] = {}
    all_inputs: list[signatures.Inputs] = []
    for signature in sorted(loaded.signatures, key=lambda name: (name != "serving_default", name)):
        function = loaded.signatures[signature]
        inputs = function.structured_input_signature[1]
        all_inputs.append([(_sizes(spec), spec.dtype.as_numpy_dtype) for spec in inputs.values()])
        shape = signatures.window_shape(all_inputs[-1])
        specs = {name: spec for name, spec in function.structured_outputs.items() if spec.shape.rank}
        shapes = {name: spec.shape.as_list() for name, spec in specs.items() if spec.dtype == tf.float32}
        all_shapes.update(shapes)
        scores = signatures.score_name(shapes, num_labels, source.gives_logits, source.uncalibrated)
        embedding = source.embedding or signatures.embedding_name(shapes, num_labels)
        size = signatures.vector_size(shapes.get(embedding, ()))
        if shape and scores:
            [(argument, spec)] = inputs.items()
            batched = spec.shape.rank == 2 and spec.shape[0] is None
            fitting.append(Signature(loaded, function, argument, shape, batched, scores, embedding, size))
    if not fitting:
        likeliest = max(all_inputs, key=lambda each: bool(signatures.window_shape(each)), default=[])
        raise signatures.unfit_model(source, num_labels, likeliest, all_shapes)
    best = min(fitting, key=lambda found: found.embedding_size == 0)
    if source.embedding and not best.embedding_size:
        raise signatures.unknown_embedding(source, all_shapes)
    return best


def _sizes(spec: tf.TensorSpec) -> list[int | None]:
    return spec.shape.as_list() if spec.shape.rank is not None else []


def load(source: sources.Source, num_labels: int) -> signatures.Loaded:
    """Loads a SavedModel. Raises as `find`."""
    found = find(source, num_labels)

    def predict(window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with tf.device("CPU"):
            outputs = found.function(**{found.argument: tf.constant(window)})
        embedding = outputs[found.embedding].numpy().reshape(-1) if found.embedding_size else np.zeros(0, np.float32)
        return outputs[found.scores].numpy().reshape(-1), embedding

    return signatures.Loaded(found.shape, found.embedding_size, predict)
