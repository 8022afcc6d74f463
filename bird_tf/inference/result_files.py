"""The files that a command has written into a folder, so that it replaces and removes only these.

No file of an earlier run stays behind, and no file is lost that a person has made or changed.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping

from absl import logging

from bird_tf import config, files, stored

# in the output: a line of JSON for each result file, [name, checksum]; the checksum is empty until all are complete
LIST = "results.jsonl"
PREDICTION = "prediction"


def list_name(work: str) -> str:
    """The name of the list of some work. Each kind has its own, so that none takes the files of another for its own."""
    return LIST if work == PREDICTION else f"{work}.jsonl"


def writing_beside(work: str, path: str, *others: str) -> contextlib.AbstractContextManager[None]:
    """Around the writing of a single file, whose list is PATH.jsonl, and of others in its folder; see `ResultFiles`.

    Args:
        work: as in `ResultFiles`.
        path: the file.
        *others: more files.
    """
    folder, name = os.path.split(path)
    names = [name, *map(os.path.basename, others)]
    return ResultFiles(folder or ".", work, listed_in=f"{name}.jsonl").writing(names)


class ResultFiles:
    """The result files of a folder."""

    def __init__(self, output: str, work: str = PREDICTION, *, listed_in: str = "", others_stay: bool = False) -> None:
        """Reads which files are there.

        Args:
            output: the folder.
            work: what the work is called in messages, and after what its list is named.
            listed_in: the name of the list; empty: by `work`.
            others_stay: whether files of earlier runs stay that are not written again, as those of other recordings.

        Raises:
            InputError: a result file was changed after it was written.
        """
        self._output, self._list = output, os.path.join(output, listed_in or list_name(work))
        self._work, self._others_stay = f"{'an' if work[0] in 'aeiou' else 'a'} {work}", others_stay
        lines = stored.read_json_lines(self._list, tuple[str, str]) if files.exists(self._list) else []
        if outside := next((name for name, _ in lines if {"", ".", ".."} & {*name.split("/")}), None):
            raise stored.damaged(self._list, f"{outside[:80]!a} is no file below the folder")
        self._earlier = dict(lines)
        self._written: dict[str, None] = {}  # a set that keeps its order
        if not others_stay:
            for name in self._earlier:
                self._refuse_changed(name)

    def _path(self, name: str) -> str:
        return files.below(self._output, name)

    def _refuse_changed(self, name: str) -> None:
        path, checksum = self._path(name), self._earlier[name]
        if checksum and files.exists(path) and files.checksum(path) != checksum:
            raise config.InputError(
                f"{path} was changed after {self._work} wrote it; move it to another folder, or delete it"
            )

    @property
    def are_there(self) -> bool:
        """Whether an earlier run has left result files."""
        return any(files.exists(self._path(name)) for name in self._earlier)

    def check(self, names: Iterable[str]) -> None:
        """Checks that these result files can be written, before the work.

        Raises:
            InputError: one is there already, and this work did not write it, or it was changed since.
        """
        for name in names:
            path = self._path(name)
            if name not in self._earlier:
                if files.exists(path) or os.path.islink(path):
                    why = f" ({self._list}, which lists what {self._work} has written, is not there)"
                    raise config.InputError(
                        f"{path} is there already, and is not of {self._work}; move it, or name another --output"
                        f"{'' if self._earlier else why}"
                    )
            elif self._others_stay:
                self._refuse_changed(name)

    @contextlib.contextmanager
    def writing(self, names: Collection[str] = ()) -> Iterator[None]:
        """While the block runs, `path` names files. When it ends, other files of earlier runs are gone.

        Args:
            names: files that the block writes without asking for their path.

        Raises:
            InputError: as `check`.
        """
        self.check(names)
        self._save({**self._earlier, **dict.fromkeys(names, "")})
        self._written.update(dict.fromkeys(names))
        try:
            yield
        except BaseException:
            with contextlib.suppress(OSError, config.InputError):  # the first error is the one to tell
                self._close({*self._earlier, *self._written})
            raise
        obsolete = set() if self._others_stay else self._earlier.keys() - self._written.keys()
        if obsolete:
            logging.info("%s: %d files of an earlier run are removed", self._output, len(obsolete))
        for name in obsolete:
            self._remove(name)
        self._close({*self._earlier, *self._written} - obsolete)

    def _close(self, names: Iterable[str]) -> None:
        """Lists those of the files that are there; if there are none, there is no list."""
        present = [name for name in sorted(names) if files.exists(self._path(name))]
        if present:
            written = self._written
            self._save({n: files.checksum(self._path(n)) if n in written else self._earlier[n] for n in present})
        else:
            files.remove(self._list)

    def _save(self, checksums: Mapping[str, str]) -> None:
        files.write_text(self._list, "".join(self._line(*entry) for entry in checksums.items()))

    def path(self, name: str) -> str:
        """The path of a result file, from its name below the folder, with `/`. It is noted before it is written.

        Raises:
            InputError: as `check`.
        """
        if name not in self._written:
            self.check([name])
            files.append(self._list, self._line(name, "").encode())
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
