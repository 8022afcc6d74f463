"""Every reader of what trainings keep for themselves: damage ends in a refusal that names the file."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest

from bird_tf import stored
from bird_tf.conversion import notes
from bird_tf.input import pseudo_labels
from bird_tf.records import learnt
from bird_tf.selftraining import gate
from bird_tf.training import known_sound, run_directory
from tests import damage
from tools import sort_recordings


def _known_sound(folder):
    known = known_sound.KnownSound(
        mean=np.zeros(3, np.float32), directions=np.ones((3, 2), np.float32), variances=np.ones(2, np.float32),
        rest=0.5, limit=3.0,
    )  # fmt: skip
    known_sound.save(str(folder), known)

    def read():
        found = known_sound.load(str(folder))
        assert np.isfinite((found.mean @ found.directions) ** 2 / found.variances / found.rest / found.limit).all()

    return folder / known_sound.FILE, read


def _pseudo_labels(folder, name):
    pseudo = pseudo_labels.PseudoLabels(
        directory=str(folder), class_ids=("aa", "bb"), labels=np.ones((3, 2), np.float16), rates=np.ones(3, np.float32),
        backbones=({"name": "birdnet"},), learnt=learnt.Learnt(),
    )  # fmt: skip
    pseudo_labels.save(str(folder), pseudo)
    return folder / name, lambda: pseudo_labels.digest(str(folder))


def _quality(folder):
    judge = gate.Gate(manifest=None, audio="", calls="", output=str(folder), place=None)
    path = folder / "teachers" / gate._QUALITY
    path.parent.mkdir()
    path.write_text(json.dumps({"cmap": 0.5, "auroc": 0.75, "mlrap": 0.25}))

    def read():
        found = [judge.judge([], "teachers")] * 2
        return gate.best(found), gate.goes_on(found)

    return path, read


def _early_weights(folder, run_dir):
    copy = pathlib.Path(shutil.copytree(run_dir, folder / "copy"))
    _, network = run_directory.load(str(copy))
    (copy / run_directory.WEIGHTS).unlink()
    np.savez(copy / run_directory._UNNAMED_WEIGHTS, *network.get_weights())
    return copy / run_directory._UNNAMED_WEIGHTS, lambda: run_directory.load(str(copy))


def _note(folder):
    path = folder / "note"
    with notes.writing(str(path)) as note:
        note("a recording")
    return path, lambda: notes.read(str(path))


def _sorting(folder):
    path = folder / sort_recordings._STEPS
    step = sort_recordings._Step(source="/x/a.wav", folder="train/x", name="a.wav", description={"classid": "x"})
    path.write_text(json.dumps(dataclasses.asdict(sort_recordings._Steps(steps=(step,), left_out=(("b", "why"),)))))
    return path, lambda: stored.read_json(str(path), sort_recordings._Steps)


READERS = {
    "known sound": lambda folder, get: _known_sound(folder),
    "pseudo-labels": lambda folder, get: _pseudo_labels(folder, pseudo_labels._ABOUT),
    "labels": lambda folder, get: _pseudo_labels(folder, pseudo_labels._LABELS),
    "quality": lambda folder, get: _quality(folder),
    "early weights": lambda folder, get: _early_weights(folder, get("run_dir")),
    "note": lambda folder, get: _note(folder),
    "sorting": lambda folder, get: _sorting(folder),
}
_SLOW = ("early weights",)  # it needs a trained network


@damage.counts
@pytest.mark.parametrize("reader", [pytest.param(name, marks=[pytest.mark.slow] * (name in _SLOW)) for name in READERS])
def test_no_damage_ends_in_anything_but_a_refusal(tmp_path, request, reader, count):
    path, read = READERS[reader](tmp_path, request.getfixturevalue)
    if reader in _SLOW:
        count //= 10
    damage.check_reader(path, read, count, name=tmp_path.name)
