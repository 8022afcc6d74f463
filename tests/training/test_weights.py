import numpy as np
import pytest

from bird_tf import config, keras
from bird_tf.models import architectures
from bird_tf.training import weights


def _network(architecture="baseline", **options):
    settings = architectures.ModelConfig(architecture=architecture, filters=(4, 8), dropout=0.1, **options)
    return architectures.build(settings, {"spectrogram": (16, 16)}, 3)


@pytest.mark.parametrize("architecture", architectures.OF_SPECTROGRAMS)
def test_names_do_not_depend_on_networks_built_before(architecture):
    options = {"application": "MobileNetV2"} if architecture == "application" else {}
    first, second = _network(architecture, **options), _network(architecture, **options)
    assert first.variables[0].path != second.variables[0].path or architecture == "application"
    named = weights.variables(first)
    assert {name: v.shape for name, v in named.items()} == {n: v.shape for n, v in weights.variables(second).items()}
    assert sorted(map(id, named.values())) == sorted(map(id, first.variables))
    assert [id(v) for v in weights.by_name(first).values()] == [id(v) for v in first.weights]


def test_names_say_layer_and_variable():
    names = list(weights.variables(_network()))
    assert names[:3] == ["conv2d_0/kernel", "normalisation_0/gamma", "normalisation_0/beta"]
    assert "dropout_1/seed_generator_state" in names and names[-1] == "dense_0/bias"


def test_assigned_arrays_are_those_of_the_other_network():
    first, second = _network(), _network()
    weights.assign(weights.variables(second), weights.arrays(weights.variables(first)), "x")
    for a, b in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("dense_0/bias"), r"has no dense_0/bias \(1 diff"),
        (lambda arrays: arrays.update({"dense_1/bias": np.zeros(3)}), "has dense_1/bias, which the network has not"),
        (lambda arrays: arrays.update({"dense_0/bias": np.zeros(1)}), r"dense_0/bias has the shape \(1,\) instead of"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_before_anything_is_assigned(change, message):
    network = _network()
    before = weights.arrays(weights.variables(network))
    arrays = {name: array + 1 for name, array in before.items()}
    change(arrays)
    with pytest.raises(config.InputError, match=f"file.npz does not fit the network: .*{message}"):
        weights.assign(weights.variables(network), arrays, "file.npz")
    for name, array in weights.arrays(weights.variables(network)).items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("architecture", architectures.OF_SPECTROGRAMS)
def test_a_file_gives_another_network_the_same_weights(architecture, tmp_path):
    options = {"application": "MobileNetV2"} if architecture == "application" else {}
    first, second = _network(architecture, **options), _network(architecture, **options)
    path = str(tmp_path / "best.weights.h5")
    weights.save(path, first)
    weights.load(path, second)
    for a, b in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert [file.name for file in tmp_path.iterdir()] == ["best.weights.h5"]


def test_a_file_of_a_mixed_network_fits_a_float32_network(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        mixed = _network()
    finally:
        keras.config.set_dtype_policy("float32")
    weights.save(str(tmp_path / "best.weights.h5"), mixed)
    network = _network()
    weights.load(str(tmp_path / "best.weights.h5"), network)
    for a, b in zip(mixed.weights, network.weights, strict=True):
        assert b.dtype == "float32"
        np.testing.assert_array_equal(a, b)


def test_a_file_that_does_not_fit_is_refused_in_one_line(tmp_path):
    path = str(tmp_path / "best.weights.h5")
    weights.save(path, _network())
    deeper = architectures.build(
        architectures.ModelConfig(architecture="baseline", filters=(4, 8, 8)), {"spectrogram": (16, 16)}, 3
    )
    with pytest.raises(config.InputError, match=r"best\.weights\.h5 does not fit the network: it has no "):
        weights.load(path, deeper)
    weights.save(path, deeper)
    with pytest.raises(config.InputError, match="does not fit the network: ") as refused:
        weights.load(path, _network())
    assert "\n" not in str(refused.value)


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "best.weights.h5"
    weights.save(str(path), _network())
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(config.InputError, match=r"best\.weights\.h5 is damaged"):
        weights.load(str(path), _network())


def test_a_write_that_fails_leaves_the_earlier_file(tmp_path, monkeypatch):
    path = tmp_path / "best.weights.h5"
    network = _network()
    weights.save(str(path), network)
    before = path.read_bytes()
    network.set_weights([array + 1 for array in network.get_weights()])
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("killed")))
    with pytest.raises(OSError, match="killed"):
        weights.save(str(path), network)
    assert path.read_bytes() == before
