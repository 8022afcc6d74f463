"""What a foreign format is: how its files are known and read, and what --columns may tell of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from bird_tf.labels import texts
from bird_tf.labels.tables import rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """A format of files that tell labels.

    Attributes:
        name: as it is told.
        suffixes: of its files, in lower case.
        recognise: whether a file with such a suffix has this format. Raises InputError if it cannot be read.
        read: its rows. Raises InputError if there are none, or it cannot be read.
        has_header: whether it is a table whose first line holds the names of its columns.
        taken: {what --columns may tell of a format whose columns have names of their own: names of the columns that are
            used for it anyway}; () stands for a column of any name. None: --columns may tell anything.
        unused_columns: the names of the columns that are not used; None if they are not told.
    """

    name: str
    suffixes: tuple[str, ...]
    recognise: Callable[[texts.Document, rows.Options], bool]
    read: Callable[[texts.Document, rows.Options], list[rows.Row]]
    has_header: bool = False
    taken: Mapping[str, tuple[str, ...]] | None = None
    unused_columns: Callable[[texts.Document, rows.Options], tuple[str, ...]] | None = None

    @property
    def may_deny(self) -> bool:
        """Whether a column may say of each label whether it holds."""
        return self.has_header and (self.taken is None or "present" in self.taken)
