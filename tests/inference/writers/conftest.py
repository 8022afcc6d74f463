"""A small prediction for the tests of the writers."""

import csv

import numpy as np
import pytest

from bird_tf.audio import frontend
from bird_tf.inference import audio_files, ensembles
from bird_tf.inference.writers import detections, predictions, tables
from bird_tf.labels import metadata, taxonomy
from bird_tf.scores import decisions
from tests.conftest import settings

CLASSES = taxonomy.Taxonomy(("aaaaaa", "bbbbbb"), ("Avis alba", 'Buteo "b", brevis'))
FILES = ("here/x.wav", "there/x.wav")
PROBABILITIES = np.array([[0.9, 0.1], [0.7, 0.6], [0.2, 0.8], [0.6, 0.1]], np.float32)


def scores(hop=1.0):
    """Four chunks of one second."""
    start = np.arange(len(PROBABILITIES)) * hop
    return ensembles.RecordingScores(
        path="/birds/here/x.wav", duration_seconds=4.0, start_seconds=start, end_seconds=start + 1.0,
        member_probabilities=PROBABILITIES[None], probabilities=PROBABILITIES,
        member_attention_logits=np.zeros((1, 4), np.float32), attention_logits=np.zeros(4, np.float32),
        embeddings=np.ones((4, 3), np.float32),
    )  # fmt: skip


def criteria(**flags):
    """By flags of detections; the thresholds of the model are 0.5."""
    asked = settings(detections.DetectionConfig, **flags)
    return asked.criteria(decisions.neutral(CLASSES, 1, "mean"), CLASSES)


def prediction(file="here/x.wav", found_by=None, **known):
    """The prediction of one recording."""
    recording = metadata.Recording(recording_id="", path=f"/birds/{file}", **known)
    return predictions.Prediction(
        file=file, scores=scores(), pooled=np.array([0.6, 0.4]), recording=recording, criteria=found_by or criteria()
    )


def context(output, classes=CLASSES, **values):
    """A context for these classes and the recordings of `FILES`."""
    return predictions.Context(
        root="/birds", output=lambda name: str(output / name), stems=audio_files.stems(FILES), classes=classes,
        front_end=frontend.FrontendConfig(), **values,
    )  # fmt: skip


@pytest.fixture
def write(tmp_path):
    """Writes the recordings of `FILES` into tmp_path: a function of the flags, and of classes other than `CLASSES`."""

    def write_with(classes=CLASSES, **flags):
        table_settings = settings(tables.TableConfig, **flags)
        found_by = table_settings.detections.criteria(decisions.neutral(classes, 1, "mean"), classes)
        ours = context(tmp_path, classes, byte_order_mark=table_settings.csv_bom)
        with tables.writing(table_settings, ours) as append:
            for file in FILES:
                append(prediction(file, found_by))

    return write_with


def read_rows(path, delimiter=","):
    """The rows of a table, as dictionaries."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))
