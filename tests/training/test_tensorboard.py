import html

import numpy as np
import pytest

from bird_tf import tf
from bird_tf.audio import frontend
from bird_tf.labels import taxonomy
from bird_tf.models import architectures
from bird_tf.training import tensorboard, validation


@pytest.fixture(scope="module", autouse=True)
def _without_pictures():
    """Here they are drawn."""


@pytest.fixture
def result():
    """Four recordings of three classes: the third class has none, and one of the first has the second on top."""
    scores = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.0, 0.1, 0.9]])
    labels = np.array([0, 0, 1, 1])
    return validation.ValidationResult(
        metrics={"mlrap": 0.5}, scores=scores, truth=np.eye(3, dtype=bool)[labels], labels=labels, pooling="mean"
    )


# a name from outside may look like a formula of matplotlib
CLASSES = taxonomy.Taxonomy(("$\\frac{a$", "b", "c"), ("Turdus merula", "Parus $\\frac{major$", "Pica pica"))


def _events(folder):
    paths = sorted(folder.rglob("*tfevents*"))
    return [event for path in paths for event in tf.compat.v1.train.summary_iterator(str(path))]


def test_confusion_is_the_share_of_each_species_recordings(result):
    shares, shown = tensorboard.confusion(result)
    np.testing.assert_array_equal(shown, [0, 1])
    np.testing.assert_array_equal(
        shares, [[0.5, 0.5], [0.0, 0.5]]
    )  # class c has the highest score of the last recording


def test_the_confusion_image_shows_forty_species_at_most(generator):
    labels = np.repeat(np.arange(60), 2)
    many = validation.ValidationResult(
        metrics={},
        scores=generator.random((120, 60)),
        truth=np.eye(60, dtype=bool)[labels],
        labels=labels,
        pooling="mean",
    )
    assert tensorboard.confusion(many)[0].shape == (40, 40)
    names = tuple(f"Species {i}" for i in range(60))
    image = tensorboard.confusion_image(many, taxonomy.Taxonomy(names, names))
    assert image.dtype == np.uint8 and image.shape[2] == 3 and image.std() > 10


def test_all_documented_events_are_written(result, tmp_path, generator):
    writer = tensorboard.EventWriter(str(tmp_path), 2, active=True)
    spectrograms = tf.constant(generator.random((9, 16, 16)), tf.float32)
    batch = {"spectrogram": spectrograms, "targets": tf.one_hot([0] * 9, 3), "weights": tf.ones((9, 3))}
    settings = architectures.ModelConfig(architecture="pi")
    network = architectures.build(settings, {"spectrogram": (16, 16)}, 3)
    writer.write_start(settings, batch, network, CLASSES, frontend.FrontendConfig(num_bands=16, num_frames=16))
    for _ in range(8):
        writer.after_step()
    writer.write_epoch(1, {"loss": 0.25})
    writer.write_validation(1, result, CLASSES, is_best=True)
    writer.close()
    values = {value.tag: value for event in _events(tmp_path) for value in event.summary.value}
    assert set(values) >= {"configuration", "training/batch", "training/loss", "validation/mlrap"}
    assert set(values) >= {"validation/average_precision_of_classes", "validation/confusion"}
    assert b"| architecture | pi |" in values["configuration"].tensor.string_val[0]
    assert tf.io.decode_png(values["training/batch"].tensor.string_val[2]).shape[2] == 3  # after width and height
    assert float(tf.make_ndarray(values["training/loss"].tensor)) == 0.25
    assert any(event.graph_def for event in _events(tmp_path))
    assert list((tmp_path / "logs" / "plugins" / "profile").rglob("*.xplane.pb"))


def test_workers_other_than_the_chief_write_nothing(result, tmp_path):
    writer = tensorboard.EventWriter(str(tmp_path), 2, active=False)
    for _ in range(8):
        writer.after_step()
    writer.write_validation(1, result, CLASSES, is_best=True)
    writer.close()
    assert not list(tmp_path.iterdir())


def test_values_are_text_in_markdown():
    shown = tensorboard._as_markdown("<script>|[a](b) `x`/ü-1.5")
    assert not set("<>|[]()`") & set(shown) and html.unescape(shown) == "<script>|[a](b) `x`/ü-1.5"
