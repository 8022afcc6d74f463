import collections
import csv
import dataclasses

import pytest

from bird_tf import config, convert, tf
from bird_tf.conversion import folds
from bird_tf.input import sampling
from bird_tf.labels import metadata, split
from bird_tf.records import manifests, recordings_table, schema
from tests.conftest import SMALL, settings


def _chunks(manifest, part):
    """{(recording id, chunk index): serialised example}."""
    chunks = {}
    for example in tf.data.TFRecordDataset(manifest.paths(part)).as_numpy_iterator():
        parsed = schema.parse(tf.constant([example]), ())
        chunks[parsed["recording_id"].numpy()[0].decode(), int(parsed["chunk_index"][0])] = example
    return chunks


def test_the_test_recordings_of_a_fold_are_not_in_its_training_records(manifest, tmp_path):
    settings = split.SplitConfig(val_share=0.3)
    tested = []
    for fold in range(3):
        folds.prepare(manifest, str(tmp_path / str(fold)), 3, fold, settings)
        training, test = (manifests.load(str(tmp_path / str(fold) / name)) for name in ("records", "test"))
        trained = {key[0] for part in training.shards for key in _chunks(training, part)}
        held_out = {key[0] for key in _chunks(test, "val")}
        assert trained and held_out and not trained & held_out
        assert not test.num_chunks("train")
        tested += sorted(held_out)
    everything = {key[0] for part in ("train", "val", "rest") for key in _chunks(manifest, part)}
    assert sorted(tested) == sorted(everything)


def test_so_many_recordings_of_each_species_are_drawn(manifest):
    found = folds.recordings(manifest.directory)
    drawn = {r.recording_id for r in folds.at_most(found, 2, "x 0")}
    labels = [r.label for r in found if r.recording_id in drawn]
    assert sorted(labels) == sorted(2 * [*{r.label for r in found}])
    assert drawn == {r.recording_id for r in folds.at_most(found[::-1], 2, "x 0")}
    assert drawn != {r.recording_id for r in folds.at_most(found, 2, "x 1")}


def test_recordings_that_can_train_are_drawn_first(manifest, tmp_path):
    found = folds.recordings(manifest.directory)
    can_train = {next(r.recording_id for r in found if r.label == label) for label in {r.label for r in found}}
    one, two = ({r.recording_id for r in folds.at_most(found, most, "x 0", can_train)} for most in (1, 2))
    assert one == can_train < two
    assert two == one | {
        r.recording_id for r in folds.at_most([r for r in found if r.recording_id not in one], 1, "x 0")
    }
    path = tmp_path / manifests.RECORDINGS
    path.write_text("recording_id,file,split,label,name,author,chunks,training_chunks,noise_chunks\n"
                    "a,a,val,x,x,,3,0,1\nb,b,val,x,x,,3,2,0\nc,c,train,x,x,,0,0,0\n")  # fmt: skip
    assert recordings_table.that_can_train(str(tmp_path)) == {"b"}


def test_a_fold_learns_from_at_most_a_number_of_recordings_of_each_class(manifest, tmp_path):
    kept = []
    for most in (1, 2, 0):
        output = str(tmp_path / str(most))
        folds.prepare(manifest, output, 3, 0, split.SplitConfig(val_share=0.0), most)
        learnt = recordings_table.read(f"{output}/records", with_unused=True)
        held_out = {r.recording_id for r in recordings_table.read(f"{output}/test", with_unused=True)}
        number = collections.Counter(r.label for r in learnt)
        assert len(number) == len(manifest.classes) and (not most or set(number.values()) == {most})
        kept.append(({r.recording_id for r in learnt}, held_out))
    (one, tested), (two, tested_again), (every, _) = kept
    assert one < two <= every and tested == tested_again and not tested & every


@pytest.fixture(scope="module", params=[0, 4], ids=["no cap", "cap"])
def converted(request, data, tmp_path_factory):
    """A function: {recording id: side} or None → records of `data` with this split, some of whose chunks are silent."""
    own = split.split

    def convert_with(split_of):
        def given(recordings, settings):
            if split_of is None:
                return own(recordings, settings)
            kept = [r for r in recordings if r.recording_id in split_of]
            return [dataclasses.replace(r, split=split_of[r.recording_id]) for r in kept]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(split, "split", given)
            return convert.convert(
                settings(
                    convert.ConvertConfig, audio=data / "wav", metadata=data / "xml", workers=1, val_share=0.3,
                    output=tmp_path_factory.mktemp("converted") / "set", shard_minutes=0.3, signal_threshold=0.01,
                    noise_share=0.5, max_chunks_per_class=request.param, **SMALL,
                )
            )  # fmt: skip

    return convert_with


