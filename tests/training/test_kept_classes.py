import dataclasses
import os
import pathlib
import shutil

import numpy as np
import pytest

from bird_tf import config, convert, tf, train
from bird_tf.audio import decode
from bird_tf.inference import ensembles, labelled, saved_model
from bird_tf.input import dataset
from bird_tf.labels import metadata
from bird_tf.labels.layouts import reader
from bird_tf.models import losses
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
            "workers": 1, "val_share": 0.3, "signal_threshold": 0.005, "noise_share": 1.0,
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
    flags = {"loss": "sigmoid", "epochs": 10, "learning_rate": 0.01, "keep": "last"}
    train.train(train_settings(parts[0].records, run_dir, **flags))
    return run_dir


def _audio_scores(run_dir, recordings):
    """{class id: [chunks] scores} of recordings."""
    ensemble = ensembles.Ensemble([str(run_dir / exporter.EXPORT)])
    scored = labelled.score_audio(ensemble, recordings, decode.ChunkingConfig())
    scores = np.concatenate([members[0] for members in scored.member_probabilities])
    return dict(zip(ensemble.classes.class_ids, scores.T, strict=True))


def test_a_head_answers_for_kept_classes_as_before(parts, head, tmp_path):
    earlier, new = parts
    first = run_directory.load_description(str(head)).classes.class_ids
    # whatever would change all weights: a penalty, a decay, a moving average
    harsh = {"optimizer": "adamw", "l2": 0.1, "ema": 0.9, "clip_norm": 1.0, "no_call_share": 0.2, "mixup": 0.5}
    flags = {**HEAD, **harsh, "pretrained": str(head), "keep_classes": True, "refit": True, "keep": "last"}
    train.train(train_settings(new.records, tmp_path / "run", **flags))
    (before, old), (after, trained) = (run_directory.load(str(run)) for run in (head, tmp_path / "run"))
    assert after.classes.class_ids == (*new.records.classes.class_ids, *first[:2])
    for ours, theirs in zip(trained.get_weights(), old.get_weights(), strict=True):
        np.testing.assert_array_equal(ours[..., 4:], theirs[..., :2])
        assert not np.array_equal(ours[..., :2], theirs[..., 2:]) and np.abs(theirs[..., :2]).max() > 0
    assert set(after.backbone["classes"]) == {new.records.classes.class_ids[i] for i in (0, 3)} | {first[0]}
    told, asked = (_audio_scores(run, earlier.recordings) for run in (head, tmp_path / "run"))
    for class_id in first[:2]:
        assert np.ptp(told[class_id]) > 0.01
        np.testing.assert_array_equal(asked[class_id], told[class_id])
    assert after.prior.class_ids == after.classes.class_ids
    np.testing.assert_array_equal(after.prior.num_recordings[4:], before.prior.num_recordings[:2])


def test_a_network_does_not_forget_kept_classes(parts, network, tmp_path):
    earlier, new = parts
    flags = {"loss": "sigmoid", "epochs": 4, "keep": "last", "pretrained": str(network), "keep_classes": True}
    train.train(train_settings(new.records, tmp_path / "run", **flags))
    first = earlier.records.classes.class_ids
    told, asked = (_audio_scores(run, earlier.recordings) for run in (network, tmp_path / "run"))
    for c in first: print(c, np.abs(asked[c]-told[c]).mean(), np.ptp(told[c]))
