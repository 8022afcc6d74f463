import json
import shutil

import pytest

from bird_tf import config
from bird_tf.backbones import exported
from bird_tf.inference import model_files
from tests.backbones.conftest import tune


@pytest.fixture
def copy(model_path, tmp_path):
    return shutil.copytree(model_path, tmp_path / "export")


def test_the_fingerprint_follows_weights_front_end_and_backbone_but_not_the_calibration(
    model_path, attention_model_path, copy
):
    original = exported.fingerprint(model_path)
    assert exported.fingerprint(str(copy)) == original != exported.fingerprint(attention_model_path)
    tune(copy)
    graph = copy / "saved_model.pb"
    graph.write_bytes(graph.read_bytes() + b"\x7a\x00")  # as a new export, whose graph has other bytes
    assert exported.fingerprint(str(copy)) == original
    description = copy / "assets" / "train.json"
    described = json.loads(description.read_text())
    for changes in ({"backbone": {"fingerprint": "another"}}, {"loss": "another"}):
        description.write_text(json.dumps({**described, **changes}))
        assert exported.fingerprint(str(copy)) != original


def test_damaged_variables_are_refused_in_one_line(copy):
    for path in (copy / "variables").iterdir():
        path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(config.InputError, match=r"export is damaged .*; export the run again"):
        exported.fingerprint(str(copy))


def test_the_description_of_a_newer_version_is_refused(copy):
    description = copy / "assets" / "train.json"
    described = json.loads(description.read_text())
    for reads in (exported.fingerprint, exported.read, model_files.read_description):
        description.write_text(json.dumps({**described, "format_version": exported.FORMAT_VERSION + 1}))
        with pytest.raises(config.InputError, match=r"train\.json: a newer bird_tf wrote it"):
            reads(str(copy))
    del described["format_version"]
    description.write_text(json.dumps(described))
    assert model_files.read_description(str(copy)).training == exported.read(str(copy))["training"]
