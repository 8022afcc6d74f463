"""Every reader of a file of ours or of a table that a flag names: damage ends in a refusal that names the file."""

import dataclasses
import json
import pathlib
import shutil
import types

import numpy as np
import pytest

from bird_tf import files, resume
from bird_tf.audio import decode, frontend
from bird_tf.conversion import state
from bird_tf.evaluation import calls
from bird_tf.inference import (
    embedding_store,
    model_files,
    occurrence,
    occurrence_table,
    result_files,
    score_store,
)  # fmt: skip
from bird_tf.labels import class_names, given_table, metadata, taxonomy
from bird_tf.labels.layouts import reader
from bird_tf.models import architectures
from bird_tf.records import learnt, manifests, recordings_table
from bird_tf.reviewing import prediction_folder
from bird_tf.scores import decisions, prior, threshold_table
from bird_tf.submissions import kaggle_files, media_ids, run_files
from bird_tf.training import checkpoints, run_directory, weights
from tests import damage
from tests.conftest import SMALL
from tests.inference.test_embedding_store import _scores, _writer

CLASSES = taxonomy.Taxonomy(("aa", "bb"), ("Avis alba", "Buteo b"))


def _manifest(folder, manifest):
    copy = shutil.copytree(manifest.directory, folder / "copy")
    return copy / manifests.MANIFEST, lambda: manifests.load(str(copy))


def _class_list(folder, manifest):
    return shutil.copy(f"{manifest.directory}/{manifests.CLASSES}", folder), lambda: taxonomy.load(
        str(folder / manifests.CLASSES)
    )


def _recordings(folder, manifest):
    path = shutil.copy(f"{manifest.directory}/{manifests.RECORDINGS}", folder)
    copy = dataclasses.replace(manifest, directory=str(folder))

    def read():
        recordings_table.training(copy, with_noise=True)
        return recordings_table.read(str(folder), with_unused=True)

    return path, read


def _learnt(folder, manifest):
    learnt.save(str(folder), learnt.of_records(manifest))
    return folder / learnt.FILE, lambda: learnt.load(str(folder), {})


def _run(folder, run_dir):
    copy = shutil.copytree(run_dir, folder / "copy")
    return copy / model_files.RUN_DESCRIPTION, lambda: run_directory.load_description(str(copy))


def _front_end(folder):
    path = folder / "frontend.json"
    path.write_text(json.dumps(frontend.describe(frontend.FrontendConfig(**SMALL))))
    return path, lambda: frontend.load(str(path))


def _training(folder, model_path):
    (folder / "assets").mkdir()
    path = shutil.copy(f"{model_path}/{model_files.DESCRIPTION}", folder / "assets")
    return path, lambda: model_files.read_description(str(folder))


def _prior(folder, generator):
    found = [
        metadata.Recording(
            recording_id=str(i), path="", label="ab"[i % 2] * 2, latitude=float(i % 2), longitude=i / 7,
            day_of_year=i + 1.0,
        )
        for i in range(20)
    ]  # fmt: skip
    fitted = dataclasses.replace(prior.fit(found, CLASSES), exponents={"place": 1.0}, widths={"place": 10.0})
    path = folder / "prior.json"
    prior.save(str(path), fitted)

    def read():
        read = prior.load(str(path))
        assert len(read.log_ratios(found[0])) == len(read.class_ids) == len(read.frequencies)

    return path, read


def _decisions(folder):
    path = folder / "decisions.json"
    decisions.save(str(path), decisions.neutral(CLASSES, 2, "mean"), CLASSES)
    return path, lambda: decisions.load(str(path), CLASSES, 2)


def _checkpoint(folder):
    state = {"network/a/kernel": np.ones((3, 2), np.float32), "iteration": np.array(7)}
    progress = checkpoints.Progress(
        steps=3, best_metrics={"mlrap": 0.5, "map": float("nan")}, best_weights={"a/kernel": np.ones(2)}
    )
    checkpoints.save(str(folder), progress, state)
    return folder / checkpoints.CHECKPOINT, lambda: checkpoints.load(str(folder))


