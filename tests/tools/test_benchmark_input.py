import dataclasses

import numpy as np

from bird_tf.input.augment import augmentations
from bird_tf.records import shard_files
from tools.benchmarks import input as benchmark


def test_every_augmentation_has_a_row():
    off = {"augment_count", "augment_probability", "mixup_alpha", "mix_db"}
    assert set(benchmark._EACH) == {field.name for field in dataclasses.fields(augmentations.AugmentConfig)} - off


def test_it_measures_recipes_and_each_augmentation(manifest, capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "_EACH", {"zoom": 0.1, "mixup": 1.0})
    settings = benchmark.Settings(records=manifest.directory, batches=1, rounds=1)
    benchmark.main(settings)
    lines = capsys.readouterr().out.splitlines()
    *lines, stages, fed = lines
    names = [line[:26].strip() for line in lines[2:]]
    assert names == ["bare read, parse, cast", "shuffled, with targets", "recipe resnet.flags", *benchmark._EACH]
    assert lines[2].split()[-1] == "100%" and all(float(line[26:].split()[0]) > 0 for line in lines[2:])
    shares = [int(word[:-1]) for word in stages.split() if word.endswith("%")]
    assert 99 <= sum(shares) <= 101 and "augmentation" in stages
    assert "feeds" in fed and "989 TFLOP/s peak at 30%" in fed and "estimate" in fed


def test_generated_records_can_be_read(tmp_path):
    made = benchmark.generate(str(tmp_path), num_chunks=20, num_noise=8)
    [batch] = shard_files.read(made, "train", 100)
    assert batch["spectrogram"].shape == (20, 128, 256)
    np.testing.assert_array_equal(np.bincount(batch["label"], minlength=100), made.chunks_per_class["train"])
