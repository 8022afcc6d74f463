"""Answers per segment, tuned without labelled soundscapes: on calls of validation recordings, mixed into noise."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from bird_tf.evaluation import mixtures, noise, soundscapes
from bird_tf.inference import ensembles, leaks
from bird_tf.labels.layouts import reader
from bird_tf.records import manifests, recordings_table

_FOLDER = "mixtures"
_MIXTURES = mixtures.MixtureConfig()
# synthesised stretches beside the noise of the records, and the number of the first one: the thresholds are fitted
# above those with smaller numbers
_NUM_SYNTHESISED, _FIRST_SYNTHESISED = 60, 100_000


def tune(
    settings: soundscapes.SoundscapeConfig, ensemble: ensembles.Ensemble, manifest: manifests.Manifest,
    audio: str = "", noise_audio: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Mixes soundscapes, and tunes on them as on soundscapes with known calls.

    Recordings that a model has learnt from are left out. The same few calls are mixed in again and again, so that
    thresholds could not be fitted on the mixtures: those of chunks, fitted on the recordings, are carried over.

    Args:
        settings: how soundscapes are scored, and where decisions are kept; the mixtures and the results are written to
            `output`/mixtures.
        ensemble: the models; its decisions are set.
        manifest: the records.
        audio: folder of their recordings; empty: the one that they were converted from.
        noise_audio: folder with recordings without birds, for the background; empty: the noise chunks of the validation
            recordings, and synthesised noise.

    Returns:
        As `soundscapes.evaluate`.

    Raises:
        InputError: as `mixtures.validation_calls`, `mixtures.stretches` and `soundscapes.evaluate`.
    """
    folder = os.path.join(settings.output, _FOLDER)
    leak = leaks.Leaks(ensemble.paths, manifest.front_end.sample_rate_hz, manifest.channel)
    judged = recordings_table.validation(manifest)
    calls = mixtures.validation_calls(manifest, audio, leak.among(judged).recordings)
    if noise_audio:
        stretches = mixtures.stretches(noise_audio, manifest)
    else:
        stretches = mixtures.validation_noise(manifest, audio)
        written = noise.write_synthesised(
            os.path.join(folder, "synthesised"), _NUM_SYNTHESISED, manifest.front_end, _FIRST_SYNTHESISED
        )
        stretches += [(path, 0.0) for path in written]
    mixtures.Mixer(_MIXTURES, manifest, calls, stretches).write(folder, seed=0)
    mixed, table = mixtures.places(folder)
    return soundscapes.evaluate(
        dataclasses.replace(
            settings, source=reader.SourceConfig(audio=mixed), calls=table, output=folder, carry_thresholds=True
        ),
        ensemble,
    )
