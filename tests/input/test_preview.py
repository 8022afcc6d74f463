import numpy as np

from bird_tf import tf
from bird_tf.input import dataset, preview
from bird_tf.input.augment import augmentations


def test_a_png_shows_every_chunk_of_the_batch(manifest):
    settings = dataset.DatasetConfig(batch_size=10)
    examples = preview.batch(manifest, settings, augmentations.AugmentConfig(or_mixup=1.0), seed=0)
    names, front_end = manifest.classes.names, manifest.front_end
    image = tf.io.decode_png(preview.png(examples, names, front_end)).numpy()
    nine = {name: value[:9] for name, value in examples.items()}
    empty = tf.io.decode_png(preview.png(nine, names, front_end)).numpy()
    formulas = tuple(f"$\\frac{{{name}$" for name in names)  # text, however it looks
    assert tf.io.decode_png(preview.png(examples, formulas, front_end)).numpy().shape == image.shape
    assert image.shape == empty.shape and image.shape[1] > 1000
    # the tenth chunk stands in the third row, second column
    third_row = np.argwhere(np.any(image != empty, axis=2)[int(0.75 * image.shape[0]) :])
    assert image.shape[1] / 4 < np.median(third_row[:, 1]) < image.shape[1] / 2


def test_titles_list_targets_and_the_number_of_ignored_classes():
    class_ids = ("a", "b", "c", "d", "e")
    title = preview._title
    ones = np.ones(5)
    assert title(np.array([0, 1, 0, 0, 0]), ones, class_ids) == "b"
    assert title(np.array([0, 0.25, 0, 1, 0]), ones, class_ids) == "d\nb 0.25"
    assert title(np.zeros(5), ones, class_ids) == "no call"
    assert title(np.ones(5), ones, class_ids) == "a\nb\nc\n+2"
    assert title(np.array([1, 0, 0, 0, 0]), np.array([1, 0, 0, 1, 1]), class_ids) == "a (2 ignored)"
