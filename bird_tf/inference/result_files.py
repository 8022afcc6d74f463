"""The files that predictions wrote into a folder.

No file of an earlier prediction stays behind, and no file is lost that a person has changed.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping

from absl import logging

from bird_tf import config, files, stored

# in the output: a line of JSON for each result file, [name, checksum]; the checksum is empty until all are complete
LIST = "results.jsonl"


class ResultFiles:
    """The result files of a folder."""

    def __init__(self, output: str) -> None:
        """Reads which files are there.

        Args:
            output: the folder.

        Raises:
            InputError: a result file was changed after it was written.
        """
        self._output, self._list = output, os.path.join(output, LIST)
        lines = stored.read_json_lines(self._list, tuple[str, str]) if files.exists(self._list) else []
        if outside := next((name for name, _ in lines if {"", ".", ".."} & {*name.split("/")}), None):
            raise stored.damaged(self._list, f"{outside[:80]!a} is no file below the folder")
        self._earlier = dict(lines)
        self._written: dict[str, None] = {}  # a set that keeps its order
        for name, checksum in self._earlier.items():
            path = self._path(name)
            if checksum and os.path.exists(path) and files.checksum(path) != checksum:
                raise config.InputError(
                    f"{path} was changed after a prediction wrote it; move it to another folder, or delete it"
                )

    def _path(self, name: str) -> str:
        return os.path.join(self._output, *name.split("/"))

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """While the block runs, `path` names files. When it ends, all other files of earlier predictions are gone."""
        self._save(self._earlier)
        yield
        if obsolete := self._earlier.keys() - self._written.keys():
            logging.info("%s: %d files of an earlier prediction are removed", self._output, len(obsolete))
        for name in obsolete:
            self._remove(name)
        self._save({name: files.checksum(self._path(name)) for name in self._written})

    def _save(self, checksums: Mapping[str, str]) -> None:
        files.write_text(self._list, "".join(self._line(*entry) for entry in checksums.items()))

    def path(self, name: str) -> str:
        """The path of a result file, from its name below the folder, with `/`. It is noted before it is written."""
        if name not in self._written:
            with open(self._list, "a", encoding="utf-8") as notes:
                notes.write(self._line(name, ""))
            self._written[name] = None
        return self._path(name)

    @staticmethod
    def _line(name: str, checksum: str) -> str:
        return json.dumps([name, checksum]) + "\n"

    def _remove(self, name: str) -> None:
        """Removes a file, and the folders that it leaves empty."""
        path = self._path(name)
        files.remove(path)
        folder = os.path.dirname(path)
        while folder != self._output and os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)
            folder = os.path.dirname(folder)
