"""Pandas tables: their index and columns. pandas is optional and imported here alone."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bird_tf import config

if TYPE_CHECKING:
    import pandas as pd

# of tables with a row for each chunk, as in OpenSoundscape, with the names of our own tables
INDEX = ("file", "start_seconds", "end_seconds")


def pandas() -> types.ModuleType:
    """The package.

    Raises:
        InputError: it is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise config.InputError("tables in Python need pandas: pip install 'bird-tf[pandas]'") from error
    return pd


def of_chunks(
    parts: Iterable[tuple[str, np.ndarray, np.ndarray, np.ndarray]], columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """A table with a row for each chunk, and the index `INDEX`.

    Args:
        parts: (file, [chunks] start in seconds, [chunks] end, [chunks, columns] values) of each recording.
        columns: their names; None: 0, 1, 2 …
    """
    files, starts, ends, values = zip(*parts, strict=True)
    counts = [len(part) for part in values]
    index = [np.repeat(np.array(files, object), counts), np.concatenate(starts), np.concatenate(ends)]
    table: pd.DataFrame = pandas().DataFrame(
        np.concatenate(values), index=pandas().MultiIndex.from_arrays(index, names=INDEX), columns=columns
    )
    return table


def of_rows(
    rows: Sequence[Sequence[Any]], columns: Sequence[str], times: Sequence[str] = (), numbers: Sequence[str] = ()
) -> pd.DataFrame:
    """A table with a row for each thing that was found.

    Args:
        rows: of equal length; None for what is not known.
        columns: their names.
        times: the columns with ISO 8601 texts, which become time stamps.
        numbers: the columns with numbers, which are float64 also if there are no rows or none is known.
    """
    package = pandas()
    table: pd.DataFrame = package.DataFrame(rows, columns=list(columns))
    for column in times:
        stamps = [package.Timestamp(text) if text else package.NaT for text in table[column]]
        table[column] = package.Series(stamps, dtype=None if stamps else "datetime64[ns]")
    return table.astype(dict.fromkeys(numbers, np.float64))


def of_texts(rows: Sequence[Mapping[str, str]], numbers: Iterable[str], index: str) -> pd.DataFrame:
    """A table of a CSV file's rows. Only the columns `numbers` become numbers: a site may be called 01, a species NA.

    Args:
        rows: {column: cell}.
        numbers: columns of numbers, empty where they are not known.
        index: the column that identifies a row.
    """
    table: pd.DataFrame = pandas().DataFrame(rows, dtype=object).set_index(index)
    for column in table.columns.intersection(list(numbers)):
        table[column] = pandas().to_numeric([cell or np.nan for cell in table[column]])
    return table
