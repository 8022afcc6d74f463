"""Tables of Parquet files, as cells of text. What they mean belongs to the modules that read tables."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from bird_tf import config, lines

SUFFIX = ".parquet"
_BATCH = 10_000  # rows that are in memory at once


def check(what: str) -> None:
    """Refuses what needs Parquet where its library is missing; the message begins with `what`.

    Raises:
        InputError: there is no pyarrow.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise config.InputError(f'{what} needs pyarrow: pip install "bird-tf[parquet]"')


def rows(path: str) -> Iterator[tuple[int, list[str]]]:
    """Yields (1, names of the columns), then (number of the row + 1, its cells); a missing value is an empty cell.

    Raises:
        InputError: the file cannot be read, is no Parquet file, or has too many rows; or there is no pyarrow.
    """
    check(path)
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            if file.metadata.num_rows > lines.MOST:
                raise config.InputError(f"{path}: more than {lines.MOST} rows; divide it into smaller files")
            yield 1, list(file.schema_arrow.names)
            first = 2
            for batch in file.iter_batches(_BATCH):
                columns = [map(_text, column.to_pylist()) for column in batch.columns]
                for number, cells in enumerate(zip(*columns, strict=True), first):
                    yield number, list(cells)
                first += batch.num_rows
    except (OSError, pyarrow.ArrowException) as error:
        raise config.InputError(f"{path}: not a Parquet file ({str(error).splitlines()[0]})") from error


def _text(value: object) -> str:
    return "" if value is None or value != value else str(value)
