"""A pretrained model of waveforms: its embeddings, and its answers for our classes."""

from __future__ import annotations

import atexit
import collections
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from concurrent import futures
from typing import Any

import numpy as np
from absl import logging

from bird_tf import config, executor, free_text
from bird_tf.backbones import onnx, presets, saved_model, signatures, sources, tflite
from bird_tf.labels import class_names, taxonomy

# BirdNET needs about five, the start of the process included
_LONGEST_TRIAL_SECONDS = 120
_MOST_NAMED = 10  # classes in a warning


class Backbone:
    """A loaded backbone. Several threads may use it at once.

    Attributes:
        source: its files.
        sample_rate_hz: sample rate of its windows, Hz.
        window_samples: length of a window.
        embedding_size: numbers in its embedding; 0 if none was found.
        columns: [classes] int, which of its scores is that of each of our classes; -1: none.
        known: [classes] bool, which of our classes it knows.
        reading: as in `signatures.Loaded`.
        window_shape: of one window, as the model takes it: (samples,) or (1, samples).
    """

    def __init__(self, source: sources.Source, classes: taxonomy.Taxonomy, num_threads: int = 1) -> None:
        """Loads the model. With several threads each computes whole windows, so the answers do not change.

        Raises:
            InputError: the model cannot be loaded; its inputs or outputs do not fit; or it knows none of our classes,
                and has no embedding.
        """
        names = source.label_names()
        load = saved_model.load
        for suffix, loader in ((".tflite", tflite.load), (".onnx", onnx.load)):
            load = loader if source.model.endswith(suffix) else load
        self._num_labels = len(names)
        self._loaded = load(source, len(names))
        self.source, self.sample_rate_hz = source, source.sample_rate_hz
        self.window_samples, self.embedding_size = self._loaded.shape[-1], self._loaded.embedding_size
        self._threads = futures.ThreadPoolExecutor(num_threads) if num_threads > 1 else None
        self.window_shape, self.reading = self._loaded.shape, self._loaded.reading
        self.columns = matching_outputs(names, classes, source.classes)
        self.known = self.columns >= 0
        if not self.known.any() and not self.embedding_size:
            raise config.InputError(
                f"--backbone={source.name} knows none of the {len(classes)} classes, and has no embedding; compare the "
                f"names in {source.labels} with theirs, as {classes.names[0]}"
            )

    def outputs(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What it says itself: [windows, window_samples] → scores [windows, labels] and embeddings, both float32.

        Raises:
            InputError: it has several answers for a window.
        """
        shaped = windows.reshape(len(windows), *self.window_shape)
        found = list((self._threads.map if self._threads else map)(self._loaded.predict, shaped))
        need = self._num_labels, self.embedding_size
        if wrong := next((sizes for sizes in ((len(a), len(b)) for a, b in found) if sizes != need), None):
            raise config.InputError(
                f"--backbone={self.source.name} gives {wrong[0]} scores and {wrong[1]} numbers of an embedding for a "
                f"window; need {need[0]} and {need[1]}: one answer for a window, not one for each of its frames"
            )
        scores, embeddings = (np.stack(parts) for parts in zip(*found, strict=True))
        return scores, embeddings

    def answers(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits of our classes, and embeddings.

        Args:
            windows: [windows, window_samples] float32 in [-1, 1].

        Returns:
            Logits [windows, classes] float32, NaN for classes that the backbone does not know; embeddings [windows,
            embedding_size] float32.

        Raises:
            InputError: an output is no probability, or no finite number for a window with sound.
        """
        scores, embeddings = self.outputs(windows)
        known = scores[:, self.columns[self.known]]
        if not self.source.gives_logits:
            if np.any((known < 0) | (known > 1)):
                raise config.InputError(
                    f"--backbone={self.source.name}: its outputs from {known.min():g} to {known.max():g} are no "
                    "probabilities; if they are logits, add --backbone_logits"
                )
            known = signatures.logits(known)
        silent = windows.max(axis=1) == windows.min(axis=1)
        known = signatures.of_silence(silent, known, signatures.LEAST_LOGIT)
        embeddings = signatures.of_silence(silent, embeddings, 0.0)
        if not (np.isfinite(known).all() and np.isfinite(embeddings).all()):
            raise config.InputError(f"--backbone={self.source.name}: its outputs are no finite numbers")
        answers = np.full((len(windows), len(self.known)), np.nan, np.float32)
        answers[:, self.known] = known
        return answers, embeddings


def load(source: sources.Source, classes: taxonomy.Taxonomy, num_threads: int = 1) -> Backbone:
    """The backbone of the source's fingerprint, loaded once in a process.

    Raises:
        InputError: as `Backbone`; or its files are others now.
    """
    return _loaded(source, source.fingerprint, classes, num_threads)


@functools.lru_cache(maxsize=2)
def _loaded(source: sources.Source, fingerprint: str, classes: taxonomy.Taxonomy, num_threads: int) -> Backbone:
    atexit.register(_loaded.cache_clear)  # a graph that still exists when the interpreter ends prints a traceback
    loaded = Backbone(source, classes, num_threads)
    if dataclasses.replace(source).fingerprint != fingerprint:  # as the files are now
        raise config.InputError(
            f"{source.model} or {source.labels} has changed since the work began, or is another one on this machine; "
            "repeat the command"
        )
    return loaded


def describe(source: sources.Source, classes: taxonomy.Taxonomy) -> Mapping[str, Any]:
    """The description of a backbone for manifest and models: `sources.describe`, its sizes, the classes that it knows.

    Licence and origin are logged, and what is missing. A file of the user is tried in another process first: damage
    in it can crash the library that loads it.

    Raises:
        InputError: as `Backbone`.
    """
    if not (source.is_saved_model or source.name in presets.PRESETS) and not executor.survives(
        _ask, source, classes, seconds=_LONGEST_TRIAL_SECONDS
    ):
        raise config.InputError(
            f"--backbone={source.name}: {source.model} crashes or blocks the library that loads it; was it cut or "
            "damaged? Copy it again"
        )
    loaded = load(source, classes)
    _warn_of_probabilities(source, loaded)
    names = source.label_names()
    if missing := [name for name, known in zip(classes.names, loaded.known, strict=True) if not known]:
        logging.warning(
            "the backbone does not know %d of %d classes%s: they are learnt without its answers. If it has other names "
            "for them, such as %r in %s, --synonyms gives them these",
            len(missing), len(classes), free_text.examples(missing, _MOST_NAMED), names[0][0], source.labels,
        )  # fmt: skip
    if shared := _of_one_output(loaded.columns, classes):
        logging.warning(
            "the backbone has one output for several classes%s: if they are one species, give them one name with "
            "--synonyms", free_text.examples(shared, _MOST_NAMED),
        )  # fmt: skip
    if several := classes_of_several_outputs(names, classes):
        logging.warning(
            "the backbone has several outputs for %d classes, as for call and song; the first of each is used, which "
            "may miss sounds: %s", len(several), ", ".join(several[:10]),
        )  # fmt: skip
    if not loaded.embedding_size:
        logging.warning("no embedding is found in the backbone; name it with --backbone_embedding if it has one")
    logging.info(
        "backbone: %s, licence: %s%s", source.title, source.licence or "unknown; ask whoever made the model",
        f" ({source.origin})" if source.origin else "",
    )  # fmt: skip
    described = sources.describe(source)
    sources.log_credits(source.title, described.get("backbones", ()))
    return {
        **described,
        "window_seconds": loaded.window_samples / loaded.sample_rate_hz,
        "embedding_size": loaded.embedding_size,
        "classes": [class_id for class_id, known in zip(classes.class_ids, loaded.known, strict=True) if known],
    }


def _warn_of_probabilities(source: sources.Source, loaded: Backbone) -> None:
    """Asks a backbone about noise. What are said to be logits should not look like probabilities."""
    loudness = np.array([[0.01], [0.3]], np.float32)
    noise = np.random.default_rng(0).uniform(-1, 1, loaded.window_samples).astype(np.float32)
    scores, _ = loaded.outputs(loudness * noise)
    if source.gives_logits and np.all((scores >= 0) & (scores <= 1)):
        logging.warning(
            "--backbone_logits: what %s says of noise is between 0 and 1 for all of its classes, as probabilities are; "
            "if it gives these, leave the flag out, or species are heard everywhere", source.name,
        )  # fmt: skip


def _ask(source: sources.Source, classes: taxonomy.Taxonomy) -> None:
    """Loads a backbone, and asks it about silence."""
    loaded = Backbone(source, classes)
    loaded.outputs(np.zeros((1, loaded.window_samples), np.float32))


def matching_outputs(
    names: Sequence[Sequence[str]], classes: taxonomy.Taxonomy, asked: Sequence[str] | None = None
) -> np.ndarray:
    """Index of the output for each of our classes, [classes]; -1: none. It does not depend on the other classes.

    It is found by Latin name or else by class id; or else in any spelling and by common names, if just one output has
    such a name.

    Args:
        names: as of `sources.Source.label_names`.
        classes: our classes.
        asked: ids of the classes that may have an output, as in `sources.Source`.
    """
    columns = {name.casefold(): i for i, synonyms in reversed(list(enumerate(names))) for name in synonyms}
    owners: dict[str, set[int]] = collections.defaultdict(set)
    for i, synonyms in enumerate(names):
        for form in _forms(synonyms):
            owners[form].add(i)

    def find(name: str, class_id: str) -> int:
        exact = columns.get(name.casefold(), columns.get(class_id.casefold(), -1))
        others = next((owners[form] for form in _forms((name, class_id)) if form in owners), set())
        return exact if exact >= 0 or len(others) != 1 else min(others)

    ours = zip(classes.names, classes.class_ids, strict=True)
    return np.array([find(name, i) if asked is None or i in asked else -1 for name, i in ours])


def _forms(names: Sequence[str]) -> list[str]:
    """Keys of names, and of the Latin and the common name in a `Latin name_Common Name`."""
    parts = [part for name in names for part in class_names.latin_and_common(name, "_")]
    return [class_names.key(name) for name in (*names, *parts)]


def _of_one_output(columns: np.ndarray, classes: taxonomy.Taxonomy) -> list[str]:
    """The classes that share an output, as "Great Tit and Parus major"; columns are as of `matching_outputs`."""
    found = [
        [classes.names[i] for i in np.flatnonzero(columns == column)] for column in np.unique(columns[columns >= 0])
    ]
    return [" and ".join(names) for names in found if len(names) > 1]


def classes_of_several_outputs(names: Sequence[Sequence[str]], classes: taxonomy.Taxonomy) -> list[str]:
    """Our classes that several outputs match as in `matching_outputs`, by Latin name."""
    counts = collections.Counter(name for synonyms in names for name in {each.casefold() for each in synonyms})
    ours = zip(classes.names, classes.class_ids, strict=True)
    return [name for name, class_id in ours if (counts[name.casefold()] or counts[class_id.casefold()]) > 1]
