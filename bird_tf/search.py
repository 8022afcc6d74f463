"""Finds the sounds of many recordings that are most like an example, as a table and as a page.

It looks through the embeddings that bird_tf.predict --embeddings wrote, all of them: the search is exact.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging

from bird_tf import command_line, config, csv_files, files, free_text, locks, next_steps, python_calls, skips
from bird_tf.audio import activity, decode
from bird_tf.backbones import exported
from bird_tf.evaluation import excerpts
from bird_tf.inference import embedding_store, provenance, result_files, saved_model, score_store
from bird_tf.inference.writers import rows
from bird_tf.labels import clock, taxonomy
from bird_tf.labels.layouts import reader
from bird_tf.reviewing import clips, page, prediction_folder

_ANY_RATE_HZ = 48_000  # silence is silence at any rate
_COLUMNS = ("recording_id", "file", "start_seconds", "end_seconds", "similarity", "clock_time", "site")
_TABLE = "neighbours.csv"
_FILES = (_TABLE, page.PAGE, skips.TABLE, files.SUMMARY)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Flags of a search."""

    query: str = config.option(
        "", "a recording with the sound that is looked for: any file, or one of the deployment", required=True
    )
    at: float | None = config.option(
        None, "where the sound begins in it, seconds; empty: the chunk with the most activity"
    )
    embeddings: str = config.option("", "folder that bird_tf.predict --embeddings wrote", required=True)
    model: str = config.option("", "the model that wrote it, if that has moved")
    audio: str = config.option("", "folder of the recordings; empty: the one that the embeddings name")
    output: str = config.option("", "folder for the results; empty: search/ in --embeddings")
    num_results: int = config.option(100, "number of chunks to find")
    species: str = config.option(
        "", "class id or name of the sound, for the verdicts on the page; empty: the name of the query's file"
    )
    clock: clock.ClockConfig
    excerpt: page.ExcerptConfig

    def __post_init__(self) -> None:
        if self.num_results < 1:
            raise config.InputError(f"--num_results={self.num_results}: must be at least 1")
        if self.at is not None and not self.at >= 0:
            raise config.InputError(f"--at={self.at}: must be 0 or more")

    @property
    def output_folder(self) -> str:
        """The folder for the results."""
        return self.output or os.path.join(self.embeddings, "search")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Query:
    """What is looked for.

    Attributes:
        path: its recording.
        file: that recording's path as seen from the folder of the deployment.
        vector: [features] float32.
        start, end: of its chunk, seconds.
    """

    path: str
    file: str
    vector: np.ndarray
    start: float
    end: float


def search(settings: SearchConfig) -> dict[str, Any]:
    """Writes neighbours.csv, the page index.html with clips/, skipped.csv and summary.json.

    Returns:
        The content of summary.json.

    Raises:
        InputError: no such embeddings, query or recordings; or another command is at work in the output.
    """
    with locks.held(settings.output_folder, work="search", flag="--output"):
        return _search(settings)


def _search(settings: SearchConfig) -> dict[str, Any]:
    store = embedding_store.Embeddings(settings.embeddings)
    if not settings.audio:
        _refuse_other_folder(store)
    root = settings.audio or store.description.audio
    if not os.path.isdir(root):
        raise config.InputError(f"--audio={root}: no such folder; name the folder of the recordings")
    left_out = store.leave_out_others(root)
    _warn_of_missing(store, root, left_out)
    query = _query(settings, store, root)
    _refuse_silence(query, store.description.channel)
    logging.info("looking for %s from %.2f to %.2f s", query.path, query.start, query.end)
    itself = [(query.file, query.start, query.end)] if query.file else []
    found = store.nearest(query.vector[None], settings.num_results, itself)
    output = settings.output_folder
    species = _species(settings, store, query)
    neighbours = _clips(settings, found, root, *species[0])
    about = page.Page(
        title=f"Sounds like {os.path.basename(query.path)}",
        score="similarity",
        species=species,
        reference=(query.path, query.start, query.end),
        channel=store.description.channel,
    )
    choice = clips.Choice(clips=neighbours, edges=(0.0,), sizes={})
    results = result_files.ResultFiles(output, "search")
    with results.writing(_FILES):
        csv_files.write(results.path(_TABLE), _COLUMNS, map(_row, neighbours))
        skipped = left_out + page.write(results, root, choice, about, settings.excerpt)
        skips.write(output, skipped)
        summary = {
            "query": query.path, "start_seconds": query.start, "end_seconds": query.end, "num_searched": len(store),
            "num_found": len(found), "num_skipped": len(skipped), "best": found[0].similarity if found else None,
            "page": results.path(page.PAGE),
            **provenance.of_command(settings), "fingerprints": [store.description.fingerprint],
        }  # fmt: skip
        files.write_json(results.path(files.SUMMARY), summary)
    return summary


