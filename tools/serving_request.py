"""Writes a recording as the JSON body of a TensorFlow Serving request; docker/README.md shows its use.

python tools/serving_request.py --model=runs/NAME/export --audio=x.wav > request.json
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys

from bird_tf import command_line, config, files
from bird_tf.audio import decode, frontend
from bird_tf.backbones import exported
from bird_tf.inference import model_files


@dataclasses.dataclass(frozen=True, kw_only=True)
class RequestConfig:
    """Flags of the request."""

    model: str = config.option("", "exported model on the server, as runs/NAME/export", required=True)
    audio: str = config.option("", "recording", required=True)
    signature: str = config.option("serving_default", "signature to call", choices=("serving_default", "embed"))
    max_chunks: int = config.option(60, "number of chunks, from the start of the recording")

    def __post_init__(self) -> None:
        if self.max_chunks < 1:
            raise config.InputError(f"--max_chunks={self.max_chunks}: must be at least 1")


def body(settings: RequestConfig) -> dict[str, object]:
    """The request in the row format of TensorFlow Serving: one instance, the samples heard, for each chunk.

    Raises:
        InputError: the model is a head whose backbone is no part of its graph.
    """
    if files.exists(os.path.join(settings.model, model_files.BACKBONE)):
        raise config.InputError(
            f"--model={settings.model} is a head with its backbone in a file beside its graph, so no server can run "
            "it; train a student of it, or predict with bird_tf"
        )
    front_end = frontend.load(os.path.join(settings.model, exported.FRONT_END))
    heard = model_files.read_description(settings.model).hearing(front_end)
    chunks = next(iter(decode.ChunkStream(settings.audio, heard, decode.ChunkingConfig(), settings.max_chunks)))
    # six decimals are enough for 16-bit files
    instances = [{"samples": [round(float(sample), 6) for sample in chunk]} for chunk in chunks]
    return {"signature_name": settings.signature, "instances": instances}


def main(settings: RequestConfig) -> None:
    """Writes the request to standard output."""
    json.dump(body(settings), sys.stdout)


if __name__ == "__main__":
    command_line.run(main, RequestConfig)
