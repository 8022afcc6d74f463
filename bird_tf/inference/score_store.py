"""The scores of an unfinished prediction, one file for each recording, so that an interrupted run goes on."""

from __future__ import annotations

import os
import shutil
import zipfile

import numpy as np

from bird_tf import config, files, resume
from bird_tf.audio import decode
from bird_tf.inference import ensembles

# folder in the output that holds the scores so far; gone when the tables are there
FOLDER = "unfinished"
_FORMAT_VERSION = 3


class ScoreStore:
    """The scores so far, in OUTPUT/unfinished/.

    A later run can use them only with the same models and the same chunks; other runs are refused.
    """

    def __init__(
        self, output: str, ensemble: ensembles.Ensemble, chunking: decode.ChunkingConfig, *, embeddings: bool
    ) -> None:
        """Opens the folder.

        Args:
            output: folder of the prediction.
            ensemble: the models.
            chunking: how recordings are cut into chunks.
            embeddings: whether embeddings are kept as well.

        Raises:
            InputError: it holds the scores of another run, or something else.
        """
        self._folder = os.path.join(output, FOLDER)
        models = zip(ensemble.models, ensemble.decisions.weights, strict=True)
        claim = resume.Claim(
            directory=output,
            notes=FOLDER,
            work="prediction",
            flag="--output",
            plan={
                "flags": {**config.to_mapping(chunking), "embeddings": embeddings},
                "versions": {"the kept scores": _FORMAT_VERSION},
                "inputs": {
                    f"model {i}": {"content": model.fingerprint, "weight": weight}
                    for i, (model, weight) in enumerate(models, 1)
                },
            },
        )
        if not claim.goes_on():
            claim.begin()

    def _path(self, recording_id: str) -> str:
        # ids may be as long as file names can be
        return os.path.join(self._folder, f"{files.text_digest(recording_id)}.npz")

    @staticmethod
    def _source(path: str) -> str:
        status = os.stat(path)
        return f"{os.path.abspath(path)} {status.st_size} {status.st_mtime_ns}"

    def has(self, recording_id: str, path: str) -> bool:
        """Whether this recording was scored before, and has not changed since."""
        if not os.path.exists(self._path(recording_id)):
            return False
        try:
            with open(self._path(recording_id), "rb") as file, np.load(file) as stored:
                return bool(stored["source"] == self._source(path))
        except (EOFError, ValueError, KeyError, zipfile.BadZipFile):  # the power went while it was written
            return False

    def keep(self, recording_id: str, scores: ensembles.RecordingScores) -> None:
        """Keeps the scores of a recording, whole or not at all."""
        with files.replacing(self._path(recording_id)) as temporary, open(temporary, "wb") as file:
            np.savez(
                file, source=self._source(scores.path), duration_seconds=scores.duration_seconds,
                start_seconds=scores.start_seconds, end_seconds=scores.end_seconds,
                probabilities=scores.probabilities, attention=scores.attention, embeddings=scores.embeddings,
            )  # fmt: skip

    def scores(self, recording_id: str, path: str) -> ensembles.RecordingScores:
        """The scores of a recording. Of an ensemble, only the weighted mean is kept."""
        with np.load(self._path(recording_id)) as stored:
            probabilities, attention = stored["probabilities"], stored["attention"]
            return ensembles.RecordingScores(
                path=path, duration_seconds=float(stored["duration_seconds"]), start_seconds=stored["start_seconds"],
                end_seconds=stored["end_seconds"], members=probabilities[None], probabilities=probabilities,
                attentions=attention[None], attention=attention, embeddings=stored["embeddings"],
            )  # fmt: skip

    def remove(self) -> None:
        """Removes everything that was kept."""
        shutil.rmtree(self._folder)
