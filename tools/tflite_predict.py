"""Predicts with TensorFlow Lite: python tflite_predict.py FOLDER RECORDING [float32|float16|int8]

`bird_tf.export --tflite` writes FOLDER. This needs numpy, soundfile, and tflite-runtime (or ai-edge-litert or
TensorFlow). It prints start, end, name and probability of the most probable species of each chunk, and by which rules
(f1, precision) of the model's thresholds it is present.
"""

import csv
import importlib
import json
import sys
from typing import Any

import numpy as np
import soundfile


def interpreter(path: str) -> Any:
    """A TensorFlow Lite interpreter, from the package that is installed."""
    for package in ("tflite_runtime.interpreter", "ai_edge_litert.interpreter", "tensorflow.lite.python.interpreter"):
        try:
            return importlib.import_module(package).Interpreter(model_path=path)
        except ImportError:
            continue
    sys.exit("error: no TensorFlow Lite interpreter; install tflite-runtime")


def main(folder: str, recording: str, kind: str = "float32") -> None:
    """Prints a line for each chunk. A partial chunk at the end is padded with zeros."""
    with open(f"{folder}/frontend.json") as file:
        front_end = json.load(file)["config"]
    with open(f"{folder}/classes.csv", newline="", encoding="utf-8") as file:
        names = [row["name"] for row in csv.DictReader(file)]
    rate, size = front_end["sample_rate_hz"], round(front_end["sample_rate_hz"] * front_end["chunk_seconds"])
    front_end_runner = interpreter(f"{folder}/frontend.tflite").get_signature_runner("frontend")
    network_runner = interpreter(f"{folder}/network_{kind}.tflite").get_signature_runner("spectrogram")
    if soundfile.info(recording).samplerate != rate:
        sys.exit(f"error: {recording} is not at {rate} Hz; resample it first: sox in.wav -r {rate} out.wav")
    for i, block in enumerate(soundfile.blocks(recording, size, dtype="float32", always_2d=True, fill_value=0)):
        spectrograms = front_end_runner(samples=block.mean(axis=1)[None])["spectrogram"]
        outputs = {name: values[0] for name, values in network_runner(spectrogram=spectrograms).items()}
        start, best = i * front_end["chunk_seconds"], int(np.argmax(outputs["probabilities"]))
        rules = ",".join(rule for rule in ("f1", "precision") if outputs[f"present_{rule}"][best])
        end, p = start + front_end["chunk_seconds"], outputs["probabilities"][best]
        print(f"{start:.2f}\t{end:.2f}\t{names[best]}\t{p:.4f}\t{rules}")


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
