import dataclasses
import os

import numpy as np
import pytest
import sklearn.metrics

from bird_tf.inference import ensembles, labelled
from bird_tf.input import dataset
from bird_tf.models import losses
from bird_tf.records import shard_files
from bird_tf.scores import pooling
from bird_tf.training import run_directory, validation


def test_metrics_equal_scikit_learns_for_the_predictions_of_the_network(manifest, run_dir):
    _, network = run_directory.load(str(run_dir))
    loss = losses.LossConfig(loss="sigmoid")
    result = validation.validator(network, manifest, dataset.DatasetConfig(batch_size=3), loss, "mean")()

    scores, truth = {}, {}
    for chunk in shard_files.read(manifest, "val", 1):
        spectrogram = chunk["spectrogram"].numpy() / np.float32(255)
        name = chunk["recording_id"].numpy()[0].decode()
        probabilities = 1 / (1 + np.exp(-network(spectrogram, training=False)["logits"].numpy()[0]))
        scores.setdefault(name, []).append(probabilities)
        truth[name] = np.isin(np.arange(6), [*chunk["label"].numpy(), *chunk["background"].numpy().ravel()])
    pooled = np.stack([np.mean(scores[name], axis=0) for name in sorted(scores)])
    expected_truth = np.stack([truth[name] for name in sorted(truth)])
    np.testing.assert_allclose(result.scores, pooled, atol=1e-5)
    np.testing.assert_array_equal(result.truth, expected_truth)
    expected = sklearn.metrics.label_ranking_average_precision_score(expected_truth, pooled)
    assert result.metrics["mlrap"] == pytest.approx(expected, abs=1e-6)
    assert result.metrics["num_recordings"] == len(pooled)


def test_auto_chooses_the_pooling_with_the_best_mlrap(manifest, run_dir):
    _, network = run_directory.load(str(run_dir))
    found = {
        method: validation.validator(network, manifest, dataset.DatasetConfig(), losses.LossConfig(), method)()
        for method in (*pooling.METHODS, "auto")
        if method != "attention"  # the network has none
    }
    chosen = found.pop("auto")
    assert chosen.metrics["mlrap"] == max(result.metrics["mlrap"] for result in found.values())
    np.testing.assert_array_equal(chosen.scores, found[chosen.pooling].scores)


@pytest.mark.parametrize("method", ["mean", "attention"])
def test_validation_and_evaluation_give_the_same_scores(manifest, attention_model_path, method):
    _, network = run_directory.load(os.path.dirname(attention_model_path))
    result = validation.validator(
        network, manifest, dataset.DatasetConfig(), losses.LossConfig(loss="softmax"), method
    )()
    ensemble = ensembles.Ensemble([attention_model_path])
    ensemble.decisions = dataclasses.replace(ensemble.decisions, pooling=method)
    scored = labelled.score_records(ensemble, manifest)
    np.testing.assert_allclose(result.scores, scored.pooled(ensemble), atol=1e-4)
    np.testing.assert_array_equal(result.labels, scored.labels)
