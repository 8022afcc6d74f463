"""Verdicts: what a person says of predictions, one row for each in verdicts.csv."""

from __future__ import annotations

import dataclasses
import math

from bird_tf import config, files

COLUMNS = ("file", "start_seconds", "end_seconds", "class_id", "verdict")
YES, NO, OTHER, UNSURE, SKIP = "yes", "no", "other", "unsure", "skip"
ANSWERS = (YES, NO, OTHER, UNSURE, SKIP)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a species is to be heard in a span of a recording.

    Attributes:
        file: path of the recording below the folder of all, with `/`.
        start_seconds, end_seconds: the span.
        class_id: the predicted class.
        answer: one of `ANSWERS`; `other`: another species is there, and not the predicted one.
    """

    file: str
    start_seconds: float
    end_seconds: float
    class_id: str
    answer: str

    @property
    def is_present(self) -> bool | None:
        """Whether the predicted class is there; None if the person does not say."""
        return {YES: True, NO: False, OTHER: False}.get(self.answer)


def read(path: str) -> list[Verdict]:
    """Reads verdicts.csv. Of several verdicts on the same span and class, the last one counts.

    Raises:
        InputError: no such table, or a row that cannot be read.
    """
    found: dict[tuple[str, float, float, str], Verdict] = {}
    for line, row in enumerate(files.read_table(path), 2):
        cells = {column: (row.get(column) or "").strip() for column in COLUMNS}
        try:
            start, end = float(cells["start_seconds"]), float(cells["end_seconds"])
        except ValueError:
            start = end = math.nan
        answer = cells["verdict"].casefold()
        if not (cells["file"] and cells["class_id"] and 0 <= start < end and answer in ANSWERS):
            raise config.InputError(
                f"{path}, line {line}: need {', '.join(COLUMNS)}, a span in seconds and a verdict out of "
                f"{', '.join(ANSWERS)}"
            )
        verdict = Verdict(
            file=cells["file"], start_seconds=start, end_seconds=end, class_id=cells["class_id"], answer=answer
        )
        found[verdict.file, start, end, verdict.class_id] = verdict
    return list(found.values())
