"""ONNX files as backbones."""

from __future__ import annotations

import os

import numpy as np

from bird_tf import config, files
from bird_tf.backbones import signatures, sources

_FOLDER_OF_WEIGHTS = "session.model_external_initializers_file_folder_path"


def load(source: sources.Source, num_labels: int) -> signatures.Loaded:
    """Loads an ONNX model; each window is computed by one thread.

    Raises:
        InputError: onnxruntime is not installed, the file cannot be loaded or does not hold its weights, or its inputs
            and outputs do not fit.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise config.InputError(f'--backbone={source.name} needs onnxruntime: pip install "bird-tf[onnx]"') from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # a folder that cannot be: weights in files of their own are neither in the fingerprint nor in copies of the model
    options.add_session_config_entry(_FOLDER_OF_WEIGHTS, os.path.join(source.model, "none"))
    content = files.read_bytes(source.model)
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions have no common type
        raise config.InputError(
            f"--backbone={source.name}: not an ONNX model that can be loaded ({error}); if its weights lie in a file "
            "beside it, as x.onnx.data, save it as one file: onnx.save_model(onnx.load(OLD), NEW)"
        ) from error
    inputs = [(_sizes(node.shape), np.float32 if node.type == "tensor(float)" else node.type)
              for node in session.get_inputs()]  # fmt: skip
    shapes = {node.name: _sizes(node.shape) for node in session.get_outputs() if node.type == "tensor(float)"}
    shape, scores = signatures.window_shape(inputs), signatures.score_name(shapes, num_labels, source.gives_logits)
    if not shape or not scores:
        raise signatures.unfit_model(source, num_labels, inputs, shapes)
    embedding = source.embedding or signatures.embedding_name(shapes, num_labels)
    size = signatures.vector_size(shapes.get(embedding, ()))
    if source.embedding and not size:
        raise signatures.unknown_embedding(source, shapes)
    argument, names = session.get_inputs()[0].name, [scores, embedding] if size else [scores]

    def predict(window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        outputs = [output.reshape(-1) for output in session.run(names, {argument: window})]
        return outputs[0], outputs[1] if size else np.zeros(0, np.float32)

    return signatures.Loaded(shape, size, predict, {"scores": scores, "embedding": embedding if size else None})


def _sizes(shape: list[int | str | None]) -> list[int | None]:
    """The shape with None for sizes that have a name."""
    return [size if isinstance(size, int) else None for size in shape]
