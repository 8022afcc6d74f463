import collections
import csv
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil

import numpy as np
import pytest
import soundfile

import bird_tf
from bird_tf import config, convert
from bird_tf.audio import activity, decode, frontend
from bird_tf.conversion import worker
from bird_tf.records import manifests, shard_files
from tests.conftest import SMALL, settings


def _settings(data, output, **values):
    return settings(
        convert.ConvertConfig, audio=data / "wav", metadata=data / "xml", output=output,
        **{"workers": 1, "val_share": 0.3, "shard_minutes": 0.3, **SMALL, **values},
    )  # fmt: skip


def _bytes(directory):
    """{shard: md5} of all shards."""
    return {p.name: hashlib.md5(p.read_bytes()).hexdigest() for p in pathlib.Path(directory).glob("*.tfrecord")}


def _chunks(manifest, split):
    return [
        {name: value[i].numpy() for name, value in batch.items()}
        for batch in shard_files.read(manifest, split, 16)
        for i in range(len(batch["label"]))
    ]


def test_records_hold_every_recording(manifest, data):
    with open(os.path.join(manifest.directory, manifests.RECORDINGS)) as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(list((data / "wav").iterdir())) == 18
    chunks = collections.Counter(
        chunk["recording_id"].decode() for split in ("train", "val", "rest") for chunk in _chunks(manifest, split)
    )
    assert {row["recording_id"]: int(row["chunks"]) for row in rows if int(row["chunks"])} == chunks


def test_validation_keeps_every_chunk_and_training_the_active_ones(manifest, data):
    assert all(chunk["activity"] >= 0.005 for chunk in _chunks(manifest, "train"))
    assert all(chunk["activity"] < 0.005 for chunk in _chunks(manifest, "noise"))
    for chunk in _chunks(manifest, "val"):
        path = data / "wav" / f"DEMO_RN{chunk['recording_id'].decode()}.wav"
        assert 0 <= chunk["start_seconds"] < soundfile.info(str(path)).duration
    indices_of = collections.defaultdict(list)
    for chunk in _chunks(manifest, "val"):
        indices_of[chunk["recording_id"]].append(int(chunk["chunk_index"]))
    assert all(indices == list(range(len(indices))) for indices in indices_of.values())


def test_no_recording_is_in_training_and_validation(manifest):
    train, val = [{chunk["recording_id"] for chunk in _chunks(manifest, split)} for split in ("train", "val")]
    assert not train & val


def test_counts_in_the_manifest_match_the_shards(manifest):
    for split in manifests.SPLITS + manifests.SPARE:
        labels = collections.Counter(int(chunk["label"]) for chunk in _chunks(manifest, split))
        assert tuple(labels[i] for i in range(len(manifest.classes))) == manifest.chunks_per_class[split]
        assert sum(shard.count for shard in manifest.shards[split]) == sum(labels.values())


def test_stored_spectrograms_match_the_front_end(manifest, data):
    chunk = _chunks(manifest, "val")[0]
    path = str(data / "wav" / f"DEMO_RN{chunk['recording_id'].decode()}.wav")
    samples = np.concatenate(list(decode.ChunkStream(path, manifest.front_end, decode.ChunkingConfig(), 8)))
    spectrograms = frontend.spectrograms(samples, manifest.front_end)
    index = int(chunk["chunk_index"])
    # a batch of another size may sum in another order, which changes a rounded value by 1 of 255
    difference = frontend.quantise(spectrograms).numpy()[index].astype(int) - chunk["spectrogram"]
    assert np.abs(difference).max() <= 1
    assert activity.active_share(spectrograms.numpy())[index] == pytest.approx(chunk["activity"], abs=1e-3)


def test_bytes_do_not_depend_on_the_number_of_workers(data, tmp_path):
    first = convert.convert(_settings(data, tmp_path / "1", workers=1))
    second = convert.convert(_settings(data, tmp_path / "2", workers=2))
    assert len(first.shards["train"]) > 1
    assert _bytes(first.directory) == _bytes(second.directory)


