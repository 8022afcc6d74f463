"""Predicts without TensorFlow and bird_tf: python small_computer.py FOLDER RECORDING [float32|float16|int8]

`bird_tf.export --tflite` or `--onnx` writes FOLDER. This needs numpy, soundfile, and tflite-runtime, ai-edge-litert or
onnxruntime; and soxr for recordings at another rate than the model's. It prints start, end, name and probability of
the most probable species of each chunk, and by which rules (f1, precision) of the model's thresholds it is present.
"""

import contextlib
import csv
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import soundfile

Run = Callable[[str, np.ndarray], dict[str, Any]]


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keeps standard error quiet while the block runs: what an interpreter remarks on itself is of no use here."""
    terminal = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def _interpreter() -> Any:
    """The class of the first interpreter of TensorFlow Lite that is installed."""
    for package in ("tflite_runtime.interpreter", "ai_edge_litert.interpreter", "tensorflow.lite.python.interpreter"):
        with contextlib.suppress(ImportError):
            return importlib.import_module(package).Interpreter
    sys.exit("error: no TensorFlow Lite interpreter; install tflite-runtime or ai-edge-litert")


def _tflite(path: str, signature: str) -> Run:
    """The model as a function: name of the input, its value → {name: output}."""
    with _silence():
        runner = _interpreter()(model_path=path).get_signature_runner(signature)

    return lambda name, value: _silence()(runner)(**{name: value})


def _onnx(path: str) -> Run:
    """The same for ONNX."""
    session = importlib.import_module("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda name, value: dict(zip(names, session.run(names, {name: value}), strict=True))


def chunks(recording: str, rate: int, size: int) -> Iterator[np.ndarray]:
    """Chunks [size] float32 of a recording, resampled to `rate`. The last one is padded with zeros."""
    pending = np.zeros(0, np.float32)
    with soundfile.SoundFile(recording) as file:
        resampler: Any = None
        if file.samplerate != rate:
            try:
                soxr = importlib.import_module("soxr")
            except ImportError:
                sys.exit(f"error: {recording} is at {file.samplerate} Hz, the model at {rate} Hz: pip install soxr")
            resampler = soxr.ResampleStream(file.samplerate, rate, 1, dtype="float32")
        while len(block := file.read(10 * file.samplerate, dtype="float32", always_2d=True).mean(axis=1)) or resampler:
            if resampler:
                resampler, block = (resampler if len(block) else None), resampler.resample_chunk(block, not len(block))
            pending = np.concatenate([pending, block])
            while len(pending) >= size:
                yield pending[:size]
                pending = pending[size:]
    if len(pending):
        yield np.pad(pending, (0, size - len(pending)))


def main(folder: str, recording: str, kind: str = "float32") -> None:
    """Prints a line for each chunk."""
    with open(f"{folder}/frontend.json") as file:
        front_end = json.load(file)["config"]
    with open(f"{folder}/classes.csv", newline="", encoding="utf-8") as file:
        names = [row["name"] for row in csv.DictReader(file)]
    if os.path.exists(f"{folder}/network.onnx"):
        to_spectrograms, network = _onnx(f"{folder}/frontend.onnx"), _onnx(f"{folder}/network.onnx")
    else:
        to_spectrograms = _tflite(f"{folder}/frontend.tflite", "frontend")
        network = _tflite(f"{folder}/network_{kind}.tflite", "spectrogram")
    rate, seconds = front_end["sample_rate_hz"], front_end["chunk_seconds"]
    for i, samples in enumerate(chunks(recording, rate, round(rate * seconds))):
        spectrogram = to_spectrograms("samples", samples[None])["spectrogram"]
        outputs = {name: values[0] for name, values in network("spectrogram", spectrogram).items()}
        best = int(np.argmax(outputs["probabilities"]))
        rules = ",".join(rule for rule in ("f1", "precision") if outputs[f"present_{rule}"][best])
        p = outputs["probabilities"][best]
        print(f"{i * seconds:.2f}\t{(i + 1) * seconds:.2f}\t{names[best]}\t{p:.4f}\t{rules}")


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
