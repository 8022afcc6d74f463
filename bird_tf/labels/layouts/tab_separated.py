"""Tab-separated text, in which several formats of annotation files are written."""

from __future__ import annotations

import csv
import io


def lines(text: str) -> list[list[str]]:
    """Divides text into lines and their fields. Lines without text are left out; quotes are ordinary characters."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    return [fields for fields in reader if any(fields)]
