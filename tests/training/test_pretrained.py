import dataclasses

import numpy as np
import pytest

from bird_tf import config, keras, tf
from bird_tf.labels import taxonomy
from bird_tf.models import architectures, losses
from bird_tf.training import optimizers, pretrained, run_directory, train_step


@pytest.fixture
def earlier(run_dir):
    """The run, its weights, and a new network for other classes: two known (one by its Latin name), one new."""
    run, trained = run_directory.load(str(run_dir))
    ids, names = run.classes.class_ids, run.classes.names
    classes = taxonomy.Taxonomy((ids[4], "other", "renamed"), ("anything", "New species", names[1]))
    return run, trained.get_weights(), classes, architectures.build(run.model, {"spectrogram": (32, 32)}, 3)


def test_known_classes_keep_their_outputs(earlier, run_dir):
    run, weights, classes, network = earlier
    fresh = network.get_weights()
    pretrained.start(network, run.model, classes, pretrained.PretrainedConfig(pretrained=str(run_dir)))
    for ours, theirs in zip(network.get_weights()[:-2], weights[:-2], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    kernel, bias = network.get_weights()[-2:]
    np.testing.assert_array_equal(kernel[:, 0], weights[-2][:, 4])
    np.testing.assert_array_equal(kernel[:, 2], weights[-2][:, 1])
    np.testing.assert_array_equal(kernel[:, 1], fresh[-2][:, 1])
    np.testing.assert_array_equal(bias, [weights[-1][4], fresh[-1][1], weights[-1][1]])


def test_the_last_layer_may_stay_new(earlier, run_dir):
    run, weights, classes, network = earlier
    fresh = network.get_weights()
    settings = pretrained.PretrainedConfig(pretrained=str(run_dir), pretrained_output=False)
    pretrained.start(network, run.model, classes, settings)
    np.testing.assert_array_equal(network.get_weights()[-2], fresh[-2])
    np.testing.assert_array_equal(network.get_weights()[0], weights[0])


def test_records_of_another_front_end_are_told(earlier, run_dir, manifest, monkeypatch):
    model, settings = earlier[0].model, pretrained.PretrainedConfig(pretrained=str(run_dir))
    said = []
    monkeypatch.setattr(pretrained.logging, "warning", lambda text, *arguments: said.append(text % arguments))
    pretrained.check_records(settings, model, manifest)
    assert not said
    other = dataclasses.replace(manifest, front_end=dataclasses.replace(manifest.front_end, fmax_hz=9000.0))
    pretrained.check_records(settings, model, other)
    assert len(said) == 1 and "another front-end" in said[0] and "(fmax_hz 10000.0 / 9000.0)" in said[0]
    pretrained.check_records(pretrained.PretrainedConfig(), model, other)
    head = dataclasses.replace(model, architecture="head")
    pretrained.check_records(settings, head, other)  # `start` tells of it
    assert len(said) == 1


def test_training_does_not_change_frozen_layers(earlier, run_dir, generator):
    run, weights, classes, network = earlier
    settings = pretrained.PretrainedConfig(pretrained=str(run_dir), freeze_layers=2)
    pretrained.start(network, run.model, classes, settings)
    state = train_step.TrainState(network, optimizers.OptimizerConfig(), losses.LossConfig(), 0.1)
    state.step(
        {
            "spectrogram": tf.constant(generator.random((4, 32, 32)), tf.float32),
            "targets": tf.one_hot([0, 1, 2, 0], 3),
            "weights": tf.ones((4, 3)),
        }
    )
    same = [np.array_equal(a, b) for a, b in zip(network.get_weights()[:-2], weights[:-2], strict=True)]
    # two convolutions without bias and the four arrays of each normalisation are frozen; the third convolution is not
    assert same[:10] == [True] * 10 and not same[10]


def test_separable_convolutions_count_among_those_that_are_frozen():
    image = keras.Input((8, 8, 1))
    separable = [keras.layers.SeparableConv2D(2, 3, name=name) for name in ("first", "second")]
    network = keras.Model(image, keras.layers.Conv2D(2, 1, name="last")(separable[1](separable[0](image))))
    pretrained._freeze(network, 1)
    assert [layer.name for layer in network.layers if layer.weights and layer.trainable] == ["second", "last"]
    with pytest.raises(config.InputError, match="--freeze_layers=3: the network has 3"):
        pretrained._freeze(network, 3)


def test_a_run_that_does_not_fit_is_refused(earlier, run_dir, tmp_path):
    run, _, classes, network = earlier
    with pytest.raises(config.InputError, match=r"--nonlinearity=relu there, elu here"):
        other = architectures.ModelConfig(architecture="baseline", filters=(4, 8), nonlinearity="elu")
        pretrained.start(network, other, classes, pretrained.PretrainedConfig(pretrained=str(run_dir)))
    with pytest.raises(config.InputError, match="not a finished run"):
        pretrained.start(network, run.model, classes, pretrained.PretrainedConfig(pretrained=str(tmp_path)))
    with pytest.raises(config.InputError, match="--freeze_layers=4: the network has 4"):
        settings = pretrained.PretrainedConfig(pretrained=str(run_dir), freeze_layers=4)
        pretrained.start(network, run.model, classes, settings)
    with pytest.raises(config.InputError, match="--freeze_layers=-1"):
        pretrained.PretrainedConfig(freeze_layers=-1)
    with pytest.raises(config.InputError, match="--freeze_layers=1 without --pretrained: these layers would stay at"):
        pretrained.PretrainedConfig(freeze_layers=1)


def test_spectrograms_of_another_size_are_refused_where_they_matter(tmp_path, run_dir):
    run = run_directory.load_description(str(run_dir))
    pi = architectures.ModelConfig(architecture="pi", filters=(4, 8), dense_units=8)
    trained = architectures.build(pi, {"spectrogram": (32, 32)}, len(run.classes))
    run_directory.save(str(tmp_path), dataclasses.replace(run, model=pi), trained)
    with pytest.raises(config.InputError, match="another size"):
        pretrained.start(
            architectures.build(pi, {"spectrogram": (64, 32)}, 6),
            pi,
            run.classes,
            pretrained.PretrainedConfig(pretrained=str(tmp_path)),
        )


def test_a_failed_download_of_imagenet_weights_is_reported_in_one_line(earlier, monkeypatch):
    run, _, classes, network = earlier
    with pytest.raises(config.InputError, match="--architecture=application, not baseline"):
        pretrained.start(network, run.model, classes, pretrained.PretrainedConfig(pretrained="imagenet"))

    def fail(*_, **__):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.applications, "MobileNetV2", fail)
    model = architectures.ModelConfig(architecture="application", application="MobileNetV2")
    with pytest.raises(config.InputError, match=r"MobileNetV2 cannot be downloaded .URL fetch failure"):
        pretrained.start(network, model, classes, pretrained.PretrainedConfig(pretrained="imagenet"))


def test_imagenet_weights_replace_all_but_the_last_layer(monkeypatch):
    model = architectures.ModelConfig(architecture="application", application="MobileNetV2")
    network, source = (
        architectures.build(model, {"spectrogram": (32, 32)}, 3),
        keras.applications.MobileNetV2(include_top=False, weights=None),
    )
    fresh = network.get_weights()
    monkeypatch.setattr(keras.applications, "MobileNetV2", lambda **_: source)
    classes = taxonomy.Taxonomy(("a", "b", "c"), ("A", "B", "C"))
    pretrained.start(network, model, classes, pretrained.PretrainedConfig(pretrained="imagenet"))
    for ours, theirs in zip(network.get_weights(), [*source.get_weights(), *fresh[-2:]], strict=True):
        np.testing.assert_array_equal(ours, theirs)