def _refuse_other_folder(store: embedding_store.Embeddings) -> None:
    """Refuses a store if the prediction that it lies in went on with another folder, without --embeddings."""
    predicted, embedded = prediction_folder.summary(store.prediction).audio, store.description.audio
    if predicted and predicted != embedded:
        raise config.InputError(
            f"the prediction in {store.prediction} is of {predicted}, and its embeddings are of {embedded}; repeat the "
            f"prediction with --embeddings, or search there with --audio={embedded}"
        )


def _warn_of_missing(store: embedding_store.Embeddings, root: str, left_out: Sequence[skips.Skip]) -> None:
    """Warns of recordings that were predicted without --embeddings, besides those that are left out as changed."""
    files_below = [files.name_below(root, path) for path in files.find(root, decode.SUFFIXES)]
    others = [file for file in files_below if file not in store and file not in dict(left_out)]
    if missing := score_store.scored(store.prediction, others):
        logging.warning(
            "%d recordings of the prediction have no embeddings and are not searched%s; repeat the prediction with "
            "--embeddings", len(missing), free_text.examples(missing),
        )  # fmt: skip


def _query(settings: SearchConfig, store: embedding_store.Embeddings, root: str) -> _Query:
    """Finds the vector of the query in the store, or asks the model for it."""
    below = files.below(root, settings.query)
    path = settings.query if os.path.exists(settings.query) else below
    if not os.path.isfile(path):
        raise config.InputError(f"--query={settings.query}: no such file, neither as it is nor in {root}")
    file, channel = files.name_below(root, path), store.description.channel
    if settings.at is not None and not len(excerpts.samples(path, _ANY_RATE_HZ, settings.at, settings.at + 1, channel)):
        raise config.InputError(f"--at={settings.at}: {path} ends before")
    if settings.at is not None and (known := store.at(file, settings.at)):
        vector, start, end = known
        return _Query(path=path, file=file, vector=vector, start=start, end=end)
    model = _model(settings, store)
    start = _most_active(path, model, channel) if settings.at is None else settings.at
    end = start + model.front_end.chunk_seconds
    vector = model.embed(_span(path, model, start, channel)[None])[0]
    return _Query(path=path, file=file, vector=vector, start=start, end=end)


def _refuse_silence(query: _Query, channel: str) -> None:
    samples = excerpts.samples(query.path, _ANY_RATE_HZ, query.start, query.end, channel)
    if not len(samples) or not activity.has_sound(samples[None], _ANY_RATE_HZ)[0]:
        raise config.InputError(
            f"--query={query.path}: no sound from {query.start:.2f} to {query.end:.2f} s; name another time with --at"
        )


def _model(settings: SearchConfig, store: embedding_store.Embeddings) -> saved_model.Model:
    """The model that wrote the store."""
    path = settings.model or store.description.model
    if not os.path.isdir(path):
        raise config.InputError(f"{path}, which wrote {store.folder}, is gone; name it with --model")
    model = saved_model.Model(path)
    if model.fingerprint != store.description.fingerprint:
        raise config.InputError(
            f"{path} is not the model that wrote {store.folder}; name that one with --model, or predict anew"
        )
    return model


