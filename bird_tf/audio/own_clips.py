"""Clips that bird_tf itself has cut for a page to judge: they are no recordings of the folder that they lie in.

They are known by the list of files that a review or a search writes into the folder of its page.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from absl import logging

from bird_tf import config, files, stored

FOLDER = "clips"  # in the folder of a page
LISTS = ("review.jsonl", "search.jsonl")  # there, too: a line of JSON for each file of the page, [name, checksum]


def without(recordings: Sequence[str]) -> list[str]:
    """The recordings without clips, of which a warning tells. If there are only clips, they are what is wanted.

    Args:
        recordings: paths.
    """
    folders = {os.path.dirname(path) for path in recordings}
    pages = sorted(os.path.dirname(folder) for folder in folders if os.path.basename(folder) == FOLDER)
    clips = {clip for page in pages for clip in _of_page(page)}
    kept = [path for path in recordings if path not in clips]
    if not kept or len(kept) == len(recordings):
        return list(recordings)
    first = next(path for path in recordings if path in clips)
    logging.warning(
        "%d clips that review or search has cut are no recordings, and left out, the first: %s; to read them, name "
        "their folder", len(recordings) - len(kept), first,
    )  # fmt: skip
    return kept


def _of_page(page: str) -> Iterator[str]:
    """The files that review and search have written for a page; none if there is no list that can be read."""
    for path in (os.path.join(page, name) for name in LISTS):
        if os.path.exists(path):
            with contextlib.suppress(OSError, config.InputError):
                yield from (files.below(page, name) for name, _ in stored.read_json_lines(path, tuple[str, str]))
