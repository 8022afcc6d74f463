"""A small evaluation for the tests of its tables and its page."""

import numpy as np
import pytest

from bird_tf.evaluation import examples, results
from bird_tf.labels import taxonomy
from bird_tf.scores import decisions

CLASSES = taxonomy.Taxonomy(("aa", "bb", "cc"), ("A a", "B <b>", "C c"))


@pytest.fixture
def evaluation():
    """Three recordings of three classes; the second one is an example, and names hold characters of HTML."""
    scores = np.array([[0.9, 0.1, 0.0], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1]])
    truth = np.array([[True, True, False], [False, True, False], [False, True, False]])
    example = examples.Example(
        index=1, seconds=3.0, species=[1, 0], chunks=np.array([[0.1, 0.7]] * 3), excerpt=(0.0, 2.0),
        spectrograms=np.random.default_rng(0).random((2, 8, 16)), mp3=b"sound",
    )  # fmt: skip
    return results.Evaluation(
        title="a <b> & c", notes=["Mind <this>."], headline={"mlrap": 0.5, "num_recordings": 3},
        intervals={"mlrap": (0.4, 0.61)}, classes=CLASSES, recording_ids=["1", "<2>", "3"],
        labels=np.array([0, 1, 1]), truth=truth, pooled=scores, scores=scores, held_out=scores**2,
        training_recordings=[10, 20, 0], decisions=decisions.neutral(CLASSES, 1, "mean"), examples=[example],
    )  # fmt: skip
