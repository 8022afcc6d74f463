import numpy as np
import pytest

from bird_tf import config
from bird_tf.labels import taxonomy
from bird_tf.scores import threshold_table

CLASSES = taxonomy.Taxonomy(("aaaaaa", "b b", "c"), ("Avis alba", "Buteo b", "C"))
OWN = np.array([0.2, 0.3, 2.0])


def test_a_number_is_for_all_classes_and_nothing_leaves_them_as_they_are():
    np.testing.assert_array_equal(threshold_table.choose("", OWN, CLASSES), OWN)
    np.testing.assert_array_equal(threshold_table.choose("0.4", OWN, CLASSES), [0.4] * 3)


def test_a_table_is_for_its_classes_alone(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("\ufeffclass_id,threshold,remark\nb b,0.95,\navis ALBA,0,often\nother,0.5,\n", encoding="utf-8")
    np.testing.assert_array_equal(threshold_table.choose(str(path), OWN, CLASSES), [0.0, 0.95, 2.0])
    np.testing.assert_array_equal(OWN, [0.2, 0.3, 2.0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("class_id,threshold\nc,1.5\n", "line 2: threshold must be a number from 0 to 1"),
        ("class_id,threshold\nc,\n", "line 2: c has no"), ("class_id,threshold\nc\n", "line 2: c has no"),
        ("species,threshold\nc,0.5\n", "need the column class_id"), ("class_id,threshold\nc,nan\n", "line 2"),
        ("class_id,threshold\nc,0.1\nC,0.2\n", "line 3: C has a threshold in line 2"),
        ("class_id,threshold\nx,0.1\n", "none of 1 rows"), ("class_id,threshold\n", "none of 0 rows"),
    ],
)  # fmt: skip
def test_other_tables_are_refused(tmp_path, text, words):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(config.InputError, match=f"--min_probability=.*mine.csv.*{words}"):
        threshold_table.choose(str(path), OWN, CLASSES)


@pytest.mark.parametrize("given", ["1.5", "-0.1", "nan", "lost.csv"])
def test_neither_a_probability_nor_a_file_is_refused(given):
    with pytest.raises(config.InputError, match=f"--min_probability={given}: neither"):
        threshold_table.choose(given, OWN, CLASSES)
