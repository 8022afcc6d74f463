"""The scores of a prediction, one file for each recording.

All tables are made from them, so that a further run scores only what is new.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from bird_tf import config, executor, files, resume, skips, stored
from bird_tf.audio import decode
from bird_tf.inference import audio_files, ensembles, scoring, suspects

# folder in the output
FOLDER = "scores"
_FORMAT_VERSION = 4
_SHIFTED = "between all chunks"  # where shifted chunks lie; plans of earlier versions, where they did not, say True
_SUFFIX = ".npz"
_KINDS = {
    "source": "U0", "duration_seconds": "f0", "start_seconds": "f1", "end_seconds": "f1", "probabilities": "f2",
    "attention": "f1",
}  # fmt: skip
_LATER_KINDS = {  # not in scores of earlier versions
    "lost_seconds": "f0", "note": "U0", "strangeness": "f0", "sample_rate_hz": "f0",
}  # fmt: skip


def _source_in(path: str) -> str:
    return stored.text_of(path, stored.read_arrays(path, {"source": "U0"})["source"])


def _path_in(folder: str, recording_id: str) -> str:
    # an id can be as long as a file name can be, so it cannot get a suffix
    return os.path.join(folder, f"{files.text_digest(recording_id)}{_SUFFIX}")


def changed(output: str, recordings: Mapping[str, str]) -> list[str]:
    """The ids of the recordings, {id: path}, that have changed since the prediction in this folder.

    Those whose scores are not there, or cannot be read, are not among them.
    """
    found = []
    for recording_id, path in recordings.items():
        with contextlib.suppress(OSError, config.InputError):
            if audio_files.has_changed(_source_in(_path_in(os.path.join(output, FOLDER), recording_id)), path):
                found.append(recording_id)
    return found


def scored(output: str, recordings: Iterable[str]) -> list[str]:
    """Those of the recordings, by their ids, whose scores the predictions in this folder have kept."""
    folder = os.path.join(output, FOLDER)
    return [recording_id for recording_id in recordings if os.path.exists(_path_in(folder, recording_id))]


class ScoreStore:
    """The scores in OUTPUT/scores/.

    A later run can use them only with the same models and the same chunks. Any other run is refused; but if only the
    decisions of the models have changed, all recordings are scored again.
    """

    def __init__(
        self, output: str, ensemble: ensembles.Ensemble, chunking: decode.ChunkingConfig,
        scored: decode.ChunkingConfig, *, overwrite: bool = False,
    ) -> None:  # fmt: skip
        """Describes the store; `open` opens it.

        Args:
            output: folder of the prediction.
            ensemble: the models.
            chunking: how recordings are cut into chunks.
            scored: how they are cut to be scored: with shifted chunks too, if the decisions need them.
            overwrite: whether scores of other models or chunks may be replaced.
        """
        self._folder, self._num_classes = os.path.join(output, FOLDER), len(ensemble.classes)
        self._ensemble, self._scored = ensemble, scored
        shifted = _SHIFTED if scored != chunking else None

        def plan(weights: Sequence[Any], shifted: Any) -> resume.Plan:
            models = enumerate(zip(ensemble.models, weights, strict=True), 1)
            inputs: dict[str, Any] = {
                f"model {i}": {"content": model.fingerprint, "weight": weight} for i, (model, weight) in models
            }
            if shifted is not None:
                inputs["the decisions"] = {"need of shifted chunks": shifted}
            versions = {"the stored scores": _FORMAT_VERSION}
            return {"flags": config.to_mapping(chunking), "versions": versions, "inputs": inputs}

        any_weights = [resume.ANYTHING] * len(ensemble.models)
        outdated = {"the weights of the models are others now": plan(any_weights, shifted)}
        if shifted:
            outdated["the model's decisions need shifted chunks now"] = plan(any_weights, None)
            outdated["shifted chunks lie between all chunks now"] = plan(any_weights, True)
        else:
            outdated["the model's decisions no longer need shifted chunks"] = plan(any_weights, resume.ANYTHING)
        self._claim = resume.Claim(
            directory=self._folder,
            work="prediction",
            flag="--output",
            overwrite=overwrite,
            plan=plan(ensemble.decisions.weights, shifted),
            outdated=outdated,
            flags_of=decode.ChunkingConfig,
        )

    def open(self) -> None:
        """Opens the store. The output is locked by the command.

        Raises:
            InputError: the folder holds the scores of other models or chunks, or something else.
        """
        self._claim.start(self._claim.goes_on())

    def _path(self, recording_id: str) -> str:
        return _path_in(self._folder, recording_id)

    def has(self, recording_id: str, path: str) -> bool:
        """Whether the scores of this recording are here and its file has not changed since."""
        if not os.path.exists(self._path(recording_id)):
            return False
        try:
            kept, now = _source_in(self._path(recording_id)), audio_files.source(path)
            if kept != now and not audio_files.has_changed(kept, path):
                logging.log_first_n(
                    logging.INFO, "%s and others are scored again: what was kept of them does not tell them apart from "
                    "a recording of equal name, size and time, or they lie elsewhere now", 1, path,
                )  # fmt: skip
            return kept == now
        except config.InputError as error:  # damaged, for example by a power failure
            logging.warning("%s is scored again: %s", path, error)
            return False

    def save(self, recording_id: str, scores: ensembles.RecordingScores) -> None:
        """Stores the scores of a recording. The file appears when it is complete."""
        arrays = {
            "source": scores.source, "duration_seconds": scores.duration_seconds,
            "start_seconds": scores.start_seconds, "end_seconds": scores.end_seconds,
            "probabilities": scores.probabilities, "attention": scores.attention_logits,
            "strangeness": scores.strangeness, "lost_seconds": float(scores.lost_seconds), "note": scores.note,
            "sample_rate_hz": float(scores.sample_rate_hz),
        }  # fmt: skip
        stored.write_arrays(self._path(recording_id), arrays)

    def load(self, recording_id: str, path: str) -> ensembles.RecordingScores:
        """The scores of a recording, without embeddings. Of an ensemble, only the weighted mean is stored.

        Raises:
            InputError: their file is damaged.
        """
        arrays = stored.read_arrays(self._path(recording_id), _KINDS, _LATER_KINDS)
        probabilities, attention_logits = arrays["probabilities"], arrays["attention"]
        num_chunks = len(probabilities)
        if probabilities.shape[1] != self._num_classes or any(
            len(arrays[name]) != num_chunks for name in ("start_seconds", "end_seconds", "attention")
        ):
            raise stored.damaged(self._path(recording_id), f"its scores are not those of {self._num_classes} classes")
        return ensembles.RecordingScores(
            path=path, duration_seconds=float(arrays["duration_seconds"]), start_seconds=arrays["start_seconds"],
            end_seconds=arrays["end_seconds"],
            member_probabilities=probabilities[None], probabilities=probabilities,
            member_attention_logits=attention_logits[None], attention_logits=attention_logits,
            embeddings=np.zeros((0, 0), np.float32),
            strangeness=float(arrays.get("strangeness", math.nan)),
            lost_seconds=float(arrays.get("lost_seconds", 0.0)),
            note=stored.text_of(path, arrays.get("note", np.array(""))), source=stored.text_of(path, arrays["source"]),
            sample_rate_hz=float(arrays.get("sample_rate_hz", 0.0)),
        )  # fmt: skip

    def fill(
        self, recordings: Sequence[tuple[str, str]], place: executor.PlaceConfig,
        also: Callable[[str, ensembles.RecordingScores], None] | None = None,
    ) -> list[skips.Skip]:  # fmt: skip
        """Scores recordings, and stores the scores of each as soon as they are complete.

        Args:
            recordings: (id, path) of each.
            place: where they are scored.
            also: gets the id and the scores of each that is stored; only for it, the scores hold embeddings.

        Returns:
            (path, reason) of those that cannot be read.

        Raises:
            InputError: as `scoring.score_recordings`.
        """
        skipped: list[skips.Skip] = []
        scored = scoring.score_recordings(
            self._ensemble, recordings, self._scored, embeddings=also is not None, place=place, notes=self._folder
        )
        for recording_id, scores in scoring.readable(scored, skipped):
            self.save(recording_id, scores)
            if also:
                also(recording_id, scores)
        return skipped

    def remove_if_empty(self) -> None:
        """Removes the folder if it holds neither scores nor notes of what may have killed a command."""
        if not any(name.endswith((_SUFFIX, suspects.SUFFIX)) for name in os.listdir(self._folder)):
            files.remove(self._folder)
