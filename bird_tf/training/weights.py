"""The weights of a network by name: which variable has which name, and files of weights.

Keras numbers the layers of the whole process. The names here number the layers of one network, so they do not depend on
the networks that were built before it.
"""

from __future__ import annotations

import collections
import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

from bird_tf import config, files, keras

# Keras chooses the file format by this suffix
SUFFIX = ".weights.h5"


def variables(network: keras.Model) -> dict[str, Any]:
    """{name: variable} of a network, the random state of dropout included. A name is as "conv2d_0/kernel"."""
    found, counts = {}, collections.Counter[str]()
    for layer in network.layers:
        kind = type(layer).__name__.lower()
        found.update({f"{kind}_{counts[kind]}/{variable.name}": variable for variable in layer.variables})
        counts[kind] += 1
    return found


def by_name(network: keras.Model) -> dict[str, Any]:
    """{name: variable} of a network's weights, without random states."""
    weights = {id(weight) for weight in network.weights}
    return {name: variable for name, variable in variables(network).items() if id(variable) in weights}


def arrays(of: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Copies of the values of variables, under the same names."""
    return {name: np.asarray(variable.numpy()) for name, variable in of.items()}


def assign(to: Mapping[str, Any], values: Mapping[str, np.ndarray], source: str) -> None:
    """Gives variables the values of the same names.

    Args:
        to: {name: variable}.
        values: {name: array}.
        source: where the values come from, for messages.

    Raises:
        InputError: names or shapes differ, or a value is no number. No variable has changed then.
    """
    check_arrays({name: tuple(variable.shape) for name, variable in to.items()}, values, source)
    for name, variable in to.items():
        variable.assign(values[name])


def save(path: str, network: keras.Model) -> None:
    """Writes a network's weights with Keras, whole or not at all."""
    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, f"network{SUFFIX}")
        network.save_weights(local)
        files.write_bytes(path, files.read_bytes(local))


def load(path: str, network: keras.Model) -> None:
    """Reads the weights that `save` wrote.

    Raises:
        InputError: the file is damaged, or its names or shapes are not those of the network.
    """
    with tempfile.TemporaryDirectory() as folder:
        stored, expected = (os.path.join(folder, f"{name}{SUFFIX}") for name in ("stored", "expected"))
        files.write_bytes(stored, files.read_bytes(path))
        network.save_weights(expected)
        with _naming_damage(path):
            check_shapes(_shapes(expected), _shapes(stored), path)
            network.load_weights(stored)


def _shapes(local: str) -> dict[str, tuple[int, ...]]:
    """{name: shape} of the arrays in an HDF5 file."""
    found: dict[str, tuple[int, ...]] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item.shape

    with h5py.File(local) as file:
        file.visititems(visit)
    return found


@contextlib.contextmanager
def _naming_damage(path: str) -> Iterator[None]:
    """Tells of what h5py raises in the block for a damaged file. Raises InputError."""
    try:
        yield
    except config.InputError:
        raise
    except (OSError, RuntimeError, ValueError, LookupError) as error:
        raise config.InputError(f"{path} is damaged ({str(error)[:300]}); copy it again or train again") from error


def check_arrays(expected: Mapping[str, tuple[int, ...]], found: Mapping[str, np.ndarray], source: str) -> None:
    """As `check_shapes`, of arrays {name: values}, which must be numbers."""
    check_shapes(expected, {name: array.shape for name, array in found.items()}, source)
    if texts := [name for name, array in found.items() if array.dtype.kind not in "biuf"]:
        raise config.InputError(f"{source} is damaged ({texts[0]} holds no numbers); copy it again or train again")


def check_shapes(expected: Mapping[str, tuple[int, ...]], stored: Mapping[str, tuple[int, ...]], source: str) -> None:
    """Compares {name: shape} of the arrays in `source` with the expected ones. Raises InputError if they differ."""
    differences = [f"it has no {name}" for name in expected if name not in stored]
    differences += [f"it has {name}, which the network has not" for name in stored if name not in expected]
    differences += [
        f"{name} has the shape {stored[name]} instead of {shape}"
        for name, shape in expected.items()
        if stored.get(name, shape) != shape
    ]
    if differences:
        raise config.InputError(
            f"{source} does not fit the network: {differences[0]} ({len(differences)} differences); was it written by "
            "another version? Train again"
        )
