import dataclasses
import json
import shutil

from bird_tf.backbones import sources
from bird_tf.training import origins
from tests.conftest import train_settings


def test_a_network_names_the_backbones_that_it_has_learnt_from(manifest, model_path, tmp_path):
    """Also by way of its teacher, whose own teacher it was."""
    own = {"title": "Toy 1", "licence": "CC0", "origin": "x", "fingerprint": "1", "classes": ["fistul"]}
    older = {"model": "old.tflite", "fingerprint": "2", "classes": ["fistul"]}  # as in records of format 2
    answered = dataclasses.replace(manifest, backbone=own)
    plain = train_settings(manifest, tmp_path / "a")
    assert origins.backbones(plain, answered) == ()  # the records have its answers, but they are not used
    head = train_settings(manifest, tmp_path / "c", backbone_weight=0.5)
    chain = dataclasses.replace(manifest, backbone={**own, "backbones": [sources.credit(older)]})
    assert [found["fingerprint"] for found in origins.backbones(head, chain)] == ["1", "2"]
    teacher = shutil.copytree(model_path, tmp_path / "teacher")
    description = json.loads((teacher / "assets" / "train.json").read_text())
    assert description["backbones"] == []
    description["backbones"] = [sources.credit(own), sources.credit(older)]
    (teacher / "assets" / "train.json").write_text(json.dumps(description))
    settings = train_settings(manifest, tmp_path / "b", backbone_weight=0.5, teacher=[str(teacher)])
    assert origins.backbones(settings, answered) == (
        {"title": "Toy 1", "licence": "CC0", "origin": "x", "fingerprint": "1"},
        {"title": "old.tflite", "licence": "", "origin": "", "fingerprint": "2"},
    )
