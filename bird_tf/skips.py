"""Files and rows that are left out: each is named with its reason, and at the end they are counted by reason.

Where the reasons come from does not matter: what differs from file to file (names, numbers) is left out of their kind.
"""

from __future__ import annotations

import collections
import os
import re
from collections.abc import Iterable, Sequence

from absl import logging

from bird_tf import csv_files

TABLE = "skipped.csv"
COLUMNS = ("file", "reason")
# quoted texts, paths, and numbers
_PARTICULAR = re.compile(r"(?<!\w)'[^']*'(?!\w)|\"[^\"]*\"|\S*[/\\]\S+|\d[\d.,:]*(?<=\d)")
# what a command prints of the reasons at its end
_MOST_KINDS = 20

# (file or line, why it is left out)
Skip = tuple[str, str]


def named(skip: Skip) -> str:
    """What is left out and why, in one line. Some reasons begin with the file already."""
    where, reason = skip
    return reason if reason.startswith(where) else f"{where}: {reason}"


def log(skip: Skip) -> None:
    """Warns of one."""
    logging.warning("skipped: %s", named(skip))


def by_kind(skips: Iterable[Skip]) -> dict[str, list[Skip]]:
    """{reason without what is particular to a file: those with it}, the most frequent first."""
    found: dict[str, list[Skip]] = collections.defaultdict(list)
    for where, reason in skips:
        found[_PARTICULAR.sub("…", _without_file(where, reason))].append((where, reason))
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def _without_file(where: str, reason: str) -> str:
    return reason.removeprefix(where).lstrip(": ").replace(where, "…")


def counted(skips: Iterable[Skip]) -> list[str]:
    """How many there are of each kind, a line for each, the most frequent first; at most 20, and one for the rest.

    Where all of a kind say the same, their numbers and names stay.
    """
    kinds = by_kind(skips)
    lines = []
    for kind, members in kinds.items():
        texts = {_without_file(*skip) for skip in members}
        lines.append(f"{len(members)} x {texts.pop() if len(texts) == 1 else kind}")
    if len(lines) > _MOST_KINDS:
        rest: Sequence[str] = lines[_MOST_KINDS:]
        total = sum(len(members) for members in list(kinds.values())[_MOST_KINDS:])
        lines[_MOST_KINDS:] = [f"{total} for {len(rest)} other reasons"]
    return lines


def log_summary(skips: Sequence[Skip], table: str) -> None:
    """Logs how many are left out for which reasons; nothing if there are none. `table` lists all of them."""
    if skips:
        logging.warning("%d skipped (all in %s): %s", len(skips), table, "; ".join(counted(skips)))


def write(folder: str, skips: Sequence[Skip]) -> None:
    """Writes skipped.csv, and logs the summary."""
    table = os.path.join(folder, TABLE)
    csv_files.write(table, COLUMNS, skips)
    log_summary(skips, table)