def _span(path: str, model: saved_model.Model, at: float, channel: str) -> np.ndarray:
    """[span_samples] float32 samples of the chunk that begins at `at` seconds, as the model hears it."""
    heard = model.hearing
    rate, before = heard.sample_rate_hz, heard.samples_before
    begin = round(at * rate) - before
    missing = max(0, -begin)  # before the recording begins
    end = begin + heard.span_samples
    samples = excerpts.samples(path, rate, max(0, begin) / rate, end / rate, channel)[: end - max(0, begin)]
    return np.pad(samples, (missing, heard.span_samples - missing - len(samples)))


def _most_active(path: str, model: saved_model.Model, channel: str) -> float:
    """Where the chunk with the greatest activity begins, seconds."""
    best: tuple[float, int] | None = None
    number = 0
    chunking = decode.ChunkingConfig(channel=channel)
    for batch in decode.ChunkStream(path, model.front_end, chunking, saved_model.BATCH_SIZE):
        for share in activity.active_share(model.spectrograms(batch)):
            if best is None or share > best[0]:
                best = float(share), number
            number += 1
    if best is None:
        raise config.InputError(f"--query={path}: holds no chunk")
    return best[1] * model.front_end.chunk_seconds


def _species(settings: SearchConfig, store: embedding_store.Embeddings, query: _Query) -> list[tuple[str, str]]:
    """(class id, name) of the sound that is looked for, and then of all classes of the model where it still is."""
    path = os.path.join(settings.model or store.description.model, exported.CLASSES)
    known = taxonomy.load(path) if files.exists(path) else taxonomy.Taxonomy((), ())
    wanted = settings.species or os.path.splitext(os.path.basename(settings.query))[0]
    indices = known.resolve([wanted])
    first = (known.class_ids[indices[0]], known.names[indices[0]]) if indices else (wanted, wanted)
    if query.file in store and not (indices or settings.species):
        logging.warning(
            "verdicts on the page call the sound %r, as its recording: name its species with --species before you "
            "judge, or the recording's name becomes a class", wanted,
        )  # fmt: skip
    return list(dict.fromkeys([first, *zip(known.class_ids, known.names, strict=True)]))


def _clips(
    settings: SearchConfig, found: list[embedding_store.Neighbour], root: str, class_id: str, name: str
) -> list[clips.Clip]:
    """The chunks that were found, with what is known of their recordings."""
    paths = {n.file: files.below(root, n.file) for n in found}
    present = [path for path in paths.values() if os.path.isfile(path)]
    described = reader.describe(present, root, "", settings.clock)
    neighbours = []
    for neighbour in found:
        recording = described.get(paths[neighbour.file])
        neighbours.append(
            clips.Clip(
                file=neighbour.file,
                start_seconds=neighbour.start_seconds,
                end_seconds=neighbour.end_seconds,
                class_id=class_id,
                name=name,
                score=neighbour.similarity,
                clock_time=rows.clock_time(recording, neighbour.start_seconds) if recording else "",
                site=recording.site if recording else "",
            )  # fmt: skip
        )
    return neighbours


def _row(clip: clips.Clip) -> list[str]:
    file, start, end, _ = clip.identity
    return [file, file, start, end, f"{clip.score:.6f}", clip.clock_time, clip.site]


def main(settings: SearchConfig) -> None:
    """Searches, and logs one line of summary."""
    summary = search(settings)
    logging.info(
        "%s: the %d most similar of %d chunks, %d recordings or clips skipped; open it in a browser",
        summary["page"], summary["num_found"], summary["num_searched"], summary["num_skipped"],
    )  # fmt: skip
    next_steps.log(f"open {summary['page']} in a browser, judge, and save verdicts.csv")


def run() -> None:
    """Entry point of `bird-tf-search`."""
    command_line.run(main, SearchConfig)


python_calls.make_callable(__name__, search, SearchConfig)


if __name__ == "__main__":
    run()
