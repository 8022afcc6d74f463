"""Predictions, corrected by a person, are labels for the converter: the same classes, recordings and times."""

import csv
import io
import os
import shutil

import numpy as np
import pytest
import soundfile

from bird_tf.audio import frontend
from bird_tf.conversion import class_selection
from bird_tf.inference import audio_files, ensembles
from bird_tf.inference.writers import predictions, tables
from bird_tf.labels import metadata, taxonomy
from bird_tf.labels.layouts import reader
from bird_tf.scores import decisions
from tests.conftest import settings

FILES = ("a/20240501_043000.wav", "b ö/20240501_043000.wav", "b ö/c d/rec 1.2.wav", "top.wav")
CLASSES = taxonomy.Taxonomy(("parmaj", "Turdus merula", "=odd id"), ("Parus major", "Turdus merula", "Fringilla ö, x"))
# what a person makes of the detections: this class becomes another one, and that one is deleted
RENAMED, DELETED = 2, 1
# (start, end, class) of the detections in each recording; the number of the recording is added to the times
DETECTIONS = ((0.0, 1.0, 0), (1.25, 2.25, 2), (2.5, 3.5, 1))


def _prediction(root, number, file, criteria):
    start = number + np.array([start for start, _, _ in DETECTIONS])
    probabilities = np.zeros((len(DETECTIONS), len(CLASSES)), np.float32)
    probabilities[np.arange(len(DETECTIONS)), [index for _, _, index in DETECTIONS]] = 0.9
    scores = ensembles.RecordingScores(
        path=str(root / file), duration_seconds=10.0, start_seconds=start, end_seconds=start + 1.0,
        member_probabilities=probabilities[None], probabilities=probabilities,
        member_attention_logits=np.zeros((1, 3), np.float32), attention_logits=np.zeros(3, np.float32),
        embeddings=np.zeros((0, 0), np.float32),
    )  # fmt: skip
    recording = metadata.Recording(recording_id="", path=str(root / file), date="2024-05-01", hour=4.5, site="Moor")
    pooled = np.full(3, 0.5)
    return predictions.Prediction(file=file, scores=scores, pooled=pooled, recording=recording, criteria=criteria)


@pytest.fixture
def write(tmp_path):
    """Writes predictions of `FILES` in one format, moves the recordings, and returns their folder and the results."""

    def write_as(name):
        root, output = tmp_path / "recorded", tmp_path / "results"
        for file in FILES:
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(root / file, np.zeros(10 * 8000), 8000)
        table_settings = settings(tables.TableConfig, format=name)
        criteria = table_settings.detections.criteria(decisions.neutral(CLASSES, 1, "mean"), CLASSES)
        context = predictions.Context(
            root=str(root), output=lambda path: str(output / path), stems=audio_files.stems(FILES), classes=CLASSES,
            front_end=frontend.FrontendConfig(), origins_known=True,
        )  # fmt: skip
        with tables.writing(table_settings, context) as append:
            for number, file in enumerate(FILES):
                append(_prediction(root, number, file, criteria))
        shutil.move(root, tmp_path / "moved")
        return tmp_path / "moved", output

    return write_as


def _correct(path, column, delimiter, new):
    """Renames the class `RENAMED` to `new` in a table, and deletes the rows of `DELETED`; without header by number."""
    deleted, renamed = (
        {CLASSES.class_ids[i], CLASSES.names[i], f"'{CLASSES.class_ids[i]}"} for i in (DELETED, RENAMED)
    )
    quoting = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
    lines = list(csv.reader(io.StringIO(path.read_text()), delimiter=delimiter, quoting=quoting))
    place = column if isinstance(column, int) else lines[0].index(column)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=quoting)
        for line in lines:
            if line[place] not in deleted:
                line[place] = new if line[place] in renamed else line[place]
                writer.writerow(line)


# {format: the table that is read (else the folder), the column of the species, the delimiter}
FORMATS = {
    "csv": ("detections.csv", "class_id", ","),
    "csv_each": ("", "class_id", ","),
    "raven": ("", "Species", "\t"),
    "raven_combined": ("raven_combined.txt", "Species", "\t"),
    "audacity": ("", 2, "\t"),
    "kaleidoscope": ("kaleidoscope.csv", "TOP1MATCH", ","),
}


@pytest.mark.parametrize("name", FORMATS)
def test_corrected_predictions_are_read_as_labels(write, name):
    audio, output = write(name)
    table, column, delimiter = FORMATS[name]
    for path in [output / table] if table else [p for p in output.rglob("*") if p.suffix in (".txt", ".csv")]:
        if path.name not in ("chunks.csv", "recordings.csv"):
            _correct(path, column, delimiter, "Regulus regulus")
    found, unmatched = reader.read(reader.SourceConfig(audio=str(audio), metadata=str(output / table)))
    assert unmatched == []
    labels = {"parmaj": "parmaj"} if "csv" in name else {"parmaj": "Parus major"}
    read = {
        os.path.relpath(r.path, audio): [(a.start_seconds, a.end_seconds, a.label) for a in r.annotations]
        for r in found
    }
    assert read == {
        file: [
            (number + start, number + end, "Regulus regulus" if index == RENAMED else labels["parmaj"])
            for start, end, index in DETECTIONS if index != DELETED
        ]
        for number, file in enumerate(FILES)
    }  # fmt: skip


@pytest.mark.parametrize("name", [*FORMATS, "parquet"])
def test_all_classes_come_back_as_they_were(write, name):
    if name == "parquet":
        pytest.importorskip("pyarrow")
    audio, output = write(name)
    table = "detections.parquet" if name == "parquet" else FORMATS[name][0]
    found, _ = reader.read(reader.SourceConfig(audio=str(audio), metadata=str(output / table)))
    has_ids = "csv" in name or name == "parquet"
    assert {label for recording in found for label in recording.labels} == set(
        CLASSES.class_ids if has_ids else CLASSES.names
    )
    if has_ids:  # and the names are still those of the classes
        assert class_selection.of_classes(found, [], 0)[1].subset([2, 1, 0]) == CLASSES


def test_tables_with_ids_and_with_latin_names_name_the_same_classes(write, tmp_path):
    audio, output = write("csv")
    write_raven_from = output / "detections.csv"
    rows = list(csv.DictReader(io.StringIO(write_raven_from.read_text())))
    of_first, of_others = ([r for r in rows if (r["file"] == FILES[0]) == first] for first in (True, False))
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    with open(mixed / "known.csv", "w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(of_first)
    for row in of_others:
        path = (mixed / row["file"]).with_suffix(".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a") as file:
            file.write(f"{row['start_seconds']}\t{row['end_seconds']}\t{row['name']}\n")
    found, _ = reader.read(reader.SourceConfig(audio=str(audio), metadata=str(mixed)))
    assert len(found) == len(FILES)
    assert {label for recording in found for label in recording.labels} == set(CLASSES.class_ids)


def test_a_table_from_which_all_rows_were_deleted_says_that_nothing_is_there(write):
    audio, output = write("csv_each")
    path = output / "top.detections.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    found, unmatched = reader.read(reader.SourceConfig(audio=str(audio), metadata=str(output)))
    assert unmatched == [] and len(found) == len(FILES)
    assert [os.path.relpath(r.path, audio) for r in found if r.negative] == ["top.wav"]
