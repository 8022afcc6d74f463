"""Mixes soundscapes with a known truth from labelled recordings: calls at known times in noise, and noise alone.

python tools/mix_soundscapes.py --audio=DIR --records=tfrecords/NAME --output=DIR
then python -m bird_tf.evaluate --model=… --audio=DIR/mixtures --segments=DIR/mixtures.csv, and the same with noise

The calls are the chunks with the greatest activity of the validation recordings. The background is made of the records'
noise chunks, or of --noise_audio=DIR, recordings from elsewhere in which no bird is heard. To use nothing of a training
recording, give records without a training split, as the test records of a fold.
"""

from __future__ import annotations

import dataclasses
import os

from bird_tf import command_line, config, locks, next_steps
from bird_tf.evaluation import mixtures
from bird_tf.records import manifests, recordings_table


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixConfig:
    """Flags of the mixer."""

    audio: str = config.option("", "folder with the recordings that the records were made from", required=True)
    records: str = config.option("", "records with validation recordings, and noise or --noise_audio", required=True)
    noise_audio: str = config.option(
        "", "folder with recordings without birds, as background; empty: the noise chunks of the records"
    )
    output: str = config.option("", "folder for mixtures/, noise/ and a CSV file with the truth of each", required=True)
    mixtures: mixtures.MixtureConfig
    seed: int = config.option(0, "seed; equal seeds give equal bytes")

    def __post_init__(self) -> None:
        config.check_seed("seed", self.seed)


def _noise(settings: MixConfig, manifest: manifests.Manifest, paths: dict[str, str]) -> list[mixtures.Stretch]:
    """Every stretch of noise, as long as a chunk."""
    if settings.noise_audio:
        return mixtures.stretches(settings.noise_audio, manifest)
    return [(paths[recording], start) for recording, start, _, _ in mixtures.spans(manifest, "noise")]


def _mix(settings: MixConfig) -> int:
    """Writes the soundscapes and their truth. Returns the number of calls."""
    manifest = manifests.load(settings.records)
    paths = recordings_table.paths(settings.records, settings.audio)
    calls, noise = mixtures.clearest_calls(manifest, paths), _noise(settings, manifest, paths)
    if not calls or not noise:
        raise config.InputError(
            f"--records={settings.records}: {len(calls)} validation recordings and {len(noise)} stretches of noise, "
            "but both are needed; convert with --val_share above 0 and --noise_share=1, or name a folder of recordings "
            "without birds with --noise_audio"
        )
    calls = mixtures.without_others(manifest, paths, calls)
    return mixtures.Mixer(settings.mixtures, manifest, calls, noise).write(settings.output, settings.seed)


def main(settings: MixConfig) -> None:
    """Writes OUTPUT/mixtures and OUTPUT/noise, and their truth: mixtures.csv, and noise.csv without a row."""
    with locks.held(settings.output, work="mixing", flag="--output"):
        num_calls = _mix(settings)
    count = settings.mixtures.num_mixtures
    print(f"{settings.output}: {count} mixtures with {num_calls} calls, and as many of noise alone")
    print("next:")
    print("  judge a model that has not learnt from these calls: after a refit, that is runs/NAME/validated/export")
    for part in ("mixtures", "noise"):
        path = os.path.join(settings.output, part)
        results = {"segments": f"{path}.csv", "output": f"{path}-evaluation"}
        print(f"  {next_steps.command('evaluate', model='runs/NAME/export', audio=path, **results)}")


def run() -> None:
    """Entry point of `bird-tf-mix`."""
    command_line.run(main, MixConfig)


if __name__ == "__main__":
    run()
