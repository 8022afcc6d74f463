import io
import xml.etree.ElementTree as ElementTree

import matplotlib.image
import numpy as np

from bird_tf.evaluation import plots


def _texts(svg):
    root = ElementTree.fromstring(svg)
    return {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}


def test_curves_are_svg_with_readable_labels(generator):
    scores, truth = generator.random((20, 4)), generator.random((20, 4)) < 0.3
    assert {"recall", "precision"} <= _texts(plots.precision_recall(scores, truth))
    texts = _texts(plots.reliability([("scores", scores), ("calibrated", scores**2)], truth))
    assert {"stated probability", "scores", "calibrated"} <= texts
    sizes = plots.precision_by_training_size(np.array([3, 40, 160]), np.array([0.1, 0.5, 0.9]))
    assert {"training recordings", "5", "100"} <= _texts(sizes)


def test_images_have_low_frequencies_at_the_bottom_and_a_bounded_width():
    spectrograms = np.zeros((8, 16, 250), np.float32)
    spectrograms[:, -1] = 1.0  # the lowest band, as the front-end puts it
    image = matplotlib.image.imread(io.BytesIO(plots.spectrogram_png(spectrograms)), format="png")
    assert image.shape[0] == 16 and 400 < image.shape[1] <= 900
    brightness = image[:, :, :3].mean(axis=(1, 2))
    assert brightness[-1] > 0.8 and brightness[:-1].max() < 0.1
