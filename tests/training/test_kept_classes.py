import dataclasses
import os
import pathlib
import shutil

import numpy as np
import pytest

from bird_tf import config, convert, tf, train
from bird_tf.audio import decode
from bird_tf.inference import ensembles, labelled
from bird_tf.input import dataset
from bird_tf.input.augment import augmentations
from bird_tf.labels import metadata
from bird_tf.labels.layouts import reader
from bird_tf.records import manifests
from bird_tf.scores import metrics, pooling
from bird_tf.training import exporter, kept_classes, pretrained, run_directory
from tests.backbones import conftest as toys
from tests.conftest import SMALL, settings, train_settings

HEAD = {"architecture": "head", "loss": "sigmoid", "add_noise": False, "learning_rate": 0.05}


@dataclasses.dataclass(frozen=True)
class Part:
    """Recordings of some species, and their records."""

    recordings: list[metadata.Recording]
    records: manifests.Manifest


@pytest.fixture(scope="module")
def parts(data, tmp_path_factory):
    """An earlier set of species 0 to 3, and a new one of species 2 to 5, with a backbone that knows 0, 2 and 5."""
    folder = tmp_path_factory.mktemp("parts")
    source = reader.SourceConfig(audio=str(data / "wav"), metadata=str(data / "xml"))
    recordings = sorted(reader.read(source)[0], key=lambda r: r.label)
    species = sorted({(r.label, r.name) for r in recordings})
    (folder / "labels.txt").write_text("\n".join(species[i][1] for i in (0, 2, 5)))
    module = toys.Loudness()
    tf.saved_model.save(module, str(folder / "toy"), signatures=module.function())

    def part(name, chosen):
        own = [r for r in recordings if r.label in chosen]
        for kind, suffix in (("wav", "wav"), ("xml", "xml")):
            os.makedirs(folder / name / kind)
            for stem in (pathlib.Path(r.path).stem for r in own):
                shutil.copy(data / kind / f"{stem}.{suffix}", folder / name / kind)
        flags = {
            "audio": folder / name / "wav", "metadata": folder / name / "xml", "output": folder / name / "records",
            "workers": 1, "val_share": 0.3, "group_by": "recording", "signal_threshold": 0.005, "noise_share": 1.0,
            "backbone": folder / "toy", "backbone_labels": folder / "labels.txt",
            "backbone_sample_rate_hz": toys.RATE, "backbone_logits": True,
        }  # fmt: skip
        return Part(own, convert.convert(settings(convert.ConvertConfig, **flags, **SMALL)))

    return part("earlier", [label for label, _ in species[:4]]), part("new", [label for label, _ in species[2:]])


@pytest.fixture(scope="module")
def head(parts, tmp_path_factory):
    """A head on the earlier records."""
    run_dir = tmp_path_factory.mktemp("head") / "run"
    train.train(train_settings(parts[0].records, run_dir, **HEAD))
    return run_dir


@pytest.fixture(scope="module")
def network(parts, tmp_path_factory):
    """A network of spectrograms on the earlier records."""
    run_dir = tmp_path_factory.mktemp("network") / "run"
    flags = {"loss": "sigmoid", "epochs": 40, "learning_rate": 0.01, "keep": "last"}
    train.train(train_settings(parts[0].records, run_dir, **flags))
    return run_dir


def _listen(run_dir, recordings, class_ids):
    """Scores [chunks, class_ids] of recordings, and the MLRAP of the recordings by the means of these scores."""
    ensemble = ensembles.Ensemble([str(run_dir / exporter.EXPORT)])
    columns = [ensemble.classes.index(class_id) for class_id in class_ids]
    scored = labelled.score_audio(ensemble, recordings, decode.ChunkingConfig())
    scores = [members[0][:, columns] for members in scored.member_probabilities]
    truth = np.array([np.isin(class_ids, [ensemble.classes.class_ids[label]]) for label in scored.labels])
    return np.concatenate(scores), metrics.mlrap(pooling.pool_each(scores, "mean"), truth)


def test_a_head_answers_for_kept_classes_as_before(parts, head, tmp_path):
    earlier, new = parts
    first = run_directory.load_description(str(head)).classes.class_ids
    # whatever would change all weights: a penalty, a decay, a moving average
    harsh = {"optimizer": "adamw", "l2": 0.1, "ema": 0.9, "clip_norm": 1.0, "no_call_share": 0.2, "mixup": 0.5}
    flags = {**HEAD, **harsh, "pretrained": str(head), "keep_classes": True, "refit": True, "keep": "last"}
    train.train(train_settings(new.records, tmp_path / "run", **flags))
    (before, old), (after, trained) = (run_directory.load(str(run)) for run in (head, tmp_path / "run"))
    assert after.classes.class_ids == (*new.records.classes.class_ids, *first[:2])
    statistics, outputs = (
        [network.get_layer(name).get_weights() for network in (trained, old)] for name in ("standardised", "logits")
    )
    np.testing.assert_array_equal(*statistics)
    for ours, theirs in zip(*outputs, strict=True):
        np.testing.assert_array_equal(ours[..., 4:], theirs[..., :2])
        assert not np.array_equal(ours[..., :2], theirs[..., 2:]) and np.abs(theirs[..., :2]).max() > 0
    assert set(after.backbone["classes"]) == {new.records.classes.class_ids[i] for i in (0, 3)} | {first[0]}
    told, asked = (_listen(run, earlier.recordings, first[:2])[0] for run in (head, tmp_path / "run"))
    assert np.ptp(told, axis=0).min() > 0.001
    np.testing.assert_array_equal(asked, told)
    assert after.prior.class_ids == after.classes.class_ids
    np.testing.assert_array_equal(after.prior.num_recordings[4:], before.prior.num_recordings[:2])


