"""Progress bars, on standard error or in a notebook."""

from __future__ import annotations

import sys
import warnings
import weakref
from typing import Any

import tqdm

# all progress bars that somebody still holds
_BARS: weakref.WeakSet[tqdm.tqdm[Any]] = weakref.WeakSet()


def start(total: int, unit: str, description: str) -> tqdm.tqdm[Any]:
    """A progress bar on standard error, or in a notebook. In a log, which keeps every line, it comes every 10 s."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tqdm.TqdmWarning)  # a notebook without ipywidgets gets a bar of text
        from tqdm import auto

    interval = 0.2 if sys.stderr.isatty() or "ipykernel" in sys.modules else 10.0
    made = auto.tqdm(total=total, unit=f" {unit}", desc=description, mininterval=interval, dynamic_ncols=True)
    _BARS.add(made)
    return made


def close_all() -> None:
    """Ends the lines of bars that an error has left open: what is told next begins a line, and is the last one."""
    for left in list(_BARS):
        left.close()