def test_a_second_run_goes_on_where_the_first_stopped(data, tmp_path, monkeypatch):
    whole = convert.convert(_settings(data, tmp_path / "whole"))
    original, calls = worker.write_shard, []

    def write(task):
        calls.append(task.name)
        return original(task)

    def write_one(task):
        if calls:  # each further one: the thread of the first run may begin one more before it ends
            raise KeyboardInterrupt
        return write(task)

    monkeypatch.setattr(worker, "write_shard", write_one)
    with pytest.raises(KeyboardInterrupt):
        convert.convert(_settings(data, tmp_path / "broken"))
    with pytest.raises(config.InputError, match="did not finish"):
        manifests.load(str(tmp_path / "broken"))
    monkeypatch.setattr(worker, "write_shard", write)
    convert.convert(_settings(data, tmp_path / "broken"))
    assert calls.count(calls[0]) == 1 and len(calls) > 1  # the finished shard is not made again
    assert _bytes(tmp_path / "broken") == _bytes(whole.directory)


def test_other_flags_on_an_unfinished_directory_are_refused(data, tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "write_shard", lambda task: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        convert.convert(_settings(data, tmp_path / "x"))
    with pytest.raises(config.InputError, match="holds a conversion that differs"):
        convert.convert(_settings(data, tmp_path / "x", noise_share=0.7))


def _interrupted(monkeypatch, flags):
    """Converts the first shard alone."""
    original, calls = worker.write_shard, []

    def write_one(task):
        calls.append(task.name)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return original(task)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(worker, "write_shard", write_one)
        convert.convert(flags)


def test_a_whitelist_that_was_changed_does_not_go_on(data, tmp_path, monkeypatch, manifest):
    (tmp_path / "wanted.txt").write_text("\n".join(manifest.classes.class_ids[:3]))
    table = tmp_path / "t.csv"
    rows = [
        f"{path.name},{2 * i},{2 * i + 2},{class_id}"
        for path in (data / "wav").iterdir()
        for i, class_id in enumerate(manifest.classes.class_ids[:3])
    ]
    table.write_text("file,start,end,label\n" + "\n".join(rows))
    flags = _settings(data, tmp_path / "out", whitelist=[tmp_path / "wanted.txt"])
    flags = dataclasses.replace(flags, source=dataclasses.replace(flags.source, metadata=str(table)))
    _interrupted(monkeypatch, flags)
    (tmp_path / "wanted.txt").write_text("\n".join(manifest.classes.class_ids[:3:2]))
    with pytest.raises(config.InputError, match=r"a conversion that differs: .*classes\.csv has another content"):
        convert.convert(flags)


def test_shards_of_other_recordings_do_not_count(data, tmp_path, monkeypatch):
    _interrupted(monkeypatch, _settings(data, tmp_path / "out"))
    lengths = decode.durations  # which can be others with a decoder that was installed in between
    monkeypatch.setattr(decode, "durations", lambda paths: [*lengths(paths)][::-1])
    found, anew = (convert.convert(_settings(data, tmp_path / name)) for name in ("out", "new"))
    assert found.digest == anew.digest


def test_finished_records_are_overwritten_only_with_the_flag(data, tmp_path, monkeypatch):
    convert.convert(_settings(data, tmp_path / "x"))
    with monkeypatch.context() as patched, pytest.raises(config.InputError, match="--overwrite"):
        patched.setattr(decode, "durations", pytest.fail)  # it takes minutes
        convert.convert(_settings(data, tmp_path / "x"))
    again = convert.convert(_settings(data, tmp_path / "x", overwrite=True, num_bands=16))
    assert again.front_end.num_bands == 16


def test_from_python_a_check_returns_what_it_wrote_beside_the_records(data, tmp_path):
    flags = {"flagfile": os.devnull, "audio": data / "wav", "metadata": data / "xml", "output": tmp_path / "records"}
    found = bird_tf.convert(**flags, check=True)
    assert found == json.loads((tmp_path / "records.check" / "summary.json").read_text()) and found["num_recordings"]
    assert not (tmp_path / "records").exists()


def test_a_folder_with_other_files_is_refused(data, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(config.InputError, match="holds something else"):
        convert.convert(_settings(data, tmp_path))
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_an_unreadable_recording_is_listed_and_the_rest_goes_on(data, tmp_path):
    broken = shutil.copytree(data, tmp_path / "data")
    victim = sorted((broken / "wav").iterdir())[0]
    victim.write_bytes(b"RIFF not really")
    manifest = convert.convert(_settings(broken, tmp_path / "out"))
    [entry] = [e for e in manifest.skipped if victim.name in e["file"]]
    assert "cannot be decoded" in entry["reason"]
    assert sum(manifest.num_recordings[split] for split in ("train", "val")) == 17


def test_too_many_unreadable_recordings_fail_the_run(data, tmp_path):
    broken = shutil.copytree(data, tmp_path / "data")
    for victim in sorted((broken / "wav").iterdir())[:10]:
        victim.write_bytes(b"")
    with pytest.raises(config.InputError, match="10 of 18"):
        convert.convert(_settings(broken, tmp_path / "out"))
    assert not (tmp_path / "out" / manifests.MANIFEST).exists()


def test_shards_of_no_length_are_refused_before_any_work(data, tmp_path):
    with pytest.raises(config.InputError, match=r"--shard_minutes=0\.0: need a number above 0"):
        _settings(data, tmp_path / "out", shard_minutes=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("flags", [{"max_classes": -1}, {"max_chunks_per_class": -1}, {"noise_share": 10}])
def test_numbers_that_cannot_be_meant_are_refused(data, tmp_path, flags):
    with pytest.raises(config.InputError, match=f"--{next(iter(flags))}=.*: need"):
        _settings(data, tmp_path / "out", **flags)


def test_caps_hold_and_are_spread_over_recordings(data, tmp_path):
    manifest = convert.convert(_settings(data, tmp_path / "x", max_chunks_per_class=3, signal_threshold=0.0))
    assert set(manifest.chunks_per_class["train"]) == {3}
    per_recording = collections.Counter((int(c["label"]), c["recording_id"]) for c in _chunks(manifest, "train"))
    assert all(count < 3 for count in per_recording.values())


def test_different_rates_and_stereo_are_converted(tmp_path, generator):
    for i, (rate, channels) in enumerate([(8000, 1), (48000, 2), (22050, 1), (96000, 2)]):
        folder = tmp_path / "audio" / f"species{i % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{i}.flac", generator.normal(0, 0.1, (2 * rate, channels)), rate, subtype="PCM_24")
    manifest = convert.convert(
        settings(
            convert.ConvertConfig,
            audio=tmp_path / "audio",
            output=tmp_path / "out",
            workers=1,
            signal_threshold=0.0,
            **SMALL,
        )  # fmt: skip
    )
    assert manifest.num_chunks("train") + manifest.num_chunks("val") == 8
    assert manifest.skipped == ()


def test_a_whitelist_and_a_number_of_classes_choose(data, tmp_path, manifest):
    wanted = manifest.classes.class_ids[1:4]
    (tmp_path / "wanted.txt").write_text("\n".join([*wanted[:2], "", manifest.classes.names[3].upper()]))
    listed = convert.convert(_settings(data, tmp_path / "1", whitelist=[tmp_path / "wanted.txt"]))
    assert listed.classes.class_ids == wanted
    assert convert.convert(_settings(data, tmp_path / "2", max_classes=2)).classes.class_ids == tuple(
        manifest.classes.class_ids[:2]
    )


def test_annotated_recordings_are_converted_by_their_spans(data, tmp_path):
    (tmp_path / "audio").mkdir()
    for i, path in enumerate(sorted((data / "wav").iterdir())[:4]):
        shutil.copy(path, tmp_path / "audio" / f"site {i}.wav")
        (tmp_path / "audio" / f"site {i}.txt").write_text("0\t1\tparmaj\n1\t2\tturmer\n")
    made = convert.convert(
        settings(convert.ConvertConfig, audio=tmp_path / "audio", output=tmp_path / "out", workers=1,
                 val_share=0.25, noise_share=1.0, **SMALL)
    )  # fmt: skip
    assert made.classes.class_ids == ("parmaj", "turmer")
    assert made.chunks_per_class["train"] == (3, 3) and made.chunks_per_class["val"] == (1, 1)
    for split in ("train", "val"):
        assert all(int(c["label"]) == int(c["chunk_index"]) for c in _chunks(made, split))
    assert all(c["chunk_index"] >= 2 for c in _chunks(made, "noise"))


@pytest.mark.slow
def test_seven_workers_write_the_same_bytes(data, tmp_path):
    one = convert.convert(_settings(data, tmp_path / "1", shard_minutes=0.1))
    many = convert.convert(_settings(data, tmp_path / "7", shard_minutes=0.1, workers=7))
    assert _bytes(one.directory) == _bytes(many.directory)


def test_a_dask_cluster_writes_the_same_bytes(data, tmp_path):
    distributed = pytest.importorskip("distributed")
    one = convert.convert(_settings(data, tmp_path / "1"))
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None)
    with cluster:
        many = convert.convert(_settings(data, tmp_path / "dask", scheduler=cluster.scheduler_address))
    assert _bytes(one.directory) == _bytes(many.directory)


def test_all_that_a_person_calls_negative_becomes_noise(data, tmp_path):
    wavs = sorted((data / "wav").iterdir())
    rows = [f"{path.name},noise" for path in wavs[:2]] + [f"{path.name},a" for path in wavs[2:6]]
    (tmp_path / "t.csv").write_text("file,label\n" + "\n".join(rows) + "\n")
    (tmp_path / "audio").mkdir()
    for path in wavs[:6]:
        (tmp_path / "audio" / path.name).symlink_to(path)
    (tmp_path / "wind").mkdir()
    (tmp_path / "wind" / "3.wav").symlink_to(wavs[6])
    flags = _settings(data, tmp_path / "out", noise_share=0.0, noise_audio=tmp_path / "wind")
    source = dataclasses.replace(flags.source, audio=str(tmp_path / "audio"), metadata=str(tmp_path / "t.csv"))
    converted = convert.convert(dataclasses.replace(flags, source=source))
    ids = collections.Counter(chunk["recording_id"].decode() for chunk in _chunks(converted, "noise"))
    assert converted.classes.class_ids == ("a",) and len(ids) == 3
    assert ids["3"] == -(-soundfile.info(str(wavs[6])).frames // converted.front_end.sample_rate_hz)
    assert converted.num_recordings["noise"] == 3 and not converted.skipped


def test_verdicts_give_labels_and_noise_where_a_person_listened_and_nothing_elsewhere(data, tmp_path):
    names = [path.name for path in sorted((data / "wav").iterdir())[:4]]
    (tmp_path / "audio").mkdir()
    for name in names:
        (tmp_path / "audio" / name).symlink_to(data / "wav" / name)
    judged = [f"{name},0,1,a,yes,\n{name},1,2,a,no,\n{name},2,3,a,unsure,\n" for name in names]
    (tmp_path / "verdicts.csv").write_text(
        "file,start_seconds,end_seconds,class_id,verdict,species\n" + "".join(judged)
    )
    flags = _settings(data, tmp_path / "out", noise_share=1.0)
    source = dataclasses.replace(
        flags.source, audio=str(tmp_path / "audio"), metadata=str(tmp_path / "verdicts.csv"), layout="auto"
    )
    converted = convert.convert(dataclasses.replace(flags, source=source))
    times = {kind: [chunk["start_seconds"] for chunk in _chunks(converted, kind)] for kind in ("train", "val", "noise")}
    assert set(times["train"] + times["val"]) == {0.0} and set(times["noise"]) == {1.0}
    assert len(times["train"]) == len(times["noise"]) and len(times["train"] + times["val"]) == 4
