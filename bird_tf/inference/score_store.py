"""The scores of an unfinished prediction, one file for each recording. An interrupted run continues from them."""

from __future__ import annotations

import os
import shutil
import zipfile

import numpy as np

from bird_tf import config, files, resume
from bird_tf.audio import decode
from bird_tf.inference import ensembles

# folder in the output for the scores so far; removed when the tables are complete
FOLDER = "unfinished"
_FORMAT_VERSION = 3


class ScoreStore:
    """The scores so far, in OUTPUT/unfinished/.

    A later run can use them only with the same models and the same chunks. Any other run is refused.
    """

    def __init__(
        self, output: str, ensemble: ensembles.Ensemble, chunking: decode.ChunkingConfig, *, embeddings: bool
    ) -> None:
        """Opens the folder.

        Args:
            output: folder of the prediction.
            ensemble: the models.
            chunking: how recordings are cut into chunks.
            embeddings: whether embeddings are stored as well.

        Raises:
            InputError: the folder holds the scores of another run, or something else.
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
                "versions": {"the stored scores": _FORMAT_VERSION},
                "inputs": {
                    f"model {i}": {"content": model.fingerprint, "weight": weight}
                    for i, (model, weight) in enumerate(models, 1)
                },
            },
        )
        claim.start(claim.goes_on())

    def _path(self, recording_id: str) -> str:
        # an id can be as long as a file name can be, so it cannot get a suffix
        return os.path.join(self._folder, f"{files.text_digest(recording_id)}.npz")

    @staticmethod
    def _source(path: str) -> str:
        status = os.stat(path)
        return f"{os.path.abspath(path)} {status.st_size} {status.st_mtime_ns}"

    def has(self, recording_id: str, path: str) -> bool:
        """Whether the scores of this recording are here and its file has not changed since."""
        if not os.path.exists(self._path(recording_id)):
            return False
        try:
            with open(self._path(recording_id), "rb") as file, np.load(file) as stored:
                return bool(stored["source"] == self._source(path))
        except (EOFError, ValueError, KeyError, zipfile.BadZipFile):  # damaged, for example by a power failure
            return False

    def save(self, recording_id: str, scores: ensembles.RecordingScores) -> None:
        """Stores the scores of a recording. The file appears when it is complete."""
        with files.replacing(self._path(recording_id)) as temporary, open(temporary, "wb") as file:
            np.savez(
                file, source=self._source(scores.path), duration_seconds=scores.duration_seconds,
                start_seconds=scores.start_seconds, end_seconds=scores.end_seconds,
                probabilities=scores.probabilities, attention=scores.attention_logits, embeddings=scores.embeddings,
            )  # fmt: skip

    def load(self, recording_id: str, path: str) -> ensembles.RecordingScores:
        """The scores of a recording. Of an ensemble, only the weighted mean is stored."""
        with np.load(self._path(recording_id)) as stored:
            probabilities, attention_logits = stored["probabilities"], stored["attention"]
            return ensembles.RecordingScores(
                path=path, duration_seconds=float(stored["duration_seconds"]), start_seconds=stored["start_seconds"],
                end_seconds=stored["end_seconds"],
                member_probabilities=probabilities[None], probabilities=probabilities,
                member_attention_logits=attention_logits[None], attention_logits=attention_logits,
                embeddings=stored["embeddings"],
            )  # fmt: skip

    def remove(self) -> None:
        """Removes all stored scores."""
        shutil.rmtree(self._folder)
