import numpy as np

from bird_tf import tf
from bird_tf.input import dataset, preview
from bird_tf.input.augment import augmentations


def test_a_png_shows_every_chunk_of_the_batch(manifest):
    settings = dataset.DatasetConfig(batch_size=10)
    examples = preview.batch(manifest, settings, augmentations.AugmentConfig(or_mixup=1.0), seed=0)
    image = tf.io.decode_png(preview.png(examples, manifest.classes.class_ids)).numpy()
    empty = tf.io.decode_png(preview.png({n: v[:9] for n, v in examples.items()}, manifest.classes.class_ids)).numpy()
    formulas = tuple(f"$\\frac{{{class_id}$" for class_id in manifest.classes.class_ids)  # text, however it looks
    assert tf.io.decode_png(preview.png(examples, formulas)).numpy().shape == image.shape
    assert image.shape == empty.shape and image.shape[1] > 1500
    different = np.argwhere(np.any(image != empty, axis=2))
    assert different.min(axis=0)[0] > image.shape[0] / 2  # only the tenth differs: second row, second column
    assert image.shape[1] / 8 - 20 < different.min(axis=0)[1] < different.max(axis=0)[1] < image.shape[1] / 4 + 20


def test_titles_list_targets_and_the_number_of_ignored_classes():
    class_ids = ("a", "b", "c", "d", "e")
    title = preview._title
    ones = np.ones(5)
    assert title(np.array([0, 1, 0, 0, 0]), ones, class_ids) == "b"
    assert title(np.array([0, 0.25, 0, 1, 0]), ones, class_ids) == "d, b 0.25"
    assert title(np.zeros(5), ones, class_ids) == "no call"
    assert title(np.ones(5), ones, class_ids) == "a, b, c, +2"
    assert title(np.array([1, 0, 0, 0, 0]), np.array([1, 0, 0, 1, 1]), class_ids) == "a (2 ignored)"