def test_a_network_does_not_forget_kept_classes(parts, network, tmp_path):
    earlier, new = parts
    flags = {"loss": "sigmoid", "epochs": 30, "learning_rate": 0.01, "keep": "last", "batch_size": 16}
    train.train(train_settings(new.records, tmp_path / "run", **flags, pretrained=str(network), keep_classes=True))
    # the four earlier species, of which the new records have two
    first = earlier.records.classes.class_ids
    (told, before), (asked, after) = (_listen(run, earlier.recordings, first) for run in (network, tmp_path / "run"))
    assert after >= before - 0.02
    kept = 2  # the first two
    assert np.abs(asked - told)[:, :kept].mean() < 0.25 * np.std(told[:, :kept])
    assert np.ptp(told[:, :kept], axis=0).min() > 0.3


def test_labels_say_nothing_of_kept_classes(parts, head):
    new = parts[1].records
    settings_of_start = pretrained.PretrainedConfig(pretrained=str(head), keep_classes=True)
    wide = kept_classes.with_kept_classes(new, settings_of_start, "sigmoid")
    assert (len(wide.classes), wide.num_further, wide.labelled_classes) == (6, 2, new.classes)
    assert all(len(counts) == 6 for counts in wide.with_all_for_training().chunks_per_class.values())
    features, plain = ("embedding", "backbone_answers"), augmentations.AugmentConfig(mixup=0.5)
    flags = dataset.DatasetConfig(batch_size=8, no_call_share=0.25)
    for batch in (
        next(iter(dataset.training(wide, flags, plain, seed=0, features=features))),
        next(iter(dataset.evaluation(wide, flags, features))),
    ):
        assert batch["weights"].numpy()[:, 4:].max() == 0 < batch["weights"].numpy()[:, :4].mean(axis=0).min()
        assert np.isnan(batch["backbone_answers"].numpy()[:, 4:]).all()


def test_what_cannot_be_kept_is_refused(parts, head, run_dir):
    new = parts[1].records
    for flags in ({}, {"pretrained": "imagenet"}, {"pretrained": "runs/a", "pretrained_output": False}):
        with pytest.raises(config.InputError, match="--keep_classes needs --pretrained=runs/NAME"):
            pretrained.PretrainedConfig(keep_classes=True, **flags)
    start = pretrained.PretrainedConfig(pretrained=str(head), keep_classes=True)
    with pytest.raises(config.InputError, match=r"--loss=sigmoid in .*, --loss=softmax here"):
        kept_classes.with_kept_classes(new, start, "softmax")
    with pytest.raises(config.InputError, match=r"--loss=softmax in .*, --loss=sigmoid here"):
        kept_classes.with_kept_classes(new, dataclasses.replace(start, pretrained=str(run_dir)), "sigmoid")
    other = {name: dataclasses.replace(f, fingerprint="other") for name, f in new.features.items()}
    with pytest.raises(config.InputError, match="of another version or of another backbone"):
        kept_classes.with_kept_classes(dataclasses.replace(new, features=other), start, "sigmoid")


def test_a_head_on_another_backbone_is_no_start(parts, head):
    records, settings_of_start = parts[1].records, pretrained.PretrainedConfig(pretrained=str(head))
    model = run_directory.load_description(str(head)).model
    pretrained.check_records(settings_of_start, model, records)
    other = {name: dataclasses.replace(f, fingerprint="other") for name, f in records.features.items()}
    with pytest.raises(config.InputError, match="of another version or of another backbone"):
        pretrained.check_records(settings_of_start, model, dataclasses.replace(records, features=other))
    # the numbers mean the same in chunks of another length
    longer = dataclasses.replace(records, front_end=dataclasses.replace(records.front_end, chunk_seconds=4.0))
    pretrained.check_records(settings_of_start, model, longer)


def test_records_with_all_classes_stay_as_they_are(parts, head):
    start = pretrained.PretrainedConfig(pretrained=str(head), keep_classes=True)
    wide = kept_classes.with_kept_classes(parts[0].records, start, "sigmoid")
    assert (wide.classes, wide.num_further) == (parts[0].records.classes, 0)
