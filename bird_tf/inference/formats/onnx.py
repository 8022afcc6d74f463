"""SavedModel → ONNX files, for programs without TensorFlow, compared with the SavedModel.

Front-end and network are separate files, as in `tflite`. The extra `onnx` has suitable versions of the packages.
"""

from __future__ import annotations

import functools
import importlib
import logging
from typing import Any

import numpy as np

from bird_tf import config, tf
from bird_tf.inference.formats import compare, parts

FRONTEND = "frontend.onnx"
NETWORK = "network.onnx"


def convert(model_path: str, output: str) -> None:
    """Writes OUTPUT/frontend.onnx and network.onnx, or of a head network.onnx; and more.

    Raises:
        InputError: tf2onnx or onnxruntime cannot be imported; or as `compare.convert`.
        RuntimeError: as `compare.convert`.
    """
    try:
        for package in ("tf2onnx.convert", "onnxruntime"):
            importlib.import_module(package)
    except ImportError as error:
        raise config.InputError(
            f'--onnx needs tf2onnx and onnxruntime ({error}): pip install "bird-tf[onnx]"'
        ) from error
    compare.convert(model_path, output, FORMAT)


def _write(signature: parts.Signature, _: str, path: str) -> None:
    loaded = tf.saved_model.load(signature.model)  # the signature needs this reference
    _convert(loaded.signatures[signature.name], path)


def _convert(signature: Any, path: str) -> None:
    """Writes one signature, with its names of inputs and outputs, for any batch size."""
    specs = signature.structured_input_signature[1]
    function = tf.function(
        lambda *values: signature(**dict(zip(specs, values, strict=True))), input_signature=[*specs.values()],
        autograph=False,
    )  # fmt: skip
    logging.getLogger("tf2onnx").setLevel(logging.WARNING)
    handlers = {"RFFT": _rfft, "Real": functools.partial(_part, 0), "Imag": functools.partial(_part, 1)}
    importlib.import_module("tf2onnx.convert").from_function(
        function,
        [*specs.values()],
        custom_op_handlers={operation: (handler, []) for operation, handler in handlers.items()},
        output_path=path,
    )


def _rfft(graph: Any, node: Any, *_: Any) -> None:
    """RFFT → [2, …, bins] float32, by products with a cosine and a sine matrix.

    tf2onnx does the same, but only if the graph uses nothing but the magnitude. ONNX's own DFT is not faster in
    onnxruntime 1.23, and differs by 0.03 of a spectrogram if n_fft is not a power of two.
    """
    [n_fft] = node.inputs[1].get_tensor_value()
    surplus = graph.get_shape(node.input[0])[-1] - n_fft  # samples that the transform leaves out
    angles = 2 * np.pi / n_fft * np.outer(np.arange(n_fft), np.arange(1 + n_fft // 2))
    parts = np.stack([np.cos(angles), -np.sin(angles)])[:, None].astype(np.float32)  # [2, 1, n_fft, bins]
    parts = np.pad(parts, ((0, 0), (0, 0), (0, surplus), (0, 0)))
    _replace(graph, node, "MatMul", parts)


def _part(index: int, graph: Any, node: Any, *_: Any) -> None:
    """Real part (index 0) or imaginary part (1) of the output of `_rfft`."""
    _replace(graph, node, "Gather", np.array(index), axis=0)


def _replace(graph: Any, node: Any, operation: str, constant: np.ndarray, **attributes: int) -> None:
    """Replaces a node by another operation, on its first input and a constant."""
    node.type = operation
    graph.replace_inputs(node, [node.input[0], graph.make_const(f"{node.name}_{operation}", constant).output[0]])
    for name, value in attributes.items():
        node.set_attr(name, value)
    graph.update_node_shape_dtype(node, override=True)


def _run(path: str, inputs: compare.Arrays) -> compare.Arrays:
    session = _session(path)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def _session(path: str) -> Any:
    return importlib.import_module("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])


FORMAT = compare.Format(
    title="ONNX", front_end=FRONTEND, network=lambda _: NETWORK, tolerances={parts.FLOAT32: 1e-4}, write=_write,
    run=_run,
)  # fmt: skip
