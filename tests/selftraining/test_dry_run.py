import dataclasses

import pytest

from bird_tf import config, executor
from bird_tf.records import schema
from bird_tf.selftraining import dry_run, teaching

PLACE = executor.PlaceConfig(threads=1)


def test_rates_and_sizes_are_those_of_the_recordings(model_path, manifest, unlabelled):
    """Without what a backbone says, which is not written."""
    embedding = schema.Feature(name="embedding", dtype="float16", shape=(1024,), producer="", fingerprint="")
    manifest = dataclasses.replace(manifest, features={**manifest.features, "embedding": embedding})
    teachers = teaching.Teachers([model_path], manifest)
    found = dry_run.estimate(teachers, teaching.find(str(unlabelled)), manifest, 1.0, 0.2, PLACE, for_mixtures=True)
    assert found.num_recordings == 6 and 5 * 2.5 < 3600 * found.hours < 5 * 4.5
    assert found.num_chunks == pytest.approx(3600 * found.hours, abs=6)  # of a second
    assert found.chunk_bytes == 32 * 32 and found.label_bytes == 2 * 6
    assert found.answer_bytes == 4 * 6 * 2  # with windows shifted by half
    assert 0 < found.share <= 1 and found.speed > 0
    assert "without up to 2 recordings for mixtures alone" in "\n".join(found.lines())
    none = dry_run.estimate(teachers, teaching.find(str(unlabelled)), manifest, 1.0, 100.0, PLACE, for_mixtures=False)
    assert none.share == 0 and "0 % of the chunks" in "\n".join(none.lines())
    assert "for mixtures" not in "\n".join(none.lines())
    (unlabelled / "deep").rename(unlabelled.parent / "elsewhere")
    with pytest.raises(config.InputError, match="two recordings that can be read"):
        dry_run.estimate(teachers, teaching.find(str(unlabelled)), manifest, 1.0, 0.2, PLACE, for_mixtures=True)
