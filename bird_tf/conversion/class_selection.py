"""The classes of a conversion, and the recordings that have them."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Mapping, Sequence

from bird_tf import config, free_text, skips
from bird_tf.labels import given_table, label_cells, metadata, spans, taxonomy


def of_classes(
    recordings: Sequence[metadata.Recording], whitelist: Sequence[str], max_classes: int
) -> tuple[list[metadata.Recording], taxonomy.Taxonomy]:
    """The recordings to convert, and their classes.

    Args:
        recordings: of all classes.
        whitelist: class ids or names, or text files of them, one a line; empty for all.
        max_classes: as of `choose_classes`.

    Raises:
        InputError: no recording has a name of the whitelist.
    """
    names: list[str] = []
    for entry in whitelist:
        names += given_table.lines(entry) if os.path.isfile(entry) else [entry]
    wanted = choose_classes(recordings, [label_cells.clean(name) for name in names if name.strip()], max_classes)
    chosen = filter_classes(recordings, wanted)
    return chosen, taxonomy.from_labels(
        [(class_id, name) for r in chosen for class_id, name in r.names if class_id in wanted]
    )


def choose_classes(recordings: Sequence[metadata.Recording], whitelist: Sequence[str], max_classes: int) -> set[str]:
    """Chooses the classes to convert.

    Args:
        recordings: of all classes.
        whitelist: class ids or names; empty for all. A name is that of all classes that are called so.
        max_classes: the most classes, those with the most recordings first, then by id; 0 for all.

    Returns:
        Their class ids.

    Raises:
        InputError: no recording has a name of the whitelist.
    """
    counts = collections.Counter(label for recording in recordings for label in recording.labels)
    ids: dict[str, set[str]] = collections.defaultdict(set)  # several may have one Latin name
    for label, name in (named for recording in recordings for named in recording.names):
        ids[name.casefold()].add(label)
    ids |= {label.casefold(): {label} for label in counts}
    if unknown := [name for name in whitelist if name.casefold() not in ids]:
        raise config.InputError(
            f"--whitelist: no recording of {', '.join(unknown[:5])} ({len(unknown)} such names); there are "
            f"{len(counts)} labels{free_text.examples(sorted(counts))}"
        )
    wanted = {label for name in whitelist for label in ids[name.casefold()]} or set(counts)
    return set(sorted(wanted, key=lambda label: (-counts[label], label))[: max_classes or None])


def filter_classes(recordings: Sequence[metadata.Recording], wanted: set[str]) -> list[metadata.Recording]:
    """The recordings with a wanted class, and the negative ones.

    One of several labels gets the first of them that is wanted; of its further labels, the other wanted ones stay.
    """
    kept = []
    for r in recordings:
        chosen = [label for label in r.labels if label in wanted]
        if not chosen and r.labels:
            continue
        if chosen and r.label != chosen[0]:
            r = dataclasses.replace(r, label=chosen[0], name=chosen[0])
        kept.append(dataclasses.replace(r, further_labels=tuple(chosen[1:])) if r.further_labels else r)
    return kept


def without_late(
    recordings: Sequence[metadata.Recording], seconds: Mapping[str, float], classes: taxonomy.Taxonomy, most: float
) -> tuple[list[metadata.Recording], list[skips.Skip]]:
    """The recordings as of `spans.without_late`, with labels of the classes.

    Raises:
        InputError: more than the share `most` of the recordings, or all that are labelled, have annotations past their
            end alone.
    """
    kept, left_out = spans.without_late(recordings, seconds)
    num_without = len(recordings) - len(kept)
    if num_without > most * len(recordings) or (num_without and not any(r.labels for r in kept)):
        raise config.InputError(
            f"{num_without} of {len(recordings)} recordings have annotations past their end alone (at most "
            f"--max_skipped_share={most:g} of them may, and not all with labels), for example {left_out[0][0]}: "
            f"{left_out[0][1]}; do their times count from another start, or are they no seconds?"
        )
    return filter_classes(kept, set(classes.class_ids)) if left_out else kept, left_out