def _finished(folder):
    path = folder / files.SUMMARY
    path.write_text(json.dumps({"mlrap": 0.5, "epochs": 3}))
    return path, lambda: run_directory.finished(str(folder))


def _plan(folder):
    plan = {"flags": {"epochs": 3}, "versions": {"numpy": "1"}, "inputs": {"a.wav": {"size": 1}, "b.wav": {"size": 2}}}
    claim = resume.Claim(directory=str(folder), plan=plan, work="test", flag="--output")
    claim.begin()
    return folder / resume.PLAN, claim.goes_on


def _note(folder):
    (folder / ".unfinished").mkdir()
    path = folder / ".unfinished" / "train.json"
    shards = [{"name": "train", "count": 0, "bytes": 9, "checksum": "x"}]
    entry = {"recording_id": "1", "seconds": 1.5, "chunks": {"aa": 2}, "candidates": {}, "noise": {}, "reason": ""}
    path.write_text(json.dumps({"shards": shards, "recordings": [entry, {**entry, "recording_id": "2"}]}))
    recordings = [metadata.unknown(f"{i}.wav") for i in (1, 2)]
    task = types.SimpleNamespace(directory=str(folder), name="train", recordings=recordings)
    return path, lambda: state.finished(task)


def _stored_scores(folder):
    ensemble = types.SimpleNamespace(models=[], decisions=types.SimpleNamespace(weights=()), classes=("aa",))
    store = score_store.ScoreStore(str(folder), ensemble, decode.ChunkingConfig(), decode.ChunkingConfig())
    (folder / "x.wav").touch()
    store.open()
    store.save("1", _scores(folder / "x.wav", [[1.0], [2.0]]))
    [path] = (folder / score_store.FOLDER).glob("*.npz")

    def read():
        store.has("1", str(folder / "x.wav"))
        return store.load("1", "x.wav")

    return path, read


def _embeddings(folder, name):
    (folder / "x.wav").touch()
    writer = _writer(folder)
    writer.open()
    writer.append("x.wav", _scores(folder / "x.wav", [[1.0, 2.0], [3.0, 4.0]]))
    writer.append("y.wav", _scores(folder / "x.wav", [[1.0, 2.0]]))

    def read():
        found = embedding_store.Embeddings(str(folder))
        found.nearest(np.ones((1, found.description.num_features), np.float32), 2)
        return found.at("x.wav", 1.0)

    return folder / embedding_store.FOLDER / name, read


def _results(folder):
    results = result_files.ResultFiles(str(folder))
    with results.writing():
        for name in ("a.csv", "b/ü.txt"):
            path = pathlib.Path(results.path(name))
            path.parent.mkdir(exist_ok=True)
            path.write_text("x")
    return folder / result_files.LIST, lambda: result_files.ResultFiles(str(folder))


def _prediction(folder):
    path = folder / "summary.json"
    path.write_text(json.dumps({"audio": "birds", "models": ["runs/x"], "num": 1}))
    return path, lambda: prediction_folder.summary(str(folder))


def _table(folder, text, read):
    path = folder / "t.csv"
    path.write_text(text, encoding="utf-8")
    return path, lambda: read(str(path))


def _weights(folder):
    settings = architectures.ModelConfig(architecture="baseline", filters=(4, 8))
    network = architectures.build(settings, {"spectrogram": (16, 16)}, 3)
    path = folder / run_directory.WEIGHTS
    weights.save(str(path), network)
    return path, lambda: weights.load(str(path), network)


def _lines(read):
    return lambda path: list(read(pathlib.Path(path).read_text(encoding="utf-8")))


