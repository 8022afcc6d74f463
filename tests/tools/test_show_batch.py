import pathlib

import pytest

from bird_tf import config, tf
from tools import show_batch

FOLDER = pathlib.Path(__file__).parent.parent.parent / "configs"


@pytest.mark.parametrize("name", ["resnet.flags", "modern.flags"])
def test_any_training_flagfile_gives_a_png_file(manifest, tmp_path, name, capsys):
    output = tmp_path / "batch.png"
    flags = [f"--flagfile={FOLDER / name}", f"--records={manifest.directory}", f"--output={output}"]
    show_batch.main(config.parse(show_batch.ShowBatchConfig, flags))
    assert tf.io.decode_png(output.read_bytes()).shape[1] > 1000
    assert "32 chunks" in capsys.readouterr().out
