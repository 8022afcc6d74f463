"""What of a model goes into which file, and what a program without bird_tf must know to run these files.

Small programs read it in model.json: the format is for `tools/small_computer.py`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from bird_tf import files, tf
from bird_tf.audio import activity
from bird_tf.backbones import backbone, graph, windows
from bird_tf.inference import model_files, saved_model

DESCRIPTION, FORMAT_VERSION = "model.json", 1
# the folders of the formats in a run directory, named as the flags of the export
FOLDERS = ("tflite", "onnx")
# the file with the backbone of a head is in this folder
BACKBONE = model_files.BACKBONE
# the type of weights that every part has; a backbone, and what is computed from sound, bear no other
FLOAT32 = "float32"
_HEAD = "head"
# the inputs of such a head; an output of the model has the name "scores"
_SCORES, _EMBEDDINGS = "backbone_scores", "backbone_embeddings"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signature:
    """A signature that becomes a file.

    Attributes:
        model: path of the SavedModel.
        name: of the signature.
    """

    model: str
    name: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a model.

    Attributes:
        model: the model.
        front_end: samples → spectrogram; None for a head.
        network: spectrogram → the outputs of the model. Of a head: samples → outputs; if its backbone is a file of its
            own, samples and what that says of their windows, as in `graph.joined`, → outputs.
        backbone: of a head, if it is a file of its own.
    """

    model: saved_model.Model
    front_end: Signature | None
    network: Signature
    backbone: backbone.Backbone | None = None

    def inputs(self, spans: np.ndarray) -> dict[str, np.ndarray]:
        """What the first file takes of sound, [chunks, span_samples] float32."""
        if not self.backbone:
            return {"samples": spans}
        cut = windows.cut(self.backbone.window_samples, self.model.hearing, spans)
        scores, embeddings = self.backbone.outputs(cut)
        return {"samples": spans, _SCORES: scores, _EMBEDDINGS: embeddings}

    def describe(self, folder: str) -> None:
        """Writes model.json into a folder, and a copy of the backbone's file."""
        described: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            **dataclasses.asdict(self.model.hearing),
            "samples_before": self.model.hearing.samples_before,
            "has_learnt_from": self.model.description.backbones,
            "backbone": None,
        }
        if self.backbone:
            path = os.path.join(BACKBONE, os.path.basename(self.backbone.source.model))
            files.make_folder(os.path.join(folder, BACKBONE))
            shutil.copy(self.backbone.source.model, os.path.join(folder, path))
            described["backbone"] = {
                "file": path.replace(os.sep, "/"),
                "checksum": files.checksum(self.backbone.source.model),
                "window_shape": self.backbone.window_shape,
                "starts": windows.starts(self.backbone.window_samples, self.model.hearing).tolist(),
                **self.backbone.reading,
            }
        files.write_json(os.path.join(folder, DESCRIPTION), described)


@contextlib.contextmanager
def of(path: str) -> Iterator[Parts]:
    """The parts of an exported model.

    Raises:
        InputError: as `saved_model.Model` and its `outside_backbone`.
    """
    model = saved_model.Model(path)
    if not model_files.is_head(model.features):
        network, front_end = Signature(model=path, name="spectrogram"), Signature(model=path, name="frontend")
        yield Parts(model=model, front_end=front_end, network=network)
    elif not (outside := model.outside_backbone):
        yield Parts(model=model, front_end=None, network=Signature(model=path, name="serving_default"))
    else:
        with tempfile.TemporaryDirectory() as folder:
            _save_head(model, outside, folder)
            network = Signature(model=folder, name=_HEAD)
            yield Parts(model=model, front_end=None, network=network, backbone=outside)


def _save_head(model: saved_model.Model, outside: backbone.Backbone, folder: str) -> None:
    """Saves a SavedModel with one signature: samples and the outputs of a backbone → the outputs of the model."""
    heard, loaded = model.hearing, tf.saved_model.load(model.path)
    starts = windows.starts(outside.window_samples, heard)
    scores, embeddings = outside.outputs(np.zeros((1, outside.window_samples), np.float32))

    def outputs(samples: tf.Tensor, backbone_scores: tf.Tensor, backbone_embeddings: tf.Tensor) -> dict[str, tf.Tensor]:
        cut = graph.cut_windows(samples, starts, outside.window_samples)
        logits, joined = graph.joined(
            cut, backbone_scores, backbone_embeddings, outside.columns, len(starts),
            gives_logits=outside.source.gives_logits,
        )  # fmt: skip
        found = loaded.signatures[saved_model.HEAD](embedding=joined, backbone_answers=logits)
        has_sound = activity.has_sound(samples, heard.sample_rate_hz)
        return {name: value if name == "logits" else _where(has_sound, value) for name, value in found.items()}

    specs = {"samples": heard.span_samples, _SCORES: scores.shape[1], _EMBEDDINGS: embeddings.shape[1]}
    module = tf.Module()
    module.model = loaded
    module.outputs = tf.function(
        outputs,
        input_signature=[tf.TensorSpec([None, size], tf.float32, name) for name, size in specs.items()],
        autograph=False,
    )
    saved_model.write(module, folder, {_HEAD: module.outputs})


def _where(has_sound: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Values [batch] or [batch, classes], 0 or false where there is no sound, [batch] bool."""
    shaped = has_sound[:, None] if values.shape.rank > 1 else has_sound
    return tf.where(shaped, values, tf.zeros_like(values))
