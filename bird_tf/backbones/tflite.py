"""TensorFlow Lite files as backbones."""

from __future__ import annotations

from typing import Any

import numpy as np

from bird_tf import config, stderr_filter, tf
from bird_tf.backbones import signatures, sources

# operations between the last dense layer and the scores: its bias, where that is apart, and the activation
_AFTER_DENSE = ("ADD", "SUB", "MUL", "LOGISTIC", "SOFTMAX", "RESHAPE", "SQUEEZE", "DEQUANTIZE", "QUANTIZE")


def load(source: sources.Source, num_labels: int) -> signatures.Loaded:
    """Loads a TensorFlow Lite model. Its embedding is an output, a named tensor, or the input of its last dense layer.

    Raises:
        InputError: the file cannot be loaded, or its inputs and outputs do not fit.
    """
    interpreter = _interpreter(source, all_tensors=True)
    details = {d["name"]: d for d in interpreter.get_output_details()}
    shapes = {name: d["shape_signature"].tolist() for name, d in details.items()}
    shape = signatures.window_shape([(d["shape_signature"], d["dtype"]) for d in interpreter.get_input_details()])
    scores = signatures.score_name(shapes, num_labels, source.gives_logits)
    if not shape or not scores:
        raise signatures.unfit_model(source, num_labels, shapes)
    name = source.embedding or signatures.embedding_name(shapes, num_labels)
    if name in details:
        embedding: dict[str, Any] | None = details[name]
    elif name:
        embedding = next((d for d in interpreter.get_tensor_details() if d["name"] == name), None)
    else:
        embedding = _input_of_last_dense_layer(interpreter, details[scores]["index"])
    size = signatures.vector_size(embedding["shape"].tolist()) if embedding else 0
    if embedding is not None and embedding["dtype"] != np.float32:
        size = 0
    if source.embedding and not size:
        raise signatures.unknown_embedding(source, shapes)
    indices = [details[scores]["index"], *([embedding["index"]] if embedding and size else [])]
    inside = bool(size and embedding and embedding["name"] not in details)
    idle = [interpreter] if inside else [_interpreter(source, all_tensors=False)]

    def predict(window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            own = idle.pop()  # each thread has an interpreter of its own; the weights in the file are shared
        except IndexError:
            own = _interpreter(source, all_tensors=inside)
        own.set_tensor(own.get_input_details()[0]["index"], window)
        own.invoke()
        outputs = [own.get_tensor(index).reshape(-1) for index in indices]
        idle.append(own)
        return outputs[0], outputs[1] if size else np.zeros(0, np.float32)

    return signatures.Loaded(shape, size, predict)


def _interpreter(source: sources.Source, *, all_tensors: bool) -> tf.lite.Interpreter:
    """A new interpreter with one thread; with `all_tensors` the values inside of the graph can be read."""
    # a delegate keeps what is between its operations to itself
    resolvers = tf.lite.experimental.OpResolverType
    resolver = resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES if all_tensors else resolvers.AUTO
    try:
        with stderr_filter.filtered():  # remarks about delegates
            interpreter = tf.lite.Interpreter(
                model_path=source.model,
                num_threads=1,
                experimental_op_resolver_type=resolver,
                experimental_preserve_all_tensors=all_tensors,
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise config.InputError(f"--backbone={source.name}: not a TFLite model that can be loaded ({error})") from error
    return interpreter


def _input_of_last_dense_layer(interpreter: tf.lite.Interpreter, scores: int) -> dict[str, Any] | None:
    """Details of the tensor from which a dense layer computes the scores; None if no such layer is found."""
    makers = {index: op for op in interpreter._get_ops_details() for index in op["outputs"]}
    op = makers.get(scores)
    while op is not None and op["op_name"] in _AFTER_DENSE:
        computed = [index for index in op["inputs"] if index in makers]  # the others are constants
        op = makers[computed[0]] if len(computed) == 1 else None
    if op is None or op["op_name"] != "FULLY_CONNECTED":
        return None
    return next(d for d in interpreter.get_tensor_details() if d["index"] == op["inputs"][0])
