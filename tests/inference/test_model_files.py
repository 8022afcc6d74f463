import shutil

import pytest

from bird_tf import config
from bird_tf.inference import model_files


def test_a_folder_that_is_not_a_model_is_refused_with_a_hint(tmp_path, run_dir):
    with pytest.raises(config.InputError, match=r"did you mean .*/export\?"):
        model_files.check(str(run_dir))
    with pytest.raises(config.InputError, match="not an exported model"):
        model_files.check(str(tmp_path))


def test_a_model_is_locked_with_its_run_or_alone(run_dir, tmp_path):
    alone = shutil.copytree(run_dir / "export", tmp_path / "models" / "one")
    assert model_files.folder_to_lock(f"{run_dir}/export/") == str(run_dir.resolve())
    assert model_files.folder_to_lock(str(alone)) == str(alone.resolve())
    assert model_files.folder_to_lock("s3://bucket/run/export") == "s3://bucket/run/export"
