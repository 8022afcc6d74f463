"""Praat's TextGrid files, in the long and the short form: tiers of intervals or points with a text each."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bird_tf import config, lines
from bird_tf.labels import texts
from bird_tf.labels.tables import columns, file_format, rows

# Strings, then what is no value ([1], <exists>), then numbers.
_TOKEN = re.compile(
    r'"((?:[^"]|"")*)"|\[[^\]"]*\]|<\w+>|(?<![\w.])(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.])', re.ASCII
)


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether its first lines say so."""
    return "ooTextFile" in document.text[:200] and "TextGrid" in document.text[:400]


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads the intervals that have a text. A tier without one is a recording in which nothing was found.

    Of several tiers of one name, all count.

    Raises:
        InputError: the file is damaged, or has several tiers and none is called species or the like; --columns=label=
            names the tier.
    """
    tiers = list(_tiers(document))
    wanted = columns.given_for(document, options.columns).get("label", "")
    names = [name for name, _ in tiers]
    filled = [name for name, entries in tiers if any(text.strip() for _, _, text in entries)]
    known = {name for name in names if columns.normal(name) in columns.COLUMNS["label"]}
    chosen = [wanted] if wanted else [*known] if len(known) == 1 else [*dict.fromkeys(filled)]
    if len(chosen) > 1 or (wanted and wanted not in names):
        raise config.InputError(
            f"{document.path}: which tier holds the species? it has {', '.join(names)}; say --columns=label=TIER"
        )
    found = []
    for start, end, text in (entry for name, entries in tiers if name in chosen for entry in entries):
        if text.strip():
            row = rows.Row(where=f"{document.path}, {start} s", about=rows.COMPLETE)
            found.append(rows.spanned(rows.labelled(row, text, options), start, end))
    return found or rows.nothing_found(document.path)


def _tiers(document: texts.Document) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Yields the name of each tier, and (start, end, text) of its intervals or points."""
    matches = _TOKEN.finditer(document.text)
    tokens = (m[1].replace('""', '"') if m[1] is not None else m[2] for m in matches if m[1] is not None or m[2])
    try:
        for _ in range(4):  # the kind of file and of object, and the span of the whole
            next(tokens)
        for _ in range(int(next(tokens))):
            kind, name, _, _, count = (next(tokens) for _ in range(5))
            is_point = kind == "TextTier"
            entries = []
            for _ in range(min(int(count), lines.MOST + 1)):
                start = next(tokens)
                end = start if is_point else next(tokens)
                entries.append((start, end, next(tokens)))
            if len(entries) > lines.MOST:
                raise lines.TooLargeError(f"a tier of more than {lines.MOST} intervals")
            yield name, entries
    except lines.TooLargeError as error:
        raise config.InputError(f"{document.path}: {error}; save it in parts") from error
    except (StopIteration, RuntimeError, ValueError) as error:
        raise config.InputError(f"{document.path}: a damaged TextGrid; save it in Praat again") from error


FORMAT = file_format.Format(
    name="Praat TextGrid",
    suffixes=(".textgrid",),
    recognise=recognise,
    read=read,
    taken={"label": ()},
)
