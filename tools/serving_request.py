"""Writes a recording as the JSON body of a TensorFlow Serving request; docker/README.md shows its use.

python tools/serving_request.py --model=runs/NAME/export --audio=x.wav > request.json
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys

from bird_tf import config, files
from bird_tf.audio import decode, frontend


@dataclasses.dataclass(frozen=True, kw_only=True)
class RequestConfig:
    """Flags of the request."""

    model: str = config.option("", "exported model that the server has, as runs/NAME/export", required=True)
    audio: str = config.option("", "recording", required=True)
    signature: str = config.option("serving_default", "what to ask for", choices=("serving_default", "embed"))
    max_chunks: int = config.option(60, "chunks from the start of the recording; each is its samples as numbers")


def body(settings: RequestConfig) -> dict[str, object]:
    """The request in TensorFlow Serving's row format: an instance, samples [chunk_samples], for each chunk."""
    description = os.path.join(settings.model, "assets", "frontend.json")
    front_end = frontend.from_description(files.read_json(description), description)
    chunks = next(iter(decode.ChunkStream(settings.audio, front_end, decode.ChunkingConfig(), settings.max_chunks)))
    # six decimals tell the steps of a 16-bit file apart
    instances = [{"samples": [round(float(sample), 6) for sample in chunk]} for chunk in chunks]
    return {"signature_name": settings.signature, "instances": instances}


def main(settings: RequestConfig) -> None:
    """Writes it to standard output."""
    json.dump(body(settings), sys.stdout)


if __name__ == "__main__":
    config.run(main, RequestConfig)
