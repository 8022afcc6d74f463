"""Exports a finished run again, as a SavedModel and on request as TensorFlow Lite and ONNX files."""

from __future__ import annotations

import dataclasses
import os

from bird_tf import command_line, config, locks, next_steps
from bird_tf.inference.formats import onnx, parts, tflite
from bird_tf.training import exporter


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Flags of an export."""

    run_dir: str = config.option("", "run directory, as runs/NAME; the SavedModel goes to its export/", required=True)
    tflite: bool = config.option(False, "also write RUN_DIR/tflite/, for phones and small computers")
    onnx: bool = config.option(False, "also write RUN_DIR/onnx/, for runtimes other than TensorFlow")


def main(settings: ExportConfig) -> None:
    """Exports a finished run again."""
    with locks.held(settings.run_dir, work="export", flag="--run_dir"):
        path = exporter.export(settings.run_dir)
        if settings.tflite:
            tflite.convert(path, os.path.join(settings.run_dir, "tflite"))
        if settings.onnx:
            onnx.convert(path, os.path.join(settings.run_dir, "onnx"))
    small = [os.path.join(settings.run_dir, name) for name in parts.FOLDERS if getattr(settings, name)]
    next_steps.log(
        next_steps.predict([path]),
        *(next_steps.script("small_computer.py", folder, "RECORDING.wav") for folder in small),
    )


def run() -> None:
    """Entry point of `bird-tf-export`."""
    command_line.run(main, ExportConfig)


if __name__ == "__main__":
    run()
