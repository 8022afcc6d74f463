import pytest

from bird_tf.labels.layouts import reader
from tests.labels import example_sets
from tests.labels.layouts.test_sorted_tree import _tree


@pytest.mark.parametrize(
    ("recordings", "told", "what"),
    [
        (("train/a", "validation/b"), {"train/metadata.csv": "file,label\na.wav,A\n",
                                       "validation/metadata.csv": "file,label\nb.wav,B\n"}, "folders such as val"),
        (("Training_Set/a", "Test_Set/b"), {"t.csv": "file,label\na.wav,A\nb.wav,B\n"}, "folders such as Test_Set"),
        (("A/train/a", "B/test/b"), {}, "folders such as test"),
        (("A/train/a", "B/song/b"), {}, ""),
        (("a", "b"), {"train.csv": "file,label\na.wav,A\n", "test.csv": "file,label\nb.wav,B\n"}, "this file"),
        (("a", "b"), {"train.csv": "file,label\na.wav,A\n", "more.csv": "file,label\nb.wav,B\n"}, ""),
        (("A/a", "B/b"), {"testing_list.txt": "B/b.wav\n"}, "this file"),
        (("A/a", "B/b"), {"train.txt": "A/a 0\n", "test.txt": "B/b 1\n"}, "this file"),
        (("A/a", "B/b"), {"train.txt": "A/a.wav\nB/b.wav\n"}, ""),  # it names all
        (("A/a", "B/b"), {"split.csv": "file,split\nA/a.wav,train\nB/b.wav,test\n"}, "this file"),
        (("A/a", "B/b"), {"split.txt": '"A/a.wav","a b",1,2,"train"\n"B/b.wav","c",1,2,"test"\n'}, "this file"),
        (("A/a", "B/b"), {"README.txt": "To train, use A/a.wav; to test run B/b.wav\n"}, ""),
        (("A/a", "B/b"), {"test.txt": "processed A/a.wav in 3 s\n"}, ""),
        (("A/a", "B/b"), {"README.txt": "a test of A/a.wav\n", "test.txt": "12 trains\n"}, ""),
    ],
)  # fmt: skip
def test_a_split_that_is_told_in_another_way_is_not_passed_over(tmp_path, caplog, recordings, told, what):
    for file, text in told.items():
        example_sets.write_text(tmp_path / file, text)
    assert len(reader.read(_tree(tmp_path, *recordings))[0]) == 2
    assert caplog.text.count("the split in ") == bool(what) and f"the split in {what}" in caplog.text + "the split in "
