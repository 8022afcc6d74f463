import dataclasses
import shutil

import matplotlib.axes
import matplotlib.image
import pytest

from bird_tf import config
from bird_tf.records import manifests, schema
from tools import inspect_tfrecords


def test_the_numbers_match_the_records(manifest):
    activities, shown = inspect_tfrecords.gather(manifest, 3)
    for part in manifests.SPLITS:
        assert len(activities[part]) == manifest.num_chunks(part)
    assert set(shown) == {*manifest.classes.class_ids, "noise"}
    assert all(1 <= len(chunks) <= 3 for chunks in shown.values())
    # a second chunk of a recording comes only after all recordings
    assert len({chunk["recording_id"] for chunk in shown[manifest.classes.class_ids[0]]}) == 3
    lines = inspect_tfrecords.table(manifest, activities)
    [chunks] = [line.split()[1:] for line in lines if line.startswith("chunks")]
    assert [int(count) for count in chunks] == [manifest.num_chunks(part) for part in manifests.SPLITS]
    # no species is in noise
    assert all(len(line[32:].split()) == 2 for line in lines if line.startswith(manifest.classes.class_ids))
    histogram = lines[lines.index(next(line for line in lines if line.startswith("activity"))) + 1 :][:8]
    assert sum(int(line[32:41]) for line in histogram) == manifest.num_chunks("train")


def test_what_was_skipped_is_shown_with_its_reason(manifest):
    skipped = dataclasses.replace(manifest, skipped=({"file": "x.wav", "reason": "x.wav: holds no samples"},))
    activities = {part: [] for part in manifests.SPLITS}
    assert inspect_tfrecords.table(skipped, activities)[-2:] == ["1 skipped", "  x.wav: holds no samples"]


def test_a_backbone_is_mentioned(manifest):
    embedding = schema.Feature(name="embedding", dtype="float16", shape=(9,), producer="x.tflite", fingerprint="")
    with_backbone = dataclasses.replace(
        manifest, features={**manifest.features, "embedding": embedding},
        backbone={"model": "x.tflite", "licence": "CC0", "classes": list(manifest.classes.class_ids[:4])},
    )  # fmt: skip
    lines = [inspect_tfrecords.table(m, {part: [] for part in manifests.SPLITS}) for m in (manifest, with_backbone)]
    assert set(lines[1]) - set(lines[0]) == {
        "  embedding: 9 float16, from x.tflite", "  the backbone knows 4 of 6 classes; its licence: CC0",
    }  # fmt: skip


def test_a_contact_sheet_is_drawn(manifest, tmp_path, capsys):
    output = tmp_path / "sheet.png"
    inspect_tfrecords.main(inspect_tfrecords.InspectConfig(records=manifest.directory, output=str(output), columns=4))
    image = matplotlib.image.imread(output)
    assert image.shape[0] > 7 * 50 and image[..., :3].std() > 0.1
    assert "all checksums are right" in capsys.readouterr().out


def test_recordings_of_xeno_canto_are_told_apart_by_their_numbers(manifest, tmp_path, monkeypatch):
    _, shown = inspect_tfrecords.gather(manifest, 1)
    row = manifest.classes.class_ids[0]
    named = {row: [{**shown[row][0], "recording_id": b"XC173391 - Bananaquit - Coereba flaveola"}]}
    titles = []
    monkeypatch.setattr(matplotlib.axes.Axes, "set_title", lambda _, title, **__: titles.append(title))
    inspect_tfrecords.contact_sheet(str(tmp_path / "sheet.png"), manifest, named, 1)
    assert [title.split(",")[0] for title in titles if title != "kHz"] == ["XC173391 -… flaveola"]


@pytest.mark.parametrize("values", [{"columns": -1}, {"max_classes": 0}])
def test_a_sheet_without_rows_is_refused(values):
    with pytest.raises(config.InputError, match=f"--{next(iter(values))}="):
        inspect_tfrecords.InspectConfig(records="r", **values)


def test_a_flipped_bit_is_found(manifest, tmp_path):
    copy = shutil.copytree(manifest.directory, tmp_path / "copy")
    victim = copy / manifest.shards["val"][0].name
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    with pytest.raises(config.InputError, match=f"damaged: {victim.name}"):
        inspect_tfrecords.main(inspect_tfrecords.InspectConfig(records=str(copy)))


def test_a_file_for_a_sheet_that_is_not_drawn_is_refused(manifest, tmp_path, monkeypatch):
    flags = {"records": manifest.directory, "output": str(tmp_path / "sheet.png")}
    with pytest.raises(config.InputError, match="--output with --columns=0 has no effect"):
        inspect_tfrecords.main(inspect_tfrecords.InspectConfig(columns=0, **flags))
    monkeypatch.setattr(manifests, "load", lambda _: dataclasses.replace(manifest, features={}))
    with pytest.raises(config.InputError, match=r"have no spectrograms, has no effect"):
        inspect_tfrecords.main(inspect_tfrecords.InspectConfig(**flags))
