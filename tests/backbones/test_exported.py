import json
import pickle
import shutil

import pytest

from bird_tf import config, files
from bird_tf.backbones import exported
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


def test_a_fingerprint_of_an_earlier_version_is_known_while_no_file_has_changed(model_path, copy):
    names = ("saved_model.pb", "variables/variables.data-00000-of-00001")
    earlier = files.digest([files.checksum(str(copy / name)) for name in names])
    found = pickle.loads(pickle.dumps(exported.fingerprint(str(copy))))
    assert earlier == found and {"content": earlier} == {"content": found} and (earlier != found) is False
    assert json.loads(json.dumps(found)) != earlier  # it is written down as it is now
    tune(copy)
    assert exported.fingerprint(str(copy)) == found != "other" and exported.fingerprint(str(copy)) != earlier


def test_damaged_variables_are_refused_in_one_line(copy):
    for path in (copy / "variables").iterdir():
        path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(config.InputError, match=r"export is damaged .*; export the run again"):
        exported.fingerprint(str(copy))