@pytest.fixture(scope="module")
def before(converted):
    """Records with the converter's own split."""
    return converted(None)


def _same(ours, fresh):
    for part in manifests.SPLITS + manifests.SPARE:
        assert _chunks(ours, part) == _chunks(fresh, part), part
        assert ours.chunks_per_class[part] == fresh.chunks_per_class[part], part
    assert ours.num_recordings == fresh.num_recordings
    assert ours.selected_for_refit == fresh.selected_for_refit


def test_regrouped_records_equal_a_conversion_with_that_split(converted, before, tmp_path):
    found = folds.recordings(before.directory)
    sides = {r.recording_id: r.split for r in recordings_table.read(before.directory, with_unused=True)}
    chosen = {r.recording_id: ("val" if i % 3 else "train") for i, r in enumerate(found)}
    assert {(sides[i], chosen[i]) for i in chosen} == {(a, b) for a in ("train", "val") for b in ("train", "val")}
    made, fresh = folds.regroup(before, str(tmp_path / "some"), chosen), converted(chosen)
    _same(made, fresh)
    _same(manifests.load(str(tmp_path / "some")), fresh)
    assert all(fresh.num_chunks(part) for part in manifests.SPLITS + manifests.SPARE)
    ours, theirs = ({r.recording_id for r in recordings_table.read(m.directory)} for m in (made, fresh))
    assert ours == theirs
    with open(tmp_path / "some" / manifests.RECORDINGS) as file:
        assert {row["recording_id"]: row["split"] for row in csv.DictReader(file)} == chosen


def test_a_refit_trains_on_what_a_conversion_without_validation_gives(converted, before):
    everything = before.with_all_for_training()
    fresh = converted(dict.fromkeys((r.recording_id for r in folds.recordings(before.directory)), "train"))
    passes = sampling.chunk_filter(everything, sampling.SamplingConfig())
    examples = tf.data.TFRecordDataset(everything.paths("train")).batch(1000)
    trained = [e for block in examples for e in block.numpy()[passes(block).numpy()]]
    assert sorted(trained) == sorted(_chunks(fresh, "train").values())
    assert len(trained) < sum(1 for _ in tf.data.TFRecordDataset(everything.paths("train")))
    assert _chunks(everything, "noise") == _chunks(fresh, "noise")
    for part in ("train", "noise"):
        assert everything.chunks_per_class[part] == fresh.chunks_per_class[part]
        assert everything.num_recordings[part] == fresh.num_recordings[part]
    assert not everything.num_chunks("val")


def test_records_of_format_3_keep_their_chunks(before, tmp_path):
    """They do not say which chunks train."""
    old = dataclasses.replace(
        before, format_version=3, selected_for_refit=None,
        shards={part: before.shards[part] for part in manifests.SPLITS},
    )  # fmt: skip
    everything = old.with_all_for_training()
    assert everything.selected is None
    assert everything.num_chunks("train") == old.num_chunks("train") + old.num_chunks("val")
    assert folds.regroup(old, str(tmp_path / "some"), {"1": "train"}).selected_for_refit is None


def test_folds_do_not_depend_on_which_recordings_gave_chunks(tmp_path):
    """Two front-ends that skip different recordings are tested on the same recordings."""
    recordings = [metadata.Recording(recording_id=str(i), path=f"{i}.wav", label="ab"[i % 2]) for i in range(9)]
    assigned = []
    for skipped in ("3", "6"):
        entries = [(r, (1.0, int(r.recording_id != skipped), 1, 0, "", "")) for r in recordings]
        folder = tmp_path / skipped
        recordings_table.write(str(folder), "", entries)
        assigned.append(split.folds(folds.recordings(str(folder)), 3, split.SplitConfig()))
    assert assigned[0] == assigned[1] and len(assigned[0]) == 9


def test_regrouped_records_keep_their_format_version(manifest, tmp_path):
    old = dataclasses.replace(manifest, format_version=2, backbone={"model": "x", "fingerprint": ""})
    chosen = {r.recording_id: "train" for r in folds.recordings(manifest.directory)[:3]}
    folds.regroup(old, str(tmp_path / "some"), chosen)
    loaded = manifests.load(str(tmp_path / "some"))
    assert (loaded.format_version, loaded.backbone) == (2, {"model": "x", "fingerprint": ""})


def test_records_without_their_table_are_refused(manifest, tmp_path):
    with pytest.raises(config.InputError, match=r"recordings\.csv is missing"):
        folds.recordings(str(tmp_path))