READERS = {
    "manifest": lambda folder, get: _manifest(folder, get("manifest")),
    "classes": lambda folder, get: _class_list(folder, get("manifest")),
    "recordings": lambda folder, get: _recordings(folder, get("manifest")),
    "learnt": lambda folder, get: _learnt(folder, get("manifest")),
    "run": lambda folder, get: _run(folder, get("run_dir")),
    "front-end": lambda folder, get: _front_end(folder),
    "training": lambda folder, get: _training(folder, get("model_path")),
    "prior": lambda folder, get: _prior(folder, get("generator")),
    "decisions": lambda folder, get: _decisions(folder),
    "checkpoint": lambda folder, get: _checkpoint(folder),
    "finished": lambda folder, get: _finished(folder),
    "plan": lambda folder, get: _plan(folder),
    "note": lambda folder, get: _note(folder),
    "scores": lambda folder, get: _stored_scores(folder),
    "embeddings": lambda folder, get: _embeddings(folder, "store.json"),
    "embedded": lambda folder, get: _embeddings(folder, "recordings.jsonl"),
    "results": lambda folder, get: _results(folder),
    "prediction": lambda folder, get: _prediction(folder),
    "detections": lambda folder, get: _table(
        folder, "file,start_seconds,end_seconds,class_id,probability\na.wav,0,1,aa,0.5\nb.wav,1,2,bb,1e-3\n",
        prediction_folder.detections,
    ),
    "thresholds": lambda folder, get: _table(
        folder, "class_id,threshold\naa,0.5\n", lambda path: threshold_table.choose(path, np.zeros(2), CLASSES)
    ),
    "occurrence": lambda folder, get: _table(
        folder,
        "latitude,longitude,week,class_id,frequency\n1,2,3,aa,0.5\n1,2,,Buteo b,0.1\n",
        lambda path: occurrence_table.Table(path, CLASSES),
    ),
    "calls": lambda folder, get: _table(
        folder,
        "media_id,class_id,start_seconds,end_seconds\n1,aa,0.5,2\n2,bb,1,1\n",
        lambda path: calls.read_table(path, CLASSES, reader.SourceConfig()),
    ),
    "class ids": lambda folder, get: _table(
        folder, "class_id,run_id\naa,x\n", lambda path: media_ids.map_class_ids(path, CLASSES)
    ),
    "species": lambda folder, get: _table(
        folder, "aa\n# c\nButeo b\n", lambda path: occurrence.read_species(path, CLASSES)
    ),
    "labels": lambda folder, get: _table(
        folder,
        "Avis alba_White Bird\nButeo b\n",
        given_table.lines,
    ),
    "synonyms": lambda folder, get: _table(folder, "old,new\na,b\nc,d\n", class_names.read_synonyms),
    "sample": lambda folder, get: _table(folder, "row_id,aa,bb\nx_5,0,0\n", kaggle_files.read_sample),
    "weights": lambda folder, get: _weights(folder),
}  # fmt: skip
# any text is a list of labels; the vectors of scores have no names
_REFUSE_LITTLE = ("labels", "species", "class ids")


@damage.counts
@pytest.mark.parametrize("reader", READERS)
def test_no_damage_ends_in_anything_but_a_refusal(tmp_path, request, reader, count):
    path, read = READERS[reader](tmp_path, request.getfixturevalue)
    if reader == "weights":
        count //= 10
    damage.check_reader(
        pathlib.Path(path), read, count, name=tmp_path.name, least=0 if reader in _REFUSE_LITTLE else 0.2
    )


@damage.counts
@pytest.mark.parametrize("task", [run_files.MONOPHONE, run_files.SOUNDSCAPE, kaggle_files.TASK])
def test_no_damage_of_a_run_ends_the_check(task, count):
    good = {
        run_files.MONOPHONE: "1;aaaaaa;0.75;1\n1;bbbbbb;0.25;2\n2;aaaaaa;1.0;1\n",
        run_files.SOUNDSCAPE: "1;00:00:00-00:00:05;aaaaaa;0.5\n1;00:00:05-00:00:10;bbbbbb;0.25\n",
        kaggle_files.TASK: "row_id,aa,bb\nx_5,0.5,1\nx_10,0,1e-3\n",
    }[task]
    generator = damage.random.Random(f"{task} {count}")

    def errors(text):
        if task == kaggle_files.TASK:
            return list(kaggle_files.errors(text, None))
        return list(run_files.errors(text.removesuffix("\n").split("\n"), task))

    assert errors(good) == []
    for _ in range(count):
        for error in errors(damage.damaged(good.encode(), generator).decode(errors="replace")):
            assert error.startswith(("line ", "run: ")) and len(error) < 500
