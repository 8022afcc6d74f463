import json
import os
import socket
import subprocess
import sys
import types

import pytest

from bird_tf import config, keras, tf, train
from bird_tf.training import distribution
from tests.conftest import train_settings

# Loss curves on one device and on two logical devices. Without batch normalisation they are the same sums.
_CURVES = """
import sys
from bird_tf import config, tf
from bird_tf.records import manifests
from bird_tf.training import distribution, experiments, training_flags
halves = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)
for kind in ("none", "mirrored"):
    settings = config.parse(training_flags.TrainConfig, [*sys.argv[1:], "--distribute=" + kind])
    strategy = distribution.strategy(kind, settings.dataset.batch_size)
    run = experiments.Experiment(settings, manifests.load(settings.records), strategy)
    batches = iter(run.batches())
    print(strategy.num_replicas_in_sync, *(run.state.step(next(batches))[i] for _ in range(4) for i in (0, 1)))
    with run.state.average.in_place():
        print(run.validate().metrics["loss"])
settings = config.parse(training_flags.TrainConfig, [*sys.argv[1:], "--batch_norm"])
with strategy.scope():
    run = experiments.Experiment(settings, manifests.load(settings.records), strategy)
run.state.step(next(iter(run.batches())))
means = [w.value.values for w in run.state.network.weights if w.path.endswith("moving_mean")]
print(*(float(abs(first - second).numpy().max() + (abs(first).numpy().max() == 0)) for first, second in means))
"""


def _flags(settings, *without):
    """All flags of a training, which otherwise would follow the recommended recipe."""
    flags = [f for f in config.to_flagfile(settings).split("\n")[:-1] if not f.startswith(without)]
    return [f"--flagfile={os.devnull}", *flags]


def test_two_devices_train_as_one(manifest, tmp_path):
    """Background species are ignored: the two halves of a batch do not count equally many classes."""
    settings = train_settings(
        manifest, tmp_path, batch_norm=False, optimizer="adamw", clip_norm=0.1, ema=0.5, l2=1e-3, loss="sigmoid",
        background="ignore", unknown_background="ignore",
    )  # fmt: skip
    flags = _flags(settings, "--distribute")
    done = subprocess.run([sys.executable, "-c", _CURVES, *flags], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, average, two, average_of_two, spread = [[float(x) for x in line.split()] for line in done.stdout.splitlines()]
    assert (one[0], two[0]) == (1, 2)
    # the order of the sums differs
    assert two[1:] == pytest.approx(one[1:], rel=1e-3)
    assert average_of_two == pytest.approx(average, rel=1e-3)
    # with batch normalisation both devices have the same statistics
    assert spread == [0.0] * 3


def test_mirrors_of_one_device_are_no_mirrors():
    assert distribution.strategy("mirrored", 7) is tf.distribute.get_strategy()


def test_the_devices_are_named(monkeypatch, caplog):
    strategy = tf.distribute.get_strategy()
    assert distribution.devices(strategy) == "the processor"
    assert not distribution.is_one_gpu(strategy)
    details = {"device_name": "NVIDIA H200"}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: details)
    assert distribution.devices(strategy) == "NVIDIA H200"
    assert distribution.devices(types.SimpleNamespace(num_replicas_in_sync=2)) == "2 x NVIDIA H200"
    assert not caplog.records


@pytest.mark.parametrize(("driver", "hidden", "warns"), [(True, None, True), (True, "-1", False), (False, None, False)])
def test_a_gpu_that_tensorflow_cannot_use_is_told(tmp_path, monkeypatch, caplog, driver, hidden, warns):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    monkeypatch.setattr(distribution, "_NVIDIA_DRIVER", str(tmp_path if driver else tmp_path / "none"))
    if hidden:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    with caplog.at_level("WARNING", logger="absl"):
        assert distribution.devices(tf.distribute.get_strategy()) == "the processor"
    assert ("cannot use the NVIDIA GPU" in caplog.text) is warns


def _free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@pytest.fixture
def policy():
    """Restores the Keras policy that a training sets."""
    yield
    keras.config.set_dtype_policy("float32")


# bfloat16 has 8 significant bits: gradients of half a batch are rounded differently from those of the whole batch
@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-3), ("mixed_bfloat16", 2e-2)])
def test_two_processes_train_one_model(manifest, tmp_path, policy, dtype, tolerance):
    values = {"batch_norm": False, "epochs": 1, "ema": 0.5, "dtype_policy": dtype}
    flags = _flags(train_settings(manifest, tmp_path / "two", distribute="multiworker", **values))
    workers = [f"127.0.0.1:{port}" for port in _free_ports(2)]
    processes = []
    for index in range(2):
        tf_config = json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "bird_tf.train", *flags],
                env={**os.environ, "TF_CONFIG": tf_config}, stderr=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
    logs = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], logs
    lines = [next(line[9:] for line in text.splitlines() if "validation loss" in line) for text in logs]
    assert lines[0] == lines[1]
    assert len([path for path in (tmp_path / "two" / "logs").iterdir() if "tfevents" in path.name]) == 1
    alone = train.train(train_settings(manifest, tmp_path / "one", **values))
    distributed = json.loads((tmp_path / "two" / "summary.json").read_text())
    assert distributed["loss"] == pytest.approx(alone["loss"], rel=tolerance)
    if dtype == "float32":
        assert distributed["mlrap"] == pytest.approx(alone["mlrap"], abs=1e-6)


def test_one_device_gets_whole_batches():
    batches = tf.data.Dataset.range(4).batch(2)
    assert distribution.distribute_batches(distribution.strategy("none", 2), batches) is batches


@pytest.mark.parametrize(("num_workers", "parts"), [(1, [[[0, 4], [1, 5], [2, 6], [3, 7]]]),
                                                    (2, [[[0, 4], [1, 5]], [[2, 6], [3, 7]]])])  # fmt: skip
def test_each_device_gets_chunks_from_all_over_a_batch(num_workers, parts):
    """Those without a call are at its end."""
    batches = tf.data.Dataset.from_tensors({"label": tf.range(8), "spectrogram": tf.zeros([8, 2, 3])})
    for worker, expected in enumerate(parts):
        context = tf.distribute.InputContext(num_workers, worker, num_replicas_in_sync=4)
        strategy = types.SimpleNamespace(
            num_replicas_in_sync=4, distribute_datasets_from_function=lambda make, context=context: make(context)
        )
        own = list(distribution.distribute_batches(strategy, batches))
        assert [part["label"].numpy().tolist() for part in own] == expected
        assert {part["spectrogram"].shape.as_list()[0] for part in own} == {2}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cluster": []}', '{"cluster": {"worker": []}}', 5000 * "["])
def test_workers_without_names_are_refused(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(config.InputError, match="TF_CONFIG does not name the workers"):
        distribution.check("multiworker")
    distribution.check("none")
