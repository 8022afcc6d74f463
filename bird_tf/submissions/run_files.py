"""BirdCLEF's run files of 2018: their lines, and the rules that they must keep.

No header, `;` between the fields, no blanks, fixed-point numbers; monophone `MediaId;ClassId;Probability;Rank`,
soundscape `MediaId;hh:mm:ss-hh:mm:ss;ClassId;Probability`.
"""

from __future__ import annotations

import collections
import math
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from bird_tf import config, free_text
from bird_tf.inference import segments
from bird_tf.labels import taxonomy, texts

MONOPHONE, SOUNDSCAPE = "monophone", "soundscape"
MAX_LINES = 100

_LONGEST_SHOWN = 60  # characters of a field in a message
_FIXED_POINT = re.compile(r"[01]\.\d+", re.ASCII)
_SEGMENT = re.compile(r"(\d{2,6}):([0-5]\d):([0-5]\d)-(\d{2,6}):([0-5]\d):([0-5]\d)", re.ASCII)


def check_class_ids(classes: taxonomy.Taxonomy) -> None:
    """Checks that a run can hold the ids of all classes.

    Raises:
        InputError: an id is empty, or has a blank, a semicolon, or a sign that nobody sees.
    """
    unfit = [class_id for class_id in classes.class_ids if not fits(class_id)]
    if unfit:
        more = f" (and {len(unfit) - 1} more)" if len(unfit) > 1 else ""
        raise config.InputError(
            f"the class id {quoted(unfit[0])}{more} does not fit into a run: it must have no blank, no hidden sign and "
            "no semicolon; give the ids of the task with --class_ids=FILE.csv (columns class_id,run_id)"
        )


def fits(text: str) -> bool:
    """Whether a run can hold this id: it has neither blanks, hidden signs nor semicolons, and is not empty."""
    return bool(text) and ";" not in text and text == "".join(text.split()) and not texts.hidden(text)


def monophone_lines(media_id: str, scores: np.ndarray, classes: taxonomy.Taxonomy) -> list[str]:
    """The lines of one recording, the most probable class first; equal probabilities in the order of the classes.

    Args:
        media_id: id of the recording.
        scores: [classes] in [0, 1].
        classes: the classes.
    """
    order = np.argsort(-scores, kind="stable")[:MAX_LINES]
    return [f"{media_id};{classes.class_ids[c]};{scores[c]:.10f};{rank}" for rank, c in enumerate(order, 1)]


def soundscape_lines(media_id: str, scores: np.ndarray, classes: taxonomy.Taxonomy) -> list[str]:
    """The lines of one recording, segment by segment.

    Args:
        media_id: id of the recording.
        scores: [segments, classes] in [0, 1]; the first segment starts at 00:00:00.
        classes: the classes.
    """
    lines = []
    for i, row in enumerate(scores):
        span = f"{_time(i * segments.SECONDS)}-{_time((i + 1) * segments.SECONDS)}"
        order = np.argsort(-row, kind="stable")[:MAX_LINES]
        lines += [f"{media_id};{span};{classes.class_ids[c]};{row[c]:.10f}" for c in order]
    return lines


