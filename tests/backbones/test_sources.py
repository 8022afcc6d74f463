import dataclasses
import json
import os
import pathlib
import shutil

import pytest

from bird_tf import config
from bird_tf.backbones import presets, sources
from tests.backbones.conftest import LABELS, RATE, make_source, tune


def flags(model, labels, **values):
    """A backbone's flags."""
    given = {"backbone_labels": str(labels), "backbone_sample_rate_hz": RATE, "backbone_logits": True, **values}
    return sources.BackboneConfig(backbone=str(model), **given)


def test_a_file_needs_labels_and_sample_rate(tflite_path, labels, tmp_path):
    source = sources.from_flags(flags(tflite_path, labels))
    assert source == make_source(tflite_path, labels) and source.licence == ""
    for values, words in [
        ({"model": tmp_path / "none"}, r"no such file or folder, and no known name \(birdnet\)"),
        ({"backbone_labels": ""}, "give --backbone_labels and"),
        ({"backbone_sample_rate_hz": 0}, "give --backbone_labels and --backbone_sample_rate_hz"),
        ({"labels": tmp_path / "none"}, "--backbone_labels=.*none: no such file"),
    ]:
        with pytest.raises(config.InputError, match=words):
            sources.from_flags(flags(**{"model": tflite_path, "labels": labels, **values}))


def test_a_model_of_bird_tf_needs_only_its_path(model_path, manifest, labels):
    source = sources.from_flags(sources.BackboneConfig(backbone=model_path))
    assert source.sample_rate_hz == manifest.front_end.sample_rate_hz and not source.gives_logits
    assert source.label_names() == list(zip(manifest.classes.class_ids, manifest.classes.names, strict=True))
    with pytest.raises(config.InputError, match="has no effect"):
        sources.from_flags(flags(model_path, labels))


@pytest.fixture
def described(model_path, tmp_path):
    """A function that copies the session's model, with other fields in its description."""

    def copied(**fields):
        path = shutil.copytree(model_path, tmp_path / "described", dirs_exist_ok=True)
        description = path / "assets" / "train.json"
        description.write_text(json.dumps({**json.loads(description.read_text()), **fields}))
        return sources.BackboneConfig(backbone=str(path))

    return copied


def test_a_head_as_a_backbone_hears_at_the_rate_of_its_own_backbone(described):
    inner = {"model": "toy", "fingerprint": "f", "sample_rate_hz": RATE}
    assert sources.from_flags(described(backbone=inner)).sample_rate_hz == RATE
    with pytest.raises(config.InputError, match=r"is a head whose backbone is a file outside of its graph; name that"):
        sources.from_flags(described(backbone={**inner, "model": "toy.tflite"}))


def test_a_model_of_bird_tf_hands_on_what_it_has_learnt_from(described, monkeypatch):
    credit = {"title": "Toy 1", "licence": "CC0", "origin": "x", "fingerprint": "1"}
    found = sources.describe(sources.from_flags(described(backbones=[credit])))
    assert found["backbones"] == [credit]
    said = []
    monkeypatch.setattr(sources.logging, "info", lambda text, *arguments: said.append(text % arguments))
    sources.log_credits("mine", [*found["backbones"], {**credit, "licence": ""}])
    assert "mine has learnt from Toy 1, whose licence is CC0; see" in said[0] and "is unknown; see" in said[1]


def test_a_model_of_bird_tf_stays_the_same_backbone_whatever_calibration_it_has(model_path, tmp_path):
    path = str(shutil.copytree(model_path, tmp_path / "export"))
    described = sources.describe(sources.from_flags(sources.BackboneConfig(backbone=path)))
    # as earlier versions wrote it: a digest of the files, of a model that is asked for its probabilities
    listed = os.path.join(path, "assets", "classes.csv")
    source = make_source(path, listed, gives_logits=False)
    earlier = {k: v for k, v in sources.describe(source).items() if k != "uncalibrated"}
    assert sources.from_description(earlier, "the head") == source
    tune(path)
    again = sources.from_description(described, "the head")
    assert again.uncalibrated and again.fingerprint == described["fingerprint"]
    with pytest.raises(config.InputError, match=r"is another one; install .*, or convert again: since an earlier"):
        sources.from_description(earlier, "the head")
    classes = pathlib.Path(listed)
    classes.write_text(classes.read_text().rstrip() + "x\n")  # the classes are found by their names
    assert dataclasses.replace(again).fingerprint != again.fingerprint


