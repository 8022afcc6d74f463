import pathlib

import numpy as np
import pytest

from bird_tf import config, tf
from bird_tf.input import pseudo_labels
from tools import show_batch

FOLDER = pathlib.Path(__file__).parent.parent.parent / "configs"


@pytest.mark.parametrize("name", ["resnet.flags", "modern.flags"])
def test_any_training_flagfile_gives_a_png_file(manifest, tmp_path, name, capsys):
    output = tmp_path / "batch.png"
    flags = [f"--flagfile={FOLDER / name}", f"--records={manifest.directory}", f"--output={output}"]
    show_batch.main(config.parse(show_batch.ShowBatchConfig, flags))
    assert tf.io.decode_png(output.read_bytes()).shape[1] > 1000
    assert ": 16 of the 32 chunks" in capsys.readouterr().out


def test_pseudo_labels_are_shown(manifest, tmp_path):
    count, ids = manifest.num_chunks("noise"), manifest.classes.class_ids
    labels, rates = np.full((count, len(ids)), 0.25, np.float16), np.ones(count, np.float32)
    folder, pictures = tmp_path / "labels", []
    pseudo = pseudo_labels.PseudoLabels(directory=manifest.directory, class_ids=ids, labels=labels, rates=rates)
    pseudo_labels.save(str(folder), pseudo)
    for name, extra in (("plain.png", []), ("taught.png", [f"--pseudo_labels={folder}"])):
        flags = [f"--records={manifest.directory}", f"--output={tmp_path / name}", "--batch_size=2", *extra]
        show_batch.main(config.parse(show_batch.ShowBatchConfig, flags))
        pictures.append((tmp_path / name).read_bytes())
    assert pictures[0] != pictures[1]
    with pytest.raises(config.InputError, match="holds no pseudo-labels"):
        show_batch.main(config.parse(show_batch.ShowBatchConfig, [*flags[:-1], f"--pseudo_labels={tmp_path}"]))
