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

    A layout that decides the split keeps it. Otherwise each class, the rarest first, gets `val_share` of its
    recordings into validation, and at least one if it has two groups; a group is not taken if that would leave some
    class without training recordings. The order is that of md5 hashes: the same in every process.

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
    in_val: collections.Counter[str] = collections.Counter()
    chosen: set[str] = set()
    for label in sorted(totals, key=lambda c: (len(groups[c]), c)):
        if split_config.val_share == 0 or len(groups[label]) < 2:
            continue
        wanted = max(1, round(split_config.val_share * totals[label]))
        ranked = sorted(groups[label], key=lambda g: metadata.md5(f"split {split_config.split_seed} {g}"))
        # nearest to what is wanted first and small ones before large, so that one session does not take a class away
        for group in sorted(ranked, key=lambda g: (abs(counts[g][label] - wanted), counts[g].total())):
            leaves_some = all(in_val[c] + n < totals[c] for c, n in counts[group].items())
            if in_val[label] < wanted and group not in chosen and leaves_some:
                chosen.add(group)
                in_val.update(counts[group])
    return [
        dataclasses.replace(recording, split="val" if group_of(recording) in chosen else "train")
        for recording in recordings
    ]
