import numpy as np
import pytest
import sklearn.metrics

from bird_tf.input import dataset
from bird_tf.models import losses
from bird_tf.records import shard_files
from bird_tf.scores import pooling
from bird_tf.training import exporter, run_directory, validation


def test_validation_is_what_scikit_learn_makes_of_the_networks_answers(manifest, run_dir):
    run, weights = run_directory.load(str(run_dir))
    network = exporter._float32_network(run, weights)
    loss = losses.LossConfig(loss="sigmoid")
    outcome = validation.validator(network, manifest, dataset.DatasetConfig(batch_size=3), loss, "mean")()

    scores, truth = {}, {}
    for chunk in shard_files.read(manifest, "val", 1):
        picture = chunk["spectrogram"].numpy() / np.float32(255)
        name = chunk["recording_id"].numpy()[0].decode()
        answer = 1 / (1 + np.exp(-network(picture, training=False)["logits"].numpy()[0]))
        scores.setdefault(name, []).append(answer)
        truth[name] = np.isin(np.arange(6), [*chunk["label"].numpy(), *chunk["background"].numpy().ravel()])
    pooled = np.stack([np.mean(scores[name], axis=0) for name in sorted(scores)])
    wanted = np.stack([truth[name] for name in sorted(truth)])
    np.testing.assert_allclose(outcome.scores, pooled, atol=1e-5)
    np.testing.assert_array_equal(outcome.truth, wanted)
    expected = sklearn.metrics.label_ranking_average_precision_score(wanted, pooled)
    assert outcome.metrics["mlrap"] == pytest.approx(expected, abs=1e-6)
    assert outcome.metrics["num_recordings"] == len(pooled)


def test_pooling_is_chosen_by_its_mlrap_when_left_to_validation(manifest, run_dir):
    run, weights = run_directory.load(str(run_dir))
    network = exporter._float32_network(run, weights)
    found = {
        method: validation.validator(network, manifest, dataset.DatasetConfig(), losses.LossConfig(), method)()
        for method in (*pooling.METHODS, "auto")
        if method != "attention"  # the network has none
    }
    chosen = found.pop("auto")
    assert chosen.metrics["mlrap"] == max(outcome.metrics["mlrap"] for outcome in found.values())
    np.testing.assert_array_equal(chosen.scores, found[chosen.pooling].scores)
