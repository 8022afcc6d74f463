"""The gate of self-training: what a round is judged by, and which round is kept.

Only labels of people count: known calls in soundscapes or mixtures, and validation recordings. What the teachers say of
the unlabelled recordings does not, so a round cannot confirm its own errors.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Sequence

from bird_tf import config, executor, files, stored
from bird_tf.audio import decode
from bird_tf.evaluation import mixtures, soundscapes
from bird_tf.inference import ensembles, labelled, occurrence
from bird_tf.labels.layouts import reader
from bird_tf.records import manifests
from bird_tf.scores import metrics

# smaller differences are chance
_LEAST_GAIN = 0.002
_QUALITY = "quality.json"
# path of a recording, start of a chunk in seconds, and class id
_Call = tuple[str, float, str]
_REMEDY = "give labelled soundscapes with --segments and --segments_audio, or keep the last round with --nogate"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quality:
    """How good a model is.

    Attributes:
        cmap, auroc: over segments of soundscapes with known calls.
        mlrap: over the validation recordings, of the classes of the records; NaN without any.
    """

    cmap: float
    auroc: float
    mlrap: float = math.nan

    @property
    def value(self) -> float:
        """The mean of c-mAP and MLRAP, of those that are known."""
        known = [value for value in (self.cmap, self.mlrap) if not math.isnan(value)]
        return sum(known) / len(known)

    def gains(self, before: Quality) -> bool:
        """Whether one of c-mAP and MLRAP is greater than before, by more than chance."""
        return self.cmap > before.cmap + _LEAST_GAIN or self.mlrap > before.mlrap + _LEAST_GAIN


def best(qualities: Sequence[Quality]) -> int:
    """The round with the greatest value; the first of equals, so that no gain keeps the teachers, round 0."""
    return max(range(len(qualities)), key=lambda number: qualities[number].value)


def goes_on(qualities: Sequence[Quality]) -> bool:
    """Whether another round is worth its time: the last one gains something over the best one before it."""
    if len(qualities) == 1:
        return True
    before = qualities[:-1]
    return qualities[-1].gains(before[best(before)])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gate:
    """Soundscapes with known calls, and validation recordings.

    Attributes:
        manifest: the labelled records.
        audio: folder of the soundscapes.
        calls: CSV of the calls in them.
        output: folder for what is written of each judgement.
        place: where recordings are scored.
        columns: names of columns in the CSV, as `reader.SourceConfig` has them.
    """

    manifest: manifests.Manifest
    audio: str
    calls: str
    output: str
    place: executor.PlaceConfig
    columns: tuple[str, ...] = ()

    def judge(self, models: Sequence[str], name: str) -> Quality:
        """Judges models, several as an ensemble, without calibration and decisions; once for each name.

        Raises:
            InputError: the models do not fit to the records, or the soundscapes cannot be used or have no call.
        """
        path = os.path.join(self.output, name, _QUALITY)
        if not files.exists(path):
            judged = dataclasses.asdict(self._judge(models, name))
            files.write_json(path, {metric: value for metric, value in judged.items() if not math.isnan(value)})
        return stored.read_json(path, Quality)

    def _judge(self, models: Sequence[str], name: str) -> Quality:
        self.place.prepare()
        ensemble = ensembles.Ensemble(models, "none")
        found = soundscapes.evaluate(
            soundscapes.SoundscapeConfig(
                source=reader.SourceConfig(audio=self.audio, columns=self.columns), calls=self.calls,
                output=os.path.join(self.output, name), chunking=decode.SegmentChunkingConfig(),
                occurrence_settings=occurrence.OccurrenceConfig(), place=self.place,
            ),
            ensemble,
        )  # fmt: skip
        if math.isnan(found["cmap"]):
            raise config.InputError(f"--segments={self.calls} holds no call, so rounds cannot be judged by it")
        return Quality(cmap=found["cmap"], auroc=found["auroc"], mlrap=self._mlrap(ensemble))

    def _mlrap(self, ensemble: ensembles.Ensemble) -> float:
        """All rounds rank the classes that labels can name; to rank more is harder, and one is no ranking."""
        columns = [ensemble.classes.index(class_id) for class_id in self.manifest.labelled_classes.class_ids]
        if not self.manifest.num_chunks("val") or len(columns) == 1:
            return math.nan
        scored = labelled.score_records(ensemble, self.manifest)
        truth = metrics.truth(scored.labels, scored.backgrounds, len(ensemble.classes))
        return metrics.mlrap(scored.pooled(ensemble)[:, columns], truth[:, columns])


def check_calls(manifest: manifests.Manifest) -> None:
    """Checks, before hours of work, that there are calls to mix.

    Raises:
        InputError: there are no validation recordings, or their audio is not where it was.
    """
    _calls(mixtures.clearest_validation_calls, manifest)


def _calls(find: Callable[..., list[_Call]], manifest: manifests.Manifest) -> list[_Call]:
    """The calls that are found. Raises InputError as `check_calls`."""
    try:
        return find(manifest, advice="")
    except config.InputError as error:
        raise config.InputError(f"no round can be judged: {error}; {_REMEDY}") from error


def write_mixtures(
    output: str, settings: mixtures.MixtureConfig, manifest: manifests.Manifest, quiet: Sequence[mixtures.Stretch],
    seed: int,
) -> None:  # fmt: skip
    """Mixes calls of the validation recordings into unlabelled chunks without calls.

    Args:
        output: the folder, for `mixtures.places`.
        settings: how they are mixed.
        manifest: the labelled records.
        quiet: the unlabelled chunks.
        seed: of the mixing.

    Raises:
        InputError: there is no quiet chunk, or as `check_calls`.
    """
    if not quiet:
        raise config.InputError(
            f"--unlabelled: no chunk with sound is without calls, so no mixture can be made; {_REMEDY}"
        )
    calls = _calls(mixtures.validation_calls, manifest)
    mixtures.Mixer(settings, manifest, calls, quiet).write(output, seed)
