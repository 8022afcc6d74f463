"""Divides recordings into training and validation, and into folds: by recording or by group, never by chunk."""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

from absl import logging

from bird_tf import config, files
from bird_tf.labels import groups, metadata, texts

# stands for the class of recordings without any: folds share them evenly, and in a split they train
_NEGATIVE = ""
# {word: the part of a split that people call so}, and words that stand beside them in names of folders and files
PARTS = {
    word: part
    for part, words in {
        "train": ("train", "training", "trainset", "development"),
        "val": ("val", "valid", "validate", "validation", "valset", "dev"),
        "test": ("test", "testing", "testset", "eval", "evaluate", "evaluation", "holdout"),
    }.items()
    for word in words
}
# {(class id, number of recordings)} of a group
_Kind = frozenset[tuple[str, int]]
_BESIDE_PARTS = frozenset((
    "set", "split", "subset", "data", "dataset", "list", "files", "filenames", "audio", "recordings", "wavs", "labels",
    "annotations", "metadata", "meta", "csv", "soundscapes", "segments", "clips", "short",
))  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Settings for the choice of validation recordings."""

    val_share: float = config.option(
        0.1, "share of the recordings of each class for validation; 0 keeps all for training"
    )
    grouping: groups.GroupConfig = dataclasses.field(default_factory=groups.GroupConfig)
    split_seed: int = config.option(0, "seed of the split")

    def __post_init__(self) -> None:
        if not 0 <= self.val_share < 1:
            raise config.InputError(f"--val_share={self.val_share}: need 0 <= share < 1")


def part_of(name: str) -> str:
    """The part of a split, as `train`, that a cell or the name of a folder means by all of its words; else empty."""
    words = re.findall(r"[^\W\d_]+", texts.comparable(name))
    parts = {PARTS[word] for word in words if word in PARTS}
    return parts.pop() if len(parts) == 1 and _BESIDE_PARTS.issuperset(set(words) - PARTS.keys()) else ""


def are_parts(names: Iterable[str]) -> bool:
    """Whether all names are parts of one split; `valid` and `test` without training may be something else."""
    parts = set(map(part_of, names))
    return len(parts) > 1 and "train" in parts and "" not in parts


def warn_of_unused(where: str, what: str, part: str) -> None:
    """Warns that people told a split, and that another one is made: `what` tells it, and `part` is of it."""
    logging.warning(
        "%s: the split in %s is not used, so that recordings marked %r may train or validate; leave out those that "
        "must not, or sort the recordings into the folders train and val", where, what, part[:40],
    )  # fmt: skip


def split(
    recordings: Sequence[metadata.Recording], split_config: SplitConfig, group_of: Mapping[str, str] | None = None
) -> list[metadata.Recording]:
    """Gives each recording its `split`, by recording (never by chunk) and stratified by class.

    If the layout decides the split, it is kept. Otherwise the aim is `val_share` of the recordings of each class in
    validation, and at least one if the class has two groups. The rarest class comes first. For each class, groups that
    hold it are chosen one by one: always the group that brings the classes nearest to their wanted numbers, summed
    over all classes, as long as it brings them nearer. A group that takes more than half of another class is chosen
    only if there is no other. A group that would leave a class without training recordings is never chosen. If a
    class has only large groups left, and they would exceed the wanted total by more than a quarter, the class gets no
    validation recordings. md5 hashes decide ties, so the split is the same in every process.

    Args:
        recordings: what is split.
        split_config: how.
        group_of: {recording_id: its group}, if it is known already.
    """
    if all(recording.split for recording in recordings):
        logging.info("the split is the given one; --val_share, --group_by and --split_seed do not change it")
        return list(recordings)

    group_of = group_of or groups.assign(recordings, split_config.grouping)
    counts, totals = _counts(recordings, group_of)
    alike = _alike(counts, split_config.split_seed)
    holding: dict[str, list[_Kind]] = collections.defaultdict(list)
    for kind in alike:
        for label, _ in kind:
            holding[label].append(kind)
    num_holding = {label: sum(len(alike[kind]) for kind in kinds) for label, kinds in holding.items()}

    def may_validate(label: str) -> bool:
        return bool(split_config.val_share) and label != _NEGATIVE and num_holding[label] > 1

    wanted = {
        label: max(1, round(split_config.val_share * total)) if may_validate(label) else 0
        for label, total in totals.items()
    }
    limit = 1.25 * sum(wanted.values())
    in_val: collections.Counter[str] = collections.Counter()
    chosen: set[str] = set()

    def cost(kind: _Kind) -> int:
        """How far such a group moves the classes away from their wanted numbers; negative: it brings them nearer."""
        return sum(abs(in_val[c] + n - wanted[c]) - abs(in_val[c] - wanted[c]) for c, n in kind)

    for label in sorted(totals, key=lambda c: (num_holding[c], c)):
        free = holding[label]
        while in_val[label] < wanted[label]:
            free = [kind for kind in free if alike[kind] and all(in_val[c] + n < totals[c] for c, n in kind)]
            small = [kind for kind in free if all(in_val[c] + n <= max(wanted[c], totals[c] // 2) for c, n in kind)]
            best = min(small or free, key=lambda kind: (cost(kind), alike[kind][-1]), default=None)
            if best is None:
                break
            added = dict(best)
            if cost(best) >= 0 and (in_val[label] or in_val.total() + sum(added.values()) > limit):
                break
            chosen.add(alike[best].pop()[1])
            in_val.update(added)
    if split_config.val_share and not chosen:
        by = split_config.grouping.group_by
        reason = "each recording is the only one of a species"
        alone = groups.assign(recordings, groups.GroupConfig(group_by="recording"))
        if len(counts) < len({*alone.values()}):
            reason = f"the groups by --group_by={by} are too few or too large; --group_by=recording may help"
        logging.warning(
            "--val_share=%g: no recording is for validation, so no model can be judged by these records: %s",
            split_config.val_share, reason,
        )  # fmt: skip
    return [
        dataclasses.replace(recording, split="val" if group_of[recording.recording_id] in chosen else "train")
        for recording in recordings
    ]


def _alike(counts: Mapping[str, collections.Counter[str]], seed: int) -> dict[_Kind, list[tuple[str, str]]]:
    """{kind: (hash, name) of its groups, the last first}. They differ in the hash alone: one is looked at for all."""
    found: dict[_Kind, list[tuple[str, str]]] = collections.defaultdict(list)
    for group, numbers in counts.items():
        found[frozenset(numbers.items())].append((files.text_digest(f"split {seed} {group}"), group))
    return {kind: sorted(members, reverse=True) for kind, members in found.items()}


def folds(
    recordings: Sequence[metadata.Recording],
    num_folds: int,
    split_config: SplitConfig,
    group_of: Mapping[str, str] | None = None,
) -> dict[str, int]:
    """Divides recordings into folds of about equal size and mixture of classes. Groups stay together.

    The largest group comes first. Each group goes to the fold that has the fewest recordings of its classes so far.
    md5 hashes decide ties.

    Args:
        recordings: what is divided.
        num_folds: how many folds.
        split_config: how.
        group_of: {recording_id: its group}, if it is known already.

    Returns:
        {recording_id: 0 … num_folds - 1}.

    Raises:
        InputError: fewer than two folds, or more folds than groups.
    """
    group_of = group_of or groups.assign(recordings, split_config.grouping)
    counts, totals = _counts(recordings, group_of)
    if not 2 <= num_folds <= len(counts):
        raise config.InputError(
            f"--folds={num_folds}: need at least 2 and at most {len(counts)}, the number of groups by "
            f"--group_by={split_config.grouping.group_by}"
        )
    filled: list[collections.Counter[str]] = [collections.Counter() for _ in range(num_folds)]
    sizes = [0] * num_folds
    fold_of: dict[str, int] = {}

    def load(fold: int, group: str) -> tuple[float, int]:
        added = counts[group]
        return sum(n * filled[fold][c] / totals[c] for c, n in added.items()), sizes[fold]

    def order(group: str) -> tuple[int, str]:
        return -counts[group].total(), files.text_digest(f"fold {split_config.split_seed} {group}")

    for group in sorted(counts, key=order):
        fold_of[group] = min(range(num_folds), key=lambda fold: load(fold, group))
        filled[fold_of[group]].update(counts[group])
        sizes[fold_of[group]] += counts[group].total()
    return {recording.recording_id: fold_of[group_of[recording.recording_id]] for recording in recordings}


def _counts(
    recordings: Sequence[metadata.Recording], group_of: Mapping[str, str]
) -> tuple[dict[str, collections.Counter[str]], collections.Counter[str]]:
    """{group: {class id: number of recordings}}, and the number of recordings of each class."""
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    totals: collections.Counter[str] = collections.Counter()
    for recording in recordings:
        labels = recording.labels or (_NEGATIVE,)
        counts[group_of[recording.recording_id]].update(labels)
        totals.update(labels)
    return counts, totals
