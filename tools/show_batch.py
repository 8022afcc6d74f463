"""Draws an augmented training batch with its targets as one PNG file, for the flags of any training.

python tools/show_batch.py --flagfile=configs/resnet.flags --records=tfrecords/NAME --output=batch.png
"""

from __future__ import annotations

import dataclasses

from bird_tf import config, files, train
from bird_tf.input import preview
from bird_tf.records import manifests


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShowBatchConfig(train.TrainConfig):
    """The flags of a training, of which only those of its input count here, and where the picture goes."""

    run_dir: str = config.option("", "not needed here: nothing is trained")
    output: str = config.option("batch.png", "picture to write")


def main(settings: ShowBatchConfig) -> None:
    """Writes the picture."""
    manifest = manifests.load(settings.records)
    examples = preview.batch(manifest, settings.dataset, settings.augmentation, settings.seed)
    picture = preview.png(examples, manifest.classes.class_ids)
    with files.replacing(settings.output) as temporary, open(temporary, "wb") as file:
        file.write(picture)
    print(f"{settings.output}: {len(examples['label'])} chunks of {settings.records}")


if __name__ == "__main__":
    config.run(main, ShowBatchConfig)
