"""The scores of a prediction, one file for each recording.

All tables are made from them, so that a further run scores only what is new.
"""

from __future__ import annotations

import io
import os
import zipfile

import numpy as np

from bird_tf import files, resume
from bird_tf.audio import decode
from bird_tf.inference import ensembles

# folder in the output
FOLDER = "scores"
_FORMAT_VERSION = 4
_SUFFIX = ".npz"


def source(path: str) -> str:
    """What tells whether a recording is still the same: its path, size and time of change."""
    status = os.stat(path)
    return f"{os.path.abspath(path)} {status.st_size} {status.st_mtime_ns}"


class ScoreStore:
    """The scores in OUTPUT/scores/.

    A later run can use them only with the same models and the same chunks. Any other run is refused.
    """

    def __init__(
        self, output: str, ensemble: ensembles.Ensemble, chunking: decode.ChunkingConfig, *, overwrite: bool = False
    ) -> None:
        """Describes the store; `open` opens it.

        Args:
            output: folder of the prediction.
            ensemble: the models.
            chunking: how recordings are cut into chunks.
            overwrite: whether scores of other models or chunks may be replaced.
        """
        self._folder = os.path.join(output, FOLDER)
        models = zip(ensemble.models, ensemble.decisions.weights, strict=True)
        self._claim = resume.Claim(
            directory=self._folder,
            work="prediction",
            flag="--output",
            overwrite=overwrite,
            plan={
                "flags": chunking.plan(),
                "versions": {"the stored scores": _FORMAT_VERSION},
                "inputs": {
                    f"model {i}": {"content": model.fingerprint, "weight": weight}
                    for i, (model, weight) in enumerate(models, 1)
                },
            },
        )

    def open(self) -> None:
        """Opens the store. The output is locked by the command.

        Raises:
            InputError: the folder holds the scores of other models or chunks, or something else.
        """
        self._claim.start(self._claim.goes_on())

    def _path(self, recording_id: str) -> str:
        # an id can be as long as a file name can be, so it cannot get a suffix
        return os.path.join(self._folder, f"{files.text_digest(recording_id)}{_SUFFIX}")

    def has(self, recording_id: str, path: str) -> bool:
        """Whether the scores of this recording are here and its file has not changed since."""
        if not os.path.exists(self._path(recording_id)):
            return False
        try:
            with open(self._path(recording_id), "rb") as file, np.load(file) as stored:
                return bool(stored["source"] == source(path))
        except (EOFError, ValueError, KeyError, zipfile.BadZipFile):  # damaged, for example by a power failure
            return False

    def save(self, recording_id: str, scores: ensembles.RecordingScores) -> None:
        """Stores the scores of a recording. The file appears when it is complete."""
        content = io.BytesIO()  # an archive that is written onto a full disk complains once more when it is closed
        np.savez(
            content, source=source(scores.path), duration_seconds=scores.duration_seconds,
            start_seconds=scores.start_seconds, end_seconds=scores.end_seconds,
            probabilities=scores.probabilities, attention=scores.attention_logits,
            lost_seconds=scores.lost_seconds, note=scores.note,
        )  # fmt: skip
        files.write_bytes(self._path(recording_id), content.getvalue())

    def load(self, recording_id: str, path: str) -> ensembles.RecordingScores:
        """The scores of a recording, without embeddings. Of an ensemble, only the weighted mean is stored."""
        with np.load(self._path(recording_id)) as stored:
            probabilities, attention_logits = stored["probabilities"], stored["attention"]
            has_note = "note" in stored  # not in scores of earlier versions
            return ensembles.RecordingScores(
                path=path, duration_seconds=float(stored["duration_seconds"]), start_seconds=stored["start_seconds"],
                end_seconds=stored["end_seconds"],
                member_probabilities=probabilities[None], probabilities=probabilities,
                member_attention_logits=attention_logits[None], attention_logits=attention_logits,
                embeddings=np.zeros((0, 0), np.float32),
                lost_seconds=float(stored["lost_seconds"]) if has_note else 0.0,
                note=str(stored["note"]) if has_note else "",
            )  # fmt: skip

    def remove_if_empty(self) -> None:
        """Removes the folder if it holds no scores."""
        if not any(name.endswith(_SUFFIX) for name in os.listdir(self._folder)):
            files.remove(self._folder)
