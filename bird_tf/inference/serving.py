"""Calibration and thresholds inside the graph of a SavedModel, for TensorFlow Serving, TFLite and ONNX.

bird_tf itself reads the raw `scores` and decides by `scores.decisions`: ensembles and pooling need them. Both use the
same numbers; `store` writes them into the variables of an exported model.
"""

from __future__ import annotations

import os

import numpy as np

from bird_tf import files, tf
from bird_tf.backbones import exported
from bird_tf.labels import taxonomy
from bird_tf.scores import calibration, thresholds

_KEY = exported.DECISIONS + "{}/.ATTRIBUTES/VARIABLE_VALUE"


class Decisions:
    """Scores of chunks → calibrated probabilities, and which species are present by each rule.

    Attributes:
        variables: the attribute `decisions` of the module that is saved must be this, so that `store` finds them.
    """

    def __init__(self, num_classes: int) -> None:
        self.variables = tf.Module()
        self.variables.slope = tf.Variable(1.0)
        self.variables.intercept = tf.Variable(0.0)
        self.variables.thresholds = {rule: tf.Variable(tf.fill([num_classes], 0.5)) for rule in thresholds.RULES}

    def outputs(self, scores: tf.Tensor) -> dict[str, tf.Tensor]:
        """The outputs of a signature.

        Args:
            scores: [batch, classes] float32 in [0, 1], 0 in chunks without sound.

        Returns:
            "probabilities" [batch, classes] float32, calibrated; "scores" as given; and for each rule "present_RULE"
            [batch, classes] bool.
        """
        # not log1p, which ONNX does not have; the difference from 1 is exact where it matters
        below_one = tf.minimum(scores, calibration.BELOW_ONE)
        slope, intercept = self.variables.slope, self.variables.intercept
        logits = slope * (tf.math.log(below_one) - tf.math.log(1.0 - below_one)) + intercept
        unchanged = tf.logical_and(tf.equal(slope, 1.0), tf.equal(intercept, 0.0))
        probabilities = tf.where(tf.logical_or(unchanged, scores <= 0.0), scores, tf.sigmoid(logits))
        present = {
            f"present_{rule}": tf.logical_and(probabilities >= least, probabilities > 0.0)
            for rule, least in self.variables.thresholds.items()
        }
        return {"probabilities": probabilities, "scores": scores, **present}

    def assign(self, fitted: calibration.Calibration) -> None:
        """Sets the variables."""
        self.variables.slope.assign(fitted.slope)
        self.variables.intercept.assign(fitted.intercept)
        for rule, least in self.variables.thresholds.items():
            least.assign(fitted.thresholds[rule])


def _values(fitted: calibration.Calibration) -> dict[str, np.ndarray | np.float32]:
    """The values of the variables, by name."""
    least = {f"thresholds/{rule}": np.asarray(fitted.thresholds[rule], np.float32) for rule in thresholds.RULES}
    return {"slope": np.float32(fitted.slope), "intercept": np.float32(fitted.intercept), **least}


def digest(path: str) -> str:
    """A digest of an exported model's weights and classes: which model it is, whatever calibration `store` wrote."""
    classes = taxonomy.load(os.path.join(path, exported.CLASSES))
    return files.digest([*exported.weights(path), classes.digest])


def store(path: str, fitted: calibration.Calibration) -> bool:
    """Writes a calibration into the variables of an exported model.

    Args:
        path: the SavedModel.
        fitted: of its chunks.

    Returns:
        Whether the model has such variables. Models of earlier versions have none: their signatures stay as they are.
    """
    folder = os.path.join(path, exported.VARIABLES)
    tensors = exported.variables(path)
    changed = {_KEY.format(name): value for name, value in _values(fitted).items()}
    if not set(changed) <= set(tensors):
        return False
    tensors |= changed
    with files.replacing(folder, durable=True) as temporary:
        files.make_folder(temporary)
        tf.raw_ops.SaveV2(
            prefix=os.path.join(temporary, exported.VARIABLES),
            tensor_names=list(tensors),
            shape_and_slices=[""] * len(tensors),
            tensors=[tf.constant(value) for value in tensors.values()],
        )
    return True
