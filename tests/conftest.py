"""What several test files share: a synthesised data set, its records, and one trained model."""

import functools
import hashlib
import importlib
import json
import os
import pathlib
import types

import numpy as np
import pytest

from bird_tf import config, convert, csv_files, free_text, tf, train
from bird_tf.audio import frontend
from bird_tf.labels.layouts import reader
from bird_tf.models import architectures
from bird_tf.records import manifests
from bird_tf.scores import prior
from bird_tf.training import exporter, run_directory, tensorboard
from tools import synthesise

SMALL = {"sample_rate_hz": 22050, "num_bands": 32, "num_frames": 32, "n_fft": 512, "fmax_hz": 10000.0}


def settings(config_class, **values):
    """A configuration from flat values, as the flags of the same names would give it."""

    def plain(value):
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return str(value) if isinstance(value, pathlib.Path) else value

    return config.from_mapping(config_class, {name: plain(value) for name, value in values.items()})


def table(path):
    """The rows of a table that we wrote, each as {column: text}."""
    return [row.cells for row in csv_files.read(str(path), ())]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Test processes send their reports as UTF-8, in which a file name that is none cannot be written."""
    report = yield
    report.sections = [(title, free_text.printable(text, kept="\n\t")) for title, text in report.sections]
    return report


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """What killed commands of tests leave behind is not left to the user's commands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def librosa():
    """The library, without numba, which compiles for half a minute when its cache is empty. Nothing called needs it."""
    numba = importlib.import_module("numba")

    def plain(*arguments, **_):
        return arguments[0] if arguments and callable(arguments[0]) else plain

    with pytest.MonkeyPatch.context() as patch:
        for name in ("jit", "njit", "vectorize", "guvectorize", "stencil"):
            patch.setattr(numba, name, plain)
        yield importlib.import_module("librosa")


@pytest.fixture(scope="session")
def small_front_end():
    """A front-end that is quick to compute."""
    return frontend.FrontendConfig(**SMALL)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A BirdCLEF-shaped set: wav/ and xml/ of six species, three recordings each, of about three seconds."""
    folder = tmp_path_factory.mktemp("data")
    synthesise.recordings(str(folder), per_species=3, seconds=3.0, rate=22050, seed=7)
    return folder


@pytest.fixture(scope="session")
def source(data):
    """Where `data` lies."""
    return reader.SourceConfig(audio=str(data / "wav"), metadata=str(data / "xml"))


@pytest.fixture(scope="session")
def manifest(data, tmp_path_factory) -> manifests.Manifest:
    """Records of `data`, in several shards, with noise."""
    output = tmp_path_factory.mktemp("records") / "set"
    return convert.convert(
        settings(
            convert.ConvertConfig,
            audio=data / "wav",
            metadata=data / "xml",
            output=output,
            workers=1,
            val_share=0.3,
            group_by="recording",
            shard_minutes=0.3,
            signal_threshold=0.005,
            noise_share=1.0,
            **SMALL,
        )  # fmt: skip
    )


def train_settings(manifest, run_dir, **values):
    """Flags of a training of seconds."""
    return settings(
        train.TrainConfig, records=manifest.directory, run_dir=run_dir,
        **{"architecture": "baseline", "filters": [4, 8], "epochs": 2, "batch_size": 8, "add_noise": True, **values},
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _without_pictures():
    """Trainings draw nothing for TensorBoard, but for those of the session. Files that look at it replace this."""
    with pytest.MonkeyPatch.context() as patch:
        dot = np.zeros((1, 1, 3), np.uint8)
        patch.setattr(tensorboard, "confusion_image", lambda *_: dot)
        patch.setattr(tensorboard, "preview", types.SimpleNamespace(png=lambda *_: tf.io.encode_png(dot).numpy()))
        yield


@pytest.fixture
def bare_trainings(monkeypatch):
    """Trainings export no model and do not describe themselves to TensorBoard: for tests of what is trained."""
    monkeypatch.setattr(exporter, "export", lambda run_dir: run_dir)
    monkeypatch.setattr(tensorboard.EventWriter, "write_start", lambda *_, **__: None)


@pytest.fixture(scope="session")
def _models_read_once():
    """SavedModels of equal files are read once, as long as the first of them is there: a third of a second each."""
    load, loaded = tf.saved_model.load, {}

    def load_once(path):
        paths = sorted(path for path in pathlib.Path(path).rglob("*") if path.is_file())
        content = hashlib.md5(b"".join(os.fsencode(p.relative_to(path)) + p.read_bytes() for p in paths)).digest()
        first, model = loaded.pop(content, ("", None))
        loaded[content] = (first, model) if os.path.exists(first) else (path, load(path))
        if len(loaded) > 8:  # that of the longest ago
            del loaded[next(iter(loaded))]
        return loaded[content][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.saved_model, "load", load_once)
        yield


@pytest.fixture(scope="session")
def run_dir(manifest, _models_read_once, tmp_path_factory):
    """A finished run on `manifest`."""
    directory = tmp_path_factory.mktemp("runs") / "run"
    train.train(train_settings(manifest, directory))
    return directory


@pytest.fixture(scope="session")
def model_path(run_dir):
    """Its SavedModel."""
    return str(run_dir / exporter.EXPORT)


def with_free_classes(model):
    """Lets a copy of a model have other classes: it does not say which ones it was trained with, as an early one."""
    path = pathlib.Path(model) / "assets" / "train.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "classes"}))
    return model


@pytest.fixture
def generator():
    """Seeded random numbers."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def untrained(manifest, _models_read_once, tmp_path_factory):
    """Exports an untrained network that knows the classes of `manifest`: a function of its front-end and options.

    The same ones give the same model, so only a copy may be changed.
    """

    @functools.cache
    def make(front_end, **options):
        model = architectures.ModelConfig(filters=(4, 8), **options)
        num_classes = len(manifest.classes)
        network = architectures.build(model, {"spectrogram": (front_end.num_bands, front_end.num_frames)}, num_classes)
        if model.has_attention:  # it starts at zero: all would claim the same
            kernel = network.get_layer("attention").kernel
            kernel.assign(np.random.default_rng(0).normal(0, 1, kernel.shape))
        run = run_directory.Run(
            model=model, loss="softmax", pooling="mean", front_end=front_end, classes=manifest.classes,
            prior=prior.fit([], manifest.classes), training={"records": ""}, metrics={}, versions={},
        )  # fmt: skip
        run_dir = tmp_path_factory.mktemp("untrained")
        run_directory.save(str(run_dir), run, network)
        return exporter.export(str(run_dir))

    return make


@pytest.fixture(scope="session")
def attention_model_path(manifest, untrained):
    """The SavedModel of a network that says how much attention its chunks claim, at random."""
    return untrained(manifest.front_end, architecture="attention")
