"""TensorFlow Lite files as backbones."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bird_tf import config, tf
from bird_tf.backbones import signatures, sources

# operations between the last dense layer and the scores: its bias, where that is apart, and the activation
_AFTER_DENSE = ("ADD", "SUB", "MUL", "LOGISTIC", "SOFTMAX", "RESHAPE", "SQUEEZE", "DEQUANTIZE", "QUANTIZE")


def load(source: sources.Source, num_labels: int) -> signatures.Loaded:
    """Loads a TensorFlow Lite model. Its embedding is an output, a named tensor, or the input of its last dense layer.

    Raises:
        InputError: the file cannot be loaded, or its inputs and outputs do not fit.
    """
    interpreter = _interpreter(source, delegates=False, all_tensors=False)
    details = {d["name"]: d for d in interpreter.get_output_details() if d["dtype"] == np.float32}
    shapes = {name: d["shape_signature"].tolist() for name, d in details.items()}
    inputs = [(d["shape_signature"].tolist(), d["dtype"]) for d in interpreter.get_input_details()]
    shape = signatures.window_shape(inputs)
    scores = signatures.score_name(shapes, num_labels, source.gives_logits)
    if not shape or not scores:
        raise signatures.unfit_model(source, num_labels, inputs, shapes)
    embedding, needs = _embedding(source, interpreter, details, details[scores]["index"], num_labels)
    size = 0
    if embedding is not None and embedding["dtype"] == np.float32:
        size = signatures.vector_size(embedding["shape"].tolist())
    if source.embedding and not size:
        raise signatures.unknown_embedding(source, shapes)
    indices = [details[scores]["index"], *([embedding["index"]] if embedding and size else [])]
    make = functools.partial(_interpreter, source, **needs)
    idle = [make()]

    def predict(window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            own = idle.pop()  # each thread has an interpreter of its own; the weights in the file are shared
        except IndexError:
            own = make()
        own.set_tensor(own.get_input_details()[0]["index"], window)
        own.invoke()
        outputs = [own.get_tensor(index).reshape(-1) for index in indices]
        idle.append(own)
        return outputs[0], outputs[1] if size else np.zeros(0, np.float32)

    reading = {"scores": indices[0], "embedding": indices[1] if size else None, **needs}
    return signatures.Loaded(shape, size, predict, reading)


def _interpreter(source: sources.Source, *, delegates: bool, all_tensors: bool) -> tf.lite.Interpreter:
    """A new interpreter with one thread.

    Args:
        source: the model.
        delegates: whether TensorFlow Lite may hand parts of the graph to faster kernels, which keep what is between
            their operations to themselves.
        all_tensors: whether each tensor keeps its memory; without it only the last ones can be read. For BirdNET it
            costs a tenth of the time and 230 MB.
    """
    resolvers = tf.lite.experimental.OpResolverType
    try:
        interpreter = tf.lite.Interpreter(
            model_path=source.model,
            num_threads=1,
            experimental_op_resolver_type=(
                resolvers.AUTO if delegates else resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            ),
            experimental_preserve_all_tensors=all_tensors,
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise config.InputError(f"--backbone={source.name}: not a TFLite model that can be loaded ({error})") from error
    return interpreter


def _embedding(
    source: sources.Source, interpreter: tf.lite.Interpreter, outputs: Mapping[str, Any], scores: int, num_labels: int
) -> tuple[Mapping[str, Any] | None, dict[str, bool]]:
    """Finds the embedding.

    Args:
        source: the model.
        interpreter: of it.
        outputs: {name: details} of its outputs.
        scores: index of the scores.
        num_labels: number of labels.

    Returns:
        Details of the tensor, None without an embedding; and the arguments of `_interpreter` with which it can be read.
    """
    shapes = {name: d["shape_signature"].tolist() for name, d in outputs.items()}
    name = source.embedding or signatures.embedding_name(shapes, num_labels)
    if name in outputs:
        return outputs[name], {"delegates": True, "all_tensors": False}
    tensors, last = interpreter.get_tensor_details(), False
    if name:
        found = next((d for d in tensors if d["name"] == name), None)
    else:
        operations = interpreter._get_ops_details()
        dense = _last_dense_layer(operations, scores)
        found = next(d for d in tensors if d["index"] == dense["inputs"][0]) if dense else None
        # nothing is computed after it that could take the memory of its input
        last = dense is not None and dense["index"] == operations[-1]["index"]
    if found is None:
        return None, {"delegates": True, "all_tensors": False}
    return found, {"delegates": False, "all_tensors": not last}


def _last_dense_layer(operations: Sequence[Mapping[str, Any]], scores: int) -> Mapping[str, Any] | None:
    """The operation that multiplies the embedding by the weights of the labels; None if there is no such layer."""
    makers = {index: operation for operation in operations for index in operation["outputs"]}
    operation = makers.get(scores)
    while operation is not None and operation["op_name"] in _AFTER_DENSE:
        computed = [index for index in operation["inputs"] if index in makers]  # the others are constants
        operation = makers[computed[0]] if len(computed) == 1 else None
    return operation if operation is not None and operation["op_name"] == "FULLY_CONNECTED" else None
