import json
import pickle
import shutil

import numpy as np
import pytest

from bird_tf import config, files
from bird_tf.backbones import exported
from bird_tf.inference import serving
from bird_tf.scores import calibration, thresholds


@pytest.fixture
def copy(model_path, tmp_path):
    return shutil.copytree(model_path, tmp_path / "export")


def _tune(path, num_classes=6):
    least = {rule: np.full(num_classes, 0.3) for rule in thresholds.RULES}
    assert serving.store(str(path), calibration.Calibration(slope=2.0, intercept=-1.0, thresholds=least))


def test_the_fingerprint_follows_weights_front_end_and_backbone_but_not_the_calibration(
    model_path, attention_model_path, copy
):
    original = exported.fingerprint(model_path)
    assert exported.fingerprint(str(copy)) == original != exported.fingerprint(attention_model_path)
    _tune(copy)
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
    _tune(copy)
    assert exported.fingerprint(str(copy)) == found != "other" and exported.fingerprint(str(copy)) != earlier


def test_damaged_variables_are_refused_in_one_line(copy):
    for path in (copy / "variables").iterdir():
        path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(config.InputError, match=r"export is damaged .*; export the run again"):
        exported.fingerprint(str(copy))