def _time(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def each_line(text: str) -> Iterator[str]:
    """Yields the lines of a run without their ends. A list of all of them would take several times the memory."""
    start, end = 0, text.find("\n")
    while end >= 0:
        yield text[start:end]
        start, end = end + 1, text.find("\n", end + 1)
    if start < len(text) or not text:
        yield text[start:]


def errors(
    lines: Iterable[str], task: str, class_ids: Sequence[str] = (), media_ids: Sequence[str] | None = None
) -> Iterator[str]:
    """Checks a run file against the rules of its task.

    Args:
        lines: of the file, without line ends.
        task: MONOPHONE or SOUNDSCAPE.
        class_ids: the allowed ids; empty: any six letters.
        media_ids: the ids that the run must hold, and no others; for soundscape, each id once for each of its segments.
            None: not checked.

    Yields:
        "line N: broken rule", or "run: …" for a rule about several lines.
    """
    allowed = set(class_ids)
    items: dict[tuple[str, ...], list[tuple[int, str, float, str]]] = collections.defaultdict(list)
    for number, line in enumerate(lines, 1):
        if number == 1 and line.startswith("\ufeff"):
            yield "line 1: begins with a byte order mark"
        fields = line.split(";")
        if len(fields) != 4:
            yield f"line {number}: {len(fields)} fields between semicolons, expected 4"
            continue
        if line != "".join(line.split()):
            yield f"line {number}: holds blanks"
            continue
        if sign := texts.hidden(line.removeprefix("\ufeff")):
            yield f"line {number}: holds the sign {sign!a}, which nobody sees"
            continue
        key: tuple[str, ...]
        if task == MONOPHONE:
            media_id, class_id, probability, rank = fields
            key = (media_id,)
        else:
            media_id, span, class_id, probability = fields
            key, rank = (media_id, span), ""
        if not media_id:
            yield f"line {number}: MediaId is empty"
        if allowed and class_id not in allowed:
            yield f"line {number}: ClassId {quoted(class_id)} is no class of the model"
        elif not allowed and not re.fullmatch(r"[a-z]{6}", class_id):
            yield f"line {number}: ClassId {quoted(class_id)} is not six lower-case letters"
        if not _FIXED_POINT.fullmatch(probability) or math.isnan(free_text.probability(probability)):
            yield f"line {number}: probability {quoted(probability)} is not a fixed-point number in [0, 1]"
            continue
        if task == SOUNDSCAPE and not _is_segment(fields[1]):
            yield f"line {number}: {quoted(fields[1])} is not hh:mm:ss-hh:mm:ss of 5 seconds from a multiple of 5"
            continue
        items[key].append((number, class_id, float(probability), rank))
    for key, entries in items.items():
        yield from _item_errors(" ".join(map(shown, key)), entries, ranked=task == MONOPHONE)
    if task == SOUNDSCAPE:
        yield from _segment_gaps(list(items))
    if media_ids is not None:
        found = collections.Counter(key[0] for key in items)
        for media_id, count in sorted((collections.Counter(media_ids) - found).items()):
            yield f"run: {shown(media_id)} lacks {count} of its recordings or segments"
        for media_id, count in sorted((found - collections.Counter(media_ids)).items()):
            yield f"run: {shown(media_id)} has {count} recordings or segments too many"


def _item_errors(name: str, entries: list[tuple[int, str, float, str]], *, ranked: bool) -> Iterator[str]:
    """Checks the lines of one recording or segment."""
    if len(entries) > MAX_LINES:
        yield f"line {entries[MAX_LINES][0]}: {name} has more than {MAX_LINES} lines"
    seen: set[str] = set()
    last = 2.0
    for position, (number, class_id, probability, rank) in enumerate(entries, 1):
        if class_id in seen:
            yield f"line {number}: {name} lists {shown(class_id)} twice"
        seen.add(class_id)
        if ranked and rank != str(position):
            yield f"line {number}: rank {quoted(rank)}, expected {position}: ranks count up from 1 without gaps"
        if ranked and probability > last:
            yield f"line {number}: probability rises within {name}"
        last = probability


def shown(text: str) -> str:
    """A field of any length and of any signs, in a message."""
    return text if len(text) <= _LONGEST_SHOWN and text.isprintable() else f"{text[:_LONGEST_SHOWN]!a} …"


def quoted(text: str) -> str:
    """As `shown`, between quotation marks."""
    return repr(text) if text == shown(text) else shown(text)


def _is_segment(text: str) -> bool:
    match = _SEGMENT.fullmatch(text)
    if not match:
        return False
    h1, m1, s1, h2, m2, s2 = map(int, match.groups())
    begin, end = 3600 * h1 + 60 * m1 + s1, 3600 * h2 + 60 * m2 + s2
    return end - begin == segments.SECONDS and begin % segments.SECONDS == 0


def _segment_gaps(keys: list[tuple[str, ...]]) -> Iterator[str]:
    """Checks that the segments of each recording count up from 00:00:00."""
    counts = collections.Counter(media_id for media_id, _ in keys)
    spans = {(media_id, span) for media_id, span in keys}
    for media_id, count in counts.items():
        for i in range(count):
            span = f"{_time(i * segments.SECONDS)}-{_time((i + 1) * segments.SECONDS)}"
            if (media_id, span) not in spans:
                yield f"run: {shown(media_id)} has {count} segments, but {span} is missing"
                break
