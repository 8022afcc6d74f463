"""Records in Python: tables of their recordings and classes, and their chunks as tf.data."""

from __future__ import annotations

import dataclasses
import functools
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from bird_tf import config, csv_files, python_calls
from bird_tf.api import frames
from bird_tf.input import dataset
from bird_tf.input.augment import augmentations
from bird_tf.records import manifests, recordings_table, schema

if TYPE_CHECKING:
    import pandas as pd

    from bird_tf import tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Features:
    """Which tensors of a chunk are asked for."""

    features: tuple[str, ...] = config.option((schema.SPECTROGRAM,), "names of features; see Records.features")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _ValidationFlags:
    dataset: dataset.DatasetConfig
    features: _Features


@dataclasses.dataclass(frozen=True, kw_only=True)
class _TrainingFlags:
    dataset: dataset.DatasetConfig
    augmentation: augmentations.AugmentConfig
    seed: int = config.option(0, "decides order and augmentation")
    features: _Features

    def __post_init__(self) -> None:
        config.check_seed("seed", self.seed)


class Records:
    """One converted data set. `bird_tf.open_records` makes it.

    Attributes:
        directory: where it lies.
        features: {name: shape} of the tensors in each chunk.
    """

    def __init__(self, directory: str) -> None:
        """Reads the manifest; see `open_records`."""
        self._manifest = manifests.load(directory)
        self.directory = directory
        self.features = {name: feature.shape for name, feature in self._manifest.features.items()}

    def __repr__(self) -> str:
        counts = ", ".join(f"{self._manifest.num_chunks(split)} {split}" for split in manifests.SPLITS)
        return f"<bird_tf.Records {self.directory}: {len(self._manifest.classes)} classes, chunks: {counts}>"

    @functools.cached_property
    def recordings(self) -> pd.DataFrame:
        """recordings.csv: a row for each recording, index recording_id; among the columns file, split and label."""
        rows = list(csv_files.read(os.path.join(self.directory, manifests.RECORDINGS), ("recording_id",)))
        for row in rows:
            for column in recordings_table.NUMBERS:
                row.number(column)  # refuses a damaged cell
        return frames.of_texts([row.cells for row in rows], recordings_table.NUMBERS, "recording_id")

    @functools.cached_property
    def classes(self) -> pd.DataFrame:
        """A row for each class, in the order of labels, index class_id: name, training_chunks, validation_chunks."""
        classes, counts = self._manifest.classes, self._manifest.chunks_per_class
        none = np.zeros(len(classes), int)
        columns = {
            "name": classes.names,
            "training_chunks": counts.get("train", none),
            "validation_chunks": counts.get("val", none),
        }
        pandas = frames.pandas()
        table: pd.DataFrame = pandas.DataFrame(columns, index=pandas.Index(classes.class_ids, name="class_id"))
        return table

    def training(self, **flags: Any) -> tf.data.Dataset:
        """Batches for training, without end, shuffled and augmented.

        Args:
            **flags: of bird_tf.train that change batches: `batch_size`, `balance`, `no_call_share`, `roll_time`, …;
                `seed`; and `features`, names of tensors (default: spectrogram).

        Returns:
            {"spectrogram": [batch, bands, frames] float32 in [0, 1]; "targets" and "weights": [batch, classes] float32;
            "label": [batch] int64, -1 without a call; "recording_id": [batch] string}.

        Raises:
            Error: there is no training chunk, or no such feature.
        """
        settings = python_calls.configure(_TrainingFlags, flags)
        with python_calls.one_family():
            return dataset.training(
                self._manifest, settings.dataset, settings.augmentation, settings.seed,
                features=settings.features.features,
            )  # fmt: skip

    def validation(self, **flags: Any) -> tf.data.Dataset:
        """Every validation chunk once, in order, without augmentation.

        Args:
            **flags: of bird_tf.train that change batches and targets: `batch_size`, `background`, …; and `features`.

        Returns:
            As `training`, and "background" [batch, n] int64 padded with -1, "background_known" [batch] bool,
            "chunk_index" [batch] int64, "start_seconds" and "activity" [batch] float32.

        Raises:
            Error: there is no such feature.
        """
        settings = python_calls.configure(_ValidationFlags, flags)
        with python_calls.one_family():
            return dataset.evaluation(self._manifest, settings.dataset, settings.features.features)


def open_records(directory: str | os.PathLike[str]) -> Records:
    """Opens a converted data set.

    Args:
        directory: of the records, as tfrecords/NAME.

    Raises:
        Error: no such records, they are not finished, or of a version that cannot be read.
    """
    with python_calls.one_family():
        return Records(os.fspath(directory))
