import dataclasses

import numpy as np
import pytest

from bird_tf import config, train
from bird_tf.training import head_strength
from tests.backbones import conftest as toys
from tests.test_head import head_settings, records

__all__ = ("records",)
pytestmark = pytest.mark.parametrize("records", ["tflite"], indirect=True)


def test_the_strength_is_chosen_among_training_recordings(records, tmp_path, caplog):
    caplog.set_level("INFO", logger="absl")
    chosen = head_settings(records, tmp_path / "run", tune_head=True, mixup=0.0, l2=0.001)
    train.train(chosen)
    stored = config.parse(train.TrainConfig, [f"--flagfile={tmp_path / 'run' / 'run.flags'}"])
    assert any(stored.optimizer.l2 == pytest.approx(0.001 * factor) for factor in head_strength.FACTORS)
    assert not stored.tune_head
    assert "by MLRAP on held-out training recordings" in caplog.text
    with pytest.raises(config.InputError, match="--tune_head without --architecture=head has no effect"):
        head_settings(records, tmp_path / "other", architecture="pi", tune_head=True)
    with pytest.raises(config.InputError, match="--tune_head with --l2=0: name the --l2 to begin with"):
        train.train(head_settings(records, tmp_path / "none", tune_head=True, mixup=0.0, l2=0.0))


def test_the_strength_of_a_detector_stays(records, caplog):
    caplog.set_level("INFO", logger="absl")
    one = dataclasses.replace(records, classes=records.classes.subset([0]))
    assert head_strength.choose(head_settings(records, "unused", mixup=0.0, l2=0.002), one) == 0.002
    assert "one class ranks nothing, so --l2=0.002 stays" in caplog.text


def test_recordings_of_one_group_have_no_folds_to_choose_by(records, monkeypatch):
    monkeypatch.setattr(head_strength.groups, "assign", lambda found, _: dict.fromkeys(range(len(found)), "me"))
    with pytest.raises(config.InputError, match=r"are of one .* convert with another --group_by.* with --notune_head"):
        head_strength._folds(records)


def test_each_head_of_the_choice_is_a_training_of_its_own_without_its_fold(records):
    """The label of recordings of the fold does not matter; a strong penalty keeps a head at the backbone."""
    chosen = dataclasses.replace(head_settings(records, "unused", mixup=0.0, l2=0.002), epochs=3)
    fold_of = head_strength._folds(records)
    assert set(fold_of.values()) == {0, 1, 2}
    statistics = np.zeros(toys.SIZE), np.ones(toys.SIZE)
    heads = head_strength.Heads(chosen, len(records.classes), statistics, 3)
    before = heads.kernel.copy()
    heads.train(chosen, records, fold_of)
    alone = head_strength.Heads(chosen, len(records.classes), statistics, 3)
    alone.train(chosen, records, {recording_id: 0 for recording_id in fold_of})
    size = np.abs(heads.kernel).sum(axis=(0, 3))
    assert not before.any() and (size[:, 0] > size[:, -1]).all()
    assert np.abs(alone.kernel[:, 1] - alone.kernel[:, 2]).max() < 1e-5 < np.abs(alone.kernel[:, 1]).max()
    precisions = heads.precisions(chosen, records, fold_of)
    assert (
        precisions.shape == (len(head_strength.FACTORS), len(fold_of)) and ((precisions > 0) & (precisions <= 1)).all()
    )


def test_the_strength_stays_where_it_is_until_another_one_is_clearly_better(records, generator):
    easy = generator.uniform(0.2, 0.8, 200)
    luck = generator.normal(0, 0.02, 200)  # ± 0.0014 on average
    about_equal, worse = easy + luck - luck.mean() - 0.002, easy + luck - luck.mean() - 0.02
    # factors                                          1/9    1/3    1     3      9            27
    assert head_strength.nearest(np.stack([worse, worse, about_equal, easy, about_equal, worse])) == 2
    assert head_strength.nearest(np.stack([easy, worse, worse, worse, worse, worse])) == 0
    assert head_strength.nearest(np.stack([worse, easy, worse, easy, worse, worse])) == 3
    assert head_strength.nearest(np.stack([easy] * 6)) == 2
