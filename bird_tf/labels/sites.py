"""The names of the sites of recordings: the folders that they lie in, without those that no place is called by."""

from __future__ import annotations

import os
import re

_DATE = r"20\d\d([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])"
# folders between a site and its files that recorders and people make
_NO_SITE = re.compile(rf"(?:data|audio|wavs?|recordings?|\.|{_DATE}.*)", re.IGNORECASE | re.ASCII)


def of_folder(path: str, root: str) -> str:
    """The folders between root and recording without those that name no site, such as Data; empty if none is left."""
    folder = os.path.relpath(os.path.dirname(path) or ".", root or ".")
    return "/".join(filter(may_be_site, folder.split(os.sep)))


def may_be_site(folder: str) -> bool:
    """Whether the name of a folder can be that of a site: recorders and programs make others, such as Data."""
    return folder != os.pardir and not _NO_SITE.fullmatch(folder)
