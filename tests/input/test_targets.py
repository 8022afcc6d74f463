import numpy as np
import pytest

from bird_tf import config, tf
from bird_tf.input import targets
from bird_tf.models import losses


def _targets(settings, background, known):
    parsed = {
        "label": tf.constant([1], tf.int64),
        "background": tf.constant(np.reshape(background, (1, -1)), tf.int64),
        "background_known": tf.constant([known]),
    }
    made = targets.of_labels(parsed, 4, settings)
    return made["targets"].numpy()[0].tolist(), made["weights"].numpy()[0].tolist()


@pytest.mark.parametrize(
    ("values", "background", "known", "expected", "weights"),
    [
        ({"background": "negative"}, [2, -1], True, [0, 1, 0, 0], [1, 1, 1, 1]),
        ({"background": "ignore"}, [2, -1], True, [0, 1, 0, 0], [1, 1, 0, 1]),
        ({"background": "positive", "background_weight": 0.5}, [2, 3], True, [0, 1, 0.5, 0.5], [1, 1, 1, 1]),
        ({"background": "positive", "background_loss_weight": 0.2}, [2], True, [0, 1, 0.5, 0], [1, 1, 0.2, 1]),
        ({"background": "ignore"}, [1], True, [0, 1, 0, 0], [1, 1, 1, 1]),
        ({"background": "positive"}, [], True, [0, 1, 0, 0], [1, 1, 1, 1]),
        ({"unknown_background": "ignore"}, [], False, [0, 1, 0, 0], [0, 1, 0, 0]),
        ({"unknown_background": "ignore"}, [], True, [0, 1, 0, 0], [1, 1, 1, 1]),
        ({"background": "positive", "unknown_background": "ignore"}, [3], False, [0, 1, 0, 0.5], [0, 1, 0, 1]),
    ],
)
def test_targets(values, background, known, expected, weights):
    assert _targets(targets.TargetConfig(**values), background, known) == (expected, pytest.approx(weights))


@pytest.mark.parametrize(
    ("target", "weight", "answer", "share", "expected"),
    [
        (1.0, 1.0, 0.6, 0.25, (0.9, 1.0)),  # both know the class: blended
        (0.0, 0.0, 0.6, 0.25, (0.6, 1.0)),  # only the backbone knows it
        (1.0, 1.0, np.nan, 0.25, (1.0, 1.0)),  # only the label knows it
        (0.0, 0.0, np.nan, 0.25, (0.0, 0.0)),  # none knows it
        (1.0, 1.0, 0.6, 1.0, (0.6, 1.0)),
        (1.0, 1.0, np.nan, 1.0, (1.0, 1.0)),
    ],
)
def test_targets_from_labels_are_blended_with_answers(target, weight, answer, share, expected):
    label_targets = {"targets": tf.constant([[target]]), "weights": tf.constant([[weight]])}
    made = targets.blended(label_targets, tf.constant([[answer]], tf.float32), share)
    assert (made["targets"].numpy().item(), made["weights"].numpy().item()) == pytest.approx(expected)


def test_blended_targets_give_blended_losses(generator):
    logits, truth, answers = (tf.constant(generator.uniform(0, 1, (3, 5)), tf.float32) for _ in range(3))
    sigmoid, ones = losses.LossConfig(loss="sigmoid"), tf.ones((3, 5))
    made = targets.blended({"targets": truth, "weights": ones}, answers, 0.3)
    both = losses.loss(logits, truth, ones, sigmoid), losses.loss(logits, answers, ones, sigmoid)
    mixed = losses.loss(logits, made["targets"], made["weights"], sigmoid)
    assert float(mixed) == pytest.approx(0.7 * float(both[0]) + 0.3 * float(both[1]), rel=1e-5)


@pytest.mark.parametrize("flag", ["backbone_weight", "background_weight", "background_loss_weight"])
def test_weights_outside_of_0_to_1_are_refused(flag):
    with pytest.raises(config.InputError, match=f"--{flag}=1.5"):
        targets.TargetConfig(**{flag: 1.5})
