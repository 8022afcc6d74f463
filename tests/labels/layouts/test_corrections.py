import json
import os
import shutil

import pytest

from bird_tf import config, files
from bird_tf.inference import result_files
from bird_tf.labels.formats import formats
from bird_tf.labels.layouts import corrections
from bird_tf.labels.tables import rows
from tests.labels import example_sets
from tests.labels.layouts.test_assembly import _assemble

NAMES = [("a", "Parus major"), ("a", "Parus major"), ("b", "Turdus merula"), ("b", "Turdus merula")]
OURS = "file,start_seconds,end_seconds,class_id,name\n" + "".join(
    f"x.wav,{start},{start + 1},{label},{name}\n" for start, (label, name) in enumerate(NAMES)
)
RAVEN = "Selection\tView\tBegin Time (s)\tEnd Time (s)\tBegin File\tSpecies\tClass\n" + "".join(
    f"{start}\tS\t{start}\t{start + 1}\tx.wav\t{name}\t{label}\n" for start, (label, name) in enumerate(NAMES)
)


@pytest.mark.parametrize(
    ("label", "name", "is_used", "is_told"),
    [("a", "Parus major", True, False), ("a", "", True, False), ("a", "Parus major minor", True, False),
     ("b", "Parus major", True, True), ("c", "Parus major", True, False), ("c", "Parus ater", True, False),
     ("a", "Turdus merula", True, True), ("a", "noise", False, False), ("a", "Parus ater", False, False),
     ("a", "?", False, False), ("noise", "Parus major", True, False)],
)  # fmt: skip
def test_a_label_whose_second_name_alone_was_changed_is_not_used(tmp_path, caplog, label, name, is_used, is_told):
    found, whole = _assemble(tmp_path, {"t.csv": f"{OURS}x.wav,5,6,{label},{name}\n"}, "x.wav")
    labels = [a.label for a in found["x.wav"].annotations if a.start_seconds == 5]
    assert labels == (["" if label == "noise" else label] if is_used else [])
    assert ("1 rows name two species" in caplog.text) == is_told
    if not is_used:
        [(where, reason)] = whole.left_out
        assert where.endswith("line 6") and f"'a' beside '{name}'" in reason
        assert found["x.wav"].partly_annotated


@pytest.mark.parametrize(
    ("name", "label", "is_used", "is_told"),
    [("Turdus merula", "a", True, True), ("Parus ater", "a", True, False), ("Parus major", "b", True, True),
     ("Parus major", "c", False, False)],
)  # fmt: skip
def test_species_in_raven_tables_of_ours_count_unless_class_alone_was_changed(
    tmp_path, caplog, name, label, is_used, is_told
):
    row = f"9\tS\t5\t6\tx.wav\t{name}\t{label}\n"
    found, _ = _assemble(tmp_path, {"t.txt": RAVEN + row}, "x.wav")
    assert [a.label for a in found["x.wav"].annotations if a.start_seconds == 5] == [name] * is_used
    assert ("1 rows name two species" in caplog.text) == is_told


@pytest.mark.parametrize(("old", "new"), [("class_id", "label"), ("start_seconds", "start")])
def test_names_in_other_tables_may_differ(tmp_path, old, new):
    found, _ = _assemble(tmp_path, {"t.csv": f"{OURS}x.wav,5,6,a,Parus ater\n".replace(old, new)}, "x.wav")
    assert [a.label for a in found["x.wav"].annotations if a.start_seconds == 5] == ["a"]


@pytest.mark.parametrize("annotation", ["noise", ""])
def test_names_in_a_further_column_of_raven_are_told(tmp_path, caplog, annotation):
    lines = RAVEN.splitlines()
    text = "\n".join([f"{lines[0]}\tAnnotation", f"{lines[1]}\t{annotation}", *(f"{line}\t" for line in lines[2:])])
    found, _ = _assemble(tmp_path, {"t.txt": f"{text}\n"}, "x.wav")
    assert len(found["x.wav"].annotations) == 4
    assert ("the column Annotation of 1 Raven tables is not used" in caplog.text) == bool(annotation)


def _prediction(folder):
    """A prediction in three formats, as `predict` writes it."""
    tables = {
        "detections.csv": OURS, "S1/x.Table.1.selections.txt": RAVEN, "x.labels.txt": "0\t1\tParus major\n",
        "y.labels.txt": "0\t1\tParus major\n",
    }  # fmt: skip
    paths = {name: example_sets.write_text(folder / name, text) for name, text in tables.items()}
    lines = [json.dumps([name, files.checksum(path)]) for name, path in paths.items()]
    example_sets.write_text(folder / corrections.LIST, "".join(f"{line}\n" for line in [*lines, '["scores.bin", ""]']))
    return paths


def _used(paths, *others):
    sources = [formats.read(path, rows.Options()) for path in [*paths.values(), *others] if os.path.exists(path)]
    used, same = corrections.of_one_format(sources)
    assert len(used) + len(same) == len(sources)
    return [os.path.basename(source.path) for source in used]


def test_of_a_prediction_in_several_formats_the_changed_one_counts(tmp_path, caplog):
    paths = _prediction(tmp_path)
    assert corrections.LIST == result_files.LIST
    other = example_sets.write_text(tmp_path / "other" / "z.txt", "0\t1\ta\n")
    assert _used(paths, other) == ["detections.csv", "z.txt"] and "several formats" in caplog.text
    example_sets.write_text(tmp_path / "S1/x.Table.1.selections.txt", RAVEN.replace("Turdus", "Corvus"))
    assert _used(paths, other) == ["x.Table.1.selections.txt", "z.txt"] and "count (some were changed)" in caplog.text
    os.remove(paths["y.labels.txt"])  # as a person does with a recording without a call
    with pytest.raises(config.InputError, match=r"x\.Table\.1.* and .*x\.labels.txt are of formats that were changed"):
        _used(paths, other)


def test_one_format_of_a_prediction_counts_with_all_its_files(tmp_path, caplog):
    paths = _prediction(tmp_path)
    labels = {name: path for name, path in paths.items() if "labels" in name}
    assert _used(labels) == ["x.labels.txt", "y.labels.txt"] and not caplog.text


def test_where_models_are_judged_a_prediction_that_nobody_changed_is_left_out(tmp_path, caplog):
    paths = _prediction(tmp_path / "p")
    other = example_sets.write_text(tmp_path / "z.txt", "0\t1\ta\n")

    def of_persons(*paths):
        used, left_out = corrections.of_persons(formats.read(path, rows.Options()) for path in paths)
        corrections.warn_of_untouched(left_out)
        assert {source.path for source in used} | dict(left_out).keys() == {*paths}
        return [os.path.basename(source.path) for source in used]

    assert of_persons(*paths.values(), other) == ["z.txt"]
    assert "tables that a model wrote are left out: 4, the first: " in caplog.text
    copy = shutil.copy(paths["detections.csv"], str(tmp_path / "copy.csv"))  # who wants it as the truth copies it
    assert of_persons(copy) == ["copy.csv"]
    caplog.clear()
    example_sets.write_text(tmp_path / "p" / "x.labels.txt", "0\t1\tCorvus corax\n")
    assert of_persons(paths["detections.csv"]) == []  # none of its own format was changed
    labels = [path for name, path in paths.items() if "labels" in name]
    caplog.clear()
    assert of_persons(*labels) == ["x.labels.txt", "y.labels.txt"]
    assert "1 of 2 tables of" in caplog.text and "y.labels.txt; others were changed" in caplog.text
    os.remove(labels[1])
    assert of_persons(labels[0]) == ["x.labels.txt"]
