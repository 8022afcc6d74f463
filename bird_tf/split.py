"""Which recordings train and which validate: by recording or by author, never by chunk."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

from bird_tf import config, metadata


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Which recordings validate."""

    val_share: float = config.option(0.1, "share of every class's recordings that validate; 0 keeps all for training")
    group_by: str = config.option(
        "recording",
        "what stays on one side of the split; author keeps a session together",
        choices=("recording", "author"),
    )
    split_seed: int = config.option(0, "another number, another split")


def split(recordings: Sequence[metadata.Recording], split_config: SplitConfig) -> list[metadata.Recording]:
    """Gives each recording its `split`, by recording (never by chunk) and stratified by class.

    A layout that decides the split keeps it. Otherwise each class, the rarest first, is to get `val_share` of its
    recordings into validation, and at least one if it has two groups. Of the groups that hold it the one is taken
    that brings all classes together nearest to what they are to get, as long as that helps; none that would leave a
    class without training recordings. Ties go by md5 hashes: the same in every process.

    Raises:
        InputError: a share outside [0, 1).
    """
    if not 0 <= split_config.val_share < 1:
        raise config.InputError(f"--val_share={split_config.val_share}: need 0 <= share < 1")
    if all(recording.split for recording in recordings):
        return list(recordings)

    def group_of(recording: metadata.Recording) -> str:
        by_author = split_config.group_by == "author" and recording.author
        return f"author {recording.author}" if by_author else f"recording {recording.recording_id}"

    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)  # group → class → n
    for recording in recordings:
        counts[group_of(recording)].update(recording.labels)
    totals = collections.Counter(label for recording in recordings for label in recording.labels)
    groups = {label: [g for g in counts if label in counts[g]] for label in totals}
    wanted = {
        label: max(1, round(split_config.val_share * total)) if split_config.val_share and len(groups[label]) > 1 else 0
        for label, total in totals.items()
    }
    in_val: collections.Counter[str] = collections.Counter()
    chosen: set[str] = set()

    def cost(group: str) -> int:
        """By how much the group moves the classes away from what they are to get; below 0 it brings them nearer."""
        return sum(abs(in_val[c] + n - wanted[c]) - abs(in_val[c] - wanted[c]) for c, n in counts[group].items())

    for label in sorted(totals, key=lambda c: (len(groups[c]), c)):
        free = sorted(set(groups[label]) - chosen, key=lambda g: metadata.md5(f"split {split_config.split_seed} {g}"))
        while in_val[label] < wanted[label]:
            free = [g for g in free if all(in_val[c] + n < totals[c] for c, n in counts[g].items())]
            best = min(free, key=cost, default=None)
            if best is None or (cost(best) >= 0 and in_val[label]):
                break
            free.remove(best)
            chosen.add(best)
            in_val.update(counts[best])
    return [
        dataclasses.replace(recording, split="val" if group_of(recording) in chosen else "train")
        for recording in recordings
    ]
