"""SavedModel → TensorFlow Lite files for phones and small computers, compared with the SavedModel.

Front-end and network are separate files. The range of int8 is too small for the front-end (42 dB; a frame needs 80 dB),
and all networks can use the small float32 front-end.
"""

from __future__ import annotations

from bird_tf import files, tf
from bird_tf.inference.formats import compare, parts

FRONTEND = "frontend.tflite"
# {type of the stored weights: the largest allowed difference from a probability of the SavedModel}
TOLERANCES = {parts.FLOAT32: 1e-4, "float16": 0.02, "int8": 0.1}


def network_name(kind: str) -> str:
    """Name of the file with the network whose weights are stored as `kind`, one of TOLERANCES."""
    return f"network_{kind}.tflite"


def convert(model_path: str, output: str) -> None:
    """Writes OUTPUT/frontend.tflite and network_*.tflite, or of a head network_float32.tflite; and more.

    Raises:
        InputError, RuntimeError: as `compare.convert`.
    """
    compare.convert(model_path, output, FORMAT)


def _write(signature: parts.Signature, kind: str, path: str) -> None:
    converter = tf.lite.TFLiteConverter.from_saved_model(signature.model, signature_keys=[signature.name])
    if kind != parts.FLOAT32:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    files.write_bytes(path, bytes(converter.convert()))


def _run(path: str, inputs: compare.Arrays) -> compare.Arrays:
    outputs: compare.Arrays = tf.lite.Interpreter(model_path=path).get_signature_runner()(**inputs)
    return outputs


FORMAT = compare.Format(
    title="TensorFlow Lite", front_end=FRONTEND, network=network_name, tolerances=TOLERANCES, write=_write, run=_run
)
