import dataclasses
import os
import shutil

import pytest

from bird_tf import config, train
from bird_tf.records import manifests
from bird_tf.reviewing import clips
from tests.conftest import table
from tests.tools.test_loop_records import chunks_of
from tools import simulate_loop


def test_the_number_of_known_recordings_is_not_given_in_two_ways(manifest, tmp_path):
    flags = [f"--records={manifest.directory}", f"--run_dir={tmp_path}", f"--flagfile={os.devnull}"]
    with pytest.raises(config.InputError, match=r"--recordings_per_class \(here it is --known\) has no effect"):
        config.parse(simulate_loop.LoopConfig, [*flags, "--recordings_per_class=2"])


@pytest.fixture
def untaught(monkeypatch, model_path):
    """Trainings give a finished model; a list of their records."""
    asked = []

    def fake(settings):
        asked.append(settings.records)
        shutil.copytree(model_path, os.path.join(settings.run_dir, "export"))

    monkeypatch.setattr(train, "train", fake)
    return asked


def test_each_fold_is_measured_at_the_start_and_with_each_choice(manifest, tmp_path, untaught, capsys):
    flags = (
        f"--flagfile={os.devnull}", f"--records={manifest.directory}", f"--run_dir={tmp_path}", "--folds=3",
        "--only_folds=2", "--known=1", "--num_clips=3", "--choice=random", "--choice=bands", "--epochs=1",
    )  # fmt: skip
    for _ in range(2):  # the second time, nothing is trained again
        simulate_loop.main(config.parse(simulate_loop.LoopConfig, flags))
    rows = table(tmp_path / "loop.csv")
    assert [(row["fold"], row["choice"], row["clips"]) for row in rows] == [
        ("2", "start", "0"),
        ("2", "random", "3"),
        ("2", "bands", "3"),
    ]
    assert len(untaught) == 3 and all(0 < float(row["mlrap"]) <= 1 for row in rows)
    folder = tmp_path / "fold-2" / "seed-0"
    sets = [
        {i for part in ("train", "val") for i, _ in chunks_of(manifests.load(str(folder / name)), part)}
        for name in ("start-records", "pool-records", "test-records")
    ]
    assert sum(map(len, sets)) == len(set.union(*sets))
    assert "mlrap           0." in capsys.readouterr().out


def test_predictions_are_of_chunks_that_do_not_overlap(manifest, model_path):
    found, recordings = simulate_loop.predict(model_path, manifest)
    assert {clip.file for clip in found} <= {*recordings} and min(clip.score for clip in found) >= 0.1
    asked = {(clip.file, clip.start_seconds) for clip in found}
    assert asked <= {*chunks_of(manifest, "val")}
    given = simulate_loop.judge(found, recordings, clips.HIGHEST, 5, seed=0)
    for v in given:
        known = recordings[v.file]
        assert (v.answer == "yes") == (v.class_id in (known.label, *known.background))


def test_clips_of_recordings_whose_labels_have_times_are_answered_by_their_chunks(manifest, model_path):
    found, recordings = simulate_loop.predict(model_path, manifest)
    clip = next(c for c in found if len(recordings[c.file].annotations) > 1)
    others = dataclasses.replace(recordings[clip.file], label=clip.class_id, background=(), annotations=tuple(
        dataclasses.replace(a, label="" if a.start_seconds > clip.end_seconds else "x", background=())
        for a in recordings[clip.file].annotations
    ))  # fmt: skip
    [given] = simulate_loop.judge([clip], {clip.file: others}, clips.HIGHEST, 1, seed=0)
    assert (given.answer, given.species) == ("other", "x")