@pytest.fixture
def preset(tflite_path, labels, monkeypatch):
    made = dataclasses.replace(presets.PRESETS["birdnet"], title="Toy 1", licence="CC0", sample_rate_hz=RATE)
    monkeypatch.setitem(presets.PRESETS, "toy", made)
    monkeypatch.setattr(presets.Preset, "files", lambda _: (str(tflite_path), str(labels)))
    return made


def test_a_preset_needs_only_its_name(preset, tflite_path, labels):
    source = sources.from_flags(sources.BackboneConfig(backbone="toy"))
    assert (source.title, source.licence, source.model) == ("Toy 1", "CC0", str(tflite_path))
    with pytest.raises(config.InputError, match="--backbone_… with --backbone=toy has no effect"):
        sources.from_flags(flags("toy", labels))


def test_labels_may_be_latin_names_or_whole_lines(tflite_path, labels):
    names = make_source(tflite_path, labels).label_names()
    assert names[0] == ("Parus major_Great Tit", "Parus major") and len(names) == len(LABELS)


def test_a_csv_of_labels_is_a_list_or_ours(tflite_path, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("Parus major\nTurdus merula\n")
    assert [names[0] for names in make_source(tflite_path, path).label_names()] == ["Parus major", "Turdus merula"]
    path.write_text("number,label\n0,Parus major\n")
    with pytest.raises(config.InputError, match=r"give a text file with one name a line, .* without a header"):
        make_source(tflite_path, path).label_names()


def test_the_fingerprint_follows_graph_weights_and_labels(saved_model_path, tflite_path, labels, tmp_path):
    for path in (saved_model_path, tflite_path):
        copy = tmp_path / path.name
        (shutil.copytree if path.is_dir() else shutil.copy)(path, copy)
        assert make_source(copy, labels).fingerprint == make_source(path, labels).fingerprint
        if path.is_dir():
            (copy / "assets").mkdir(exist_ok=True)
            (copy / "assets" / "decisions.json").write_text("{}")
            assert make_source(copy, labels).fingerprint == make_source(path, labels).fingerprint
        changed = copy / "saved_model.pb" if path.is_dir() else copy
        changed.write_bytes(changed.read_bytes() + b"x")
        assert make_source(copy, labels).fingerprint != make_source(path, labels).fingerprint
    other = tmp_path / "labels.txt"
    other.write_text("\n".join(LABELS[::-1]))
    assert make_source(tflite_path, other).fingerprint != make_source(tflite_path, labels).fingerprint


def test_a_description_finds_the_same_files_again(preset, tflite_path, labels, tmp_path):
    source = sources.from_flags(sources.BackboneConfig(backbone="toy"))
    described = sources.describe(source)
    assert sources.from_description(described, "runs/x/export") == source
    for path in (tflite_path, labels):
        shutil.copy(path, tmp_path)
    copied = sources.from_description(described, "runs/x/export", str(tmp_path))
    assert copied.model == str(tmp_path / tflite_path.name) and copied.fingerprint == source.fingerprint


def test_a_missing_or_another_file_is_refused_with_what_needs_it(preset, tflite_path, labels, tmp_path, monkeypatch):
    described = sources.describe(make_source(tflite_path, labels))
    with pytest.raises(config.InputError, match=r"^runs/x/export needs its backbone .*: .*tflite is not there$"):
        sources.from_description(described, "runs/x/export", str(tmp_path))
    shutil.copy(tflite_path, tmp_path)
    (tmp_path / labels.name).write_text("a\nb\nc")
    with pytest.raises(config.InputError, match=r"runs/x/export needs its backbone .* is another one; install or copy"):
        sources.from_description(described, "runs/x/export", str(tmp_path))

    def missing(_):
        raise config.InputError("Toy 1 comes with the package toy: pip install toy")

    monkeypatch.setattr(presets.Preset, "files", missing)
    with pytest.raises(config.InputError, match=r"^runs/x/export needs its backbone: Toy 1 comes with"):
        sources.from_description({**described, "name": "toy"}, "runs/x/export")
