"""Exports a finished run again, as a SavedModel and on request as TensorFlow Lite and ONNX files."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from bird_tf import command_line, config, locks, next_steps, python_calls
from bird_tf.inference.formats import onnx, parts, tflite
from bird_tf.training import exporter


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Flags of an export."""

    run_dir: str = config.option("", "run directory, as runs/NAME; the SavedModel goes to its export/", required=True)
    tflite: bool = config.option(False, "also write RUN_DIR/tflite/, for phones and small computers")
    onnx: bool = config.option(False, "also write RUN_DIR/onnx/, for runtimes other than TensorFlow")


def export(settings: ExportConfig) -> dict[str, Any]:
    """Exports a finished run again.

    Returns:
        {"model": path of the SavedModel; "tflite", "onnx": folders of those that were asked for}.

    Raises:
        InputError: the directory holds no finished run, or its network cannot be converted.
    """
    with locks.held(settings.run_dir, work="export", flag="--run_dir"):
        path = exporter.export(settings.run_dir)
        if settings.tflite:
            tflite.convert(path, os.path.join(settings.run_dir, "tflite"))
        if settings.onnx:
            onnx.convert(path, os.path.join(settings.run_dir, "onnx"))
    small = {name: os.path.join(settings.run_dir, name) for name in parts.FOLDERS if getattr(settings, name)}
    return {"model": path, **small}


def main(settings: ExportConfig) -> None:
    """Exports, and logs what to do next."""
    folders = export(settings)
    next_steps.log(
        next_steps.predict([folders.pop("model")]),
        *(next_steps.script("small_computer.py", folder, "RECORDING.wav") for folder in folders.values()),
    )


def run() -> None:
    """Entry point of `bird-tf-export`."""
    command_line.run(main, ExportConfig)


python_calls.make_callable(__name__, export, ExportConfig)


if __name__ == "__main__":
    run()
