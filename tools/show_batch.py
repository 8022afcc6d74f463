"""Draws an augmented training batch with its targets as one PNG file, for any flags of a training.

python tools/show_batch.py --flagfile=configs/resnet.flags --records=tfrecords/NAME --output=batch.png
"""

from __future__ import annotations

import dataclasses

from bird_tf import command_line, config, files
from bird_tf.input import dataset, preview
from bird_tf.records import manifests
from bird_tf.training import distillation, training_flags


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShowBatchConfig(training_flags.TrainConfig):
    """The flags of a training, of which only those of its input have an effect, and the output file."""

    run_dir: str = config.option("", "not needed, since nothing is trained")
    output: str = config.option("batch.png", "PNG file to write")


def main(settings: ShowBatchConfig) -> None:
    """Writes the PNG file."""
    manifest = manifests.load(settings.records)
    models = distillation.load(settings.teachers, manifest)
    answers = distillation.stored_answers(models, settings.teachers, manifest)
    taught = dataset.Taught(answers=answers, pseudo=settings.pseudo)
    examples = preview.batch(manifest, settings.dataset, settings.augmentation, settings.seed, taught)
    image = preview.png(examples, manifest.classes.names, manifest.front_end)
    with files.replacing(settings.output) as temporary, open(temporary, "wb") as file:
        file.write(image)
    count = len(examples["label"])
    print(f"{settings.output}: {min(count, preview.MAX_CHUNKS)} of the {count} chunks of a batch of {settings.records}")


if __name__ == "__main__":
    command_line.run(main, ShowBatchConfig)
