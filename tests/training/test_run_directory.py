import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest

from bird_tf import config, files, keras
from bird_tf.inference import model_files
from bird_tf.models import architectures
from bird_tf.scores import prior
from bird_tf.training import run_directory


def test_a_run_is_read_as_it_was_written(run_dir, tmp_path):
    run, network = run_directory.load(str(run_dir))
    run_directory.save(str(tmp_path), run, network)
    again, same = run_directory.load(str(tmp_path))
    assert dataclasses.replace(again, prior=run.prior) == run
    for a, b in zip(same.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_network_is_float32_under_any_policy(run_dir):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        _, network = run_directory.load(str(run_dir))
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}


def test_unnamed_weights_of_version_0_1_0_are_read(run_dir, tmp_path):
    copy = shutil.copytree(run_dir, tmp_path / "run")
    _, network = run_directory.load(str(run_dir))
    (copy / run_directory.WEIGHTS).unlink()
    np.savez(copy / "best.npz", *network.get_weights())
    for a, b in zip(run_directory.load(str(copy))[1].get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run_keeps_its_channel_and_earlier_ones_heard_the_mean(run_dir, tmp_path):
    run, network = run_directory.load(str(run_dir))
    assert run.channel == "mix"
    run_directory.save(str(tmp_path), dataclasses.replace(run, channel="loudest"), network)
    assert run_directory.load_description(str(tmp_path)).channel == "loudest"
    path = str(tmp_path / model_files.RUN_DESCRIPTION)
    files.write_json(path, {k: v for k, v in json.loads(pathlib.Path(path).read_text()).items() if k != "channel"})
    assert run_directory.load_description(str(tmp_path)).channel == "mix"


def test_weights_that_do_not_fit_the_description_are_refused(run_dir, tmp_path):
    run = run_directory.load_description(str(run_dir))
    model = dataclasses.replace(run.model, filters=(4, 16))
    front_end = run.front_end
    other = architectures.build(model, {"spectrogram": (front_end.num_bands, front_end.num_frames)}, len(run.classes))
    run_directory.save(str(tmp_path), run, other)
    with pytest.raises(config.InputError, match=r"best\.weights\.h5 does not fit the network: .* has the shape"):
        run_directory.load(str(tmp_path))


def test_an_unfinished_run_has_no_summary(tmp_path):
    assert run_directory.finished(str(tmp_path)) is None


def test_a_directory_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(config.InputError, match=r"not a finished run .*; train it first"):
        run_directory.load(str(tmp_path))
    (tmp_path / model_files.RUN_DESCRIPTION).touch()
    with pytest.raises(config.InputError, match=f"did you mean {tmp_path}\\?"):
        run_directory.load(str(tmp_path / "export"))


def test_a_run_of_another_format_is_refused(run_dir, tmp_path):
    copy = shutil.copytree(run_dir, tmp_path / "run")
    path = str(copy / model_files.RUN_DESCRIPTION)
    described = json.loads((copy / model_files.RUN_DESCRIPTION).read_text())
    for version, told in ((0, "run format 0, this is 1"), (9, "a newer bird_tf wrote it .version 9")):
        files.write_json(path, {**described, "format_version": version})
        with pytest.raises(config.InputError, match=told):
            run_directory.load(str(copy))


def test_the_training_prior_is_exported_with_the_model_or_fitted_again(run_dir, model_path, manifest, tmp_path):
    ours = prior.load(f"{model_path}/{prior.ASSET}")
    assert (
        ours.num_recordings.sum() == manifest.num_recordings["train"] and ours.class_ids == manifest.classes.class_ids
    )
    copy = shutil.copytree(run_dir, tmp_path / "run")
    (copy / run_directory.PRIOR).unlink()  # early runs have none
    stored = run_directory.load_description(str(copy)).prior
    np.testing.assert_array_equal(stored.observations, ours.observations)


@pytest.mark.parametrize(("winner", "told"), [(2, "did you mean {}/round-2"), (0, "name the run of a teacher")])
def test_the_round_of_a_self_training_is_named_in_its_place(tmp_path, winner, told):
    files.write_json(str(tmp_path / files.SUMMARY), {"winner": winner})
    with pytest.raises(config.InputError, match=told.format(tmp_path)):
        run_directory.load_description(str(tmp_path))
