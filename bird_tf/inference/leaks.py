"""Judged recordings that a model has learnt from. On these, metrics say what it remembers."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from absl import logging

from bird_tf import config, files
from bird_tf.audio import channels
from bird_tf.inference import ensembles, model_files
from bird_tf.labels import metadata
from bird_tf.records import learnt


def learnt_by(path: str) -> learnt.Learnt | None:
    """What an exported model has learnt from; None if that is not known (models of earlier versions)."""
    description = os.path.join(path, model_files.DESCRIPTION)
    if not files.exists(description):
        return None
    return learnt.load(os.path.join(path, "assets"), model_files.read_description(path).training)


def validated(path: str) -> str:
    """Where the model from before its refit is, if an exported model was refitted."""
    run_dir, name = os.path.split(path.rstrip("/"))
    return os.path.join(run_dir, model_files.VALIDATED, name)


def _knows(path: str, judged: Sequence[metadata.Recording], sample_rate_hz: int) -> bool:
    """Whether a model is known to have learnt from some of these recordings."""
    known = learnt_by(path)
    return known is not None and bool(known.known(judged, sample_rate_hz))


def before_refit(path: str, judged: Sequence[metadata.Recording], sample_rate_hz: int) -> str:
    """The model to judge in place of `path`: if that was refitted on judged recordings, the model before the refit.

    Args:
        path: of an exported model.
        judged: the recordings, with their digests.
        sample_rate_hz: of the digests.

    Raises:
        InputError: the run no longer has the model before the refit.
    """
    if not _knows(path, judged, sample_rate_hz):
        return path
    before = validated(path)
    if files.exists(before):
        logging.info("%s has learnt from these recordings; %s, from before the refit, is judged", path, before)
        return before
    if model_files.read_description(path).training.get("refit"):
        raise config.InputError(
            f"{path} has learnt from these recordings in its refit, and {before}, from before it, does not exist; "
            "evaluate with other recordings"
        )
    return path


def teacher(path: str, judged: Sequence[metadata.Recording], sample_rate_hz: int) -> str:
    """The model that teaches in place of `path` where its student will be judged: as `before_refit`, if it is there."""
    before = validated(path)
    if not _knows(path, judged, sample_rate_hz) or not files.exists(before):
        return path
    logging.info("%s knows validation recordings; %s, from before the refit, teaches", path, before)
    return before


@dataclasses.dataclass(frozen=True)
class Found:
    """What is known of judged recordings.

    Attributes:
        notes: a sentence for each model that has learnt from some of them, or may have.
        recordings: ids of those that any of the models is known to have learnt from.
    """

    notes: list[str]
    recordings: set[str]

    def log(self) -> None:
        """Warns of them."""
        for note in self.notes:
            logging.warning(note)


class Leaks:
    """What several models have learnt from, and which of the judged recordings are among them."""

    def __init__(self, paths: Sequence[str], sample_rate_hz: int, channel: str = channels.MIX) -> None:
        """Reads what the exported models have learnt from; digests are compared at the sample rate, of the channel."""
        self._learnt, self._rate = {path: learnt_by(path) for path in paths}, sample_rate_hz
        self._channel = channel

    def among(self, judged: Sequence[metadata.Recording], called: str = "judged recordings") -> Found:
        """Which of the judged recordings the models have learnt from.

        Args:
            judged: with their digests, as records tell them.
            called: what they are, for the notes.
        """
        notes, recordings = [], set[str]()
        for path, known in self._learnt.items():
            if known is None:
                notes.append(f"It is not known which recordings {path} has learnt from: an earlier version made it.")
            elif found := known.known(judged, self._rate):
                recordings |= set(found)
                notes.append(
                    f"{path} has learnt from {len(found)} of the {len(judged)} {called}: on these, the metrics say "
                    f"what it remembers{self._way_out(path, judged)}."
                )
        return Found(notes, recordings)

    def _way_out(self, path: str, judged: Sequence[metadata.Recording]) -> str:
        """The model before the refit, if that has learnt from none of the judged recordings."""
        known = learnt_by(validated(path))
        return "" if known is None or known.known(judged, self._rate) else f"; judge {validated(path)} instead"

    def among_heard(self, judged: Sequence[metadata.Recording], called: str = "judged recordings") -> Found:
        """As `among`, of recordings whose digests are not known: they are read from the audio."""
        every = learnt.Learnt()
        for known in self._learnt.values():
            every |= known or learnt.Learnt()
        return self.among(learnt.with_digests(judged, every, self._rate, self._channel), called)


def of(ensemble: ensembles.Ensemble) -> Leaks:
    """What the models of an ensemble have learnt from; sound is compared as the first of them hears it."""
    heard_by = ensemble.models[0].hearing
    return Leaks(ensemble.paths, heard_by.sample_rate_hz, heard_by.channel)
