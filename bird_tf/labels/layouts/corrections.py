"""Tables of ours as labels. They name each species twice, and may tell a prediction in several formats.

A person may correct one name, or one of the formats, and leave the others; or nobody has looked at them.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence

from absl import logging

from bird_tf import config, files, skips, stored
from bird_tf.labels import class_names
from bird_tf.labels.formats import formats, raven
from bird_tf.labels.tables import columns, rows

LIST = "results.jsonl"  # as `inference.result_files` writes it
# how the names of tables of single recordings end; others are of all recordings
_OF_RECORDINGS = (".detections.csv", ".detections.parquet", ".labels.txt", ".Table.1.selections.txt")
_NAMES = frozenset(columns.COLUMNS["label"])
_UNTOUCHED = "bird_tf.predict wrote it, and nobody changed it: models are not judged by what a model said"


@dataclasses.dataclass(frozen=True)
class _Prediction:
    """The tables of a prediction among the files.

    Attributes:
        folder: of the prediction.
        listed: {name: checksum} of its result files.
        tables: {kind: its tables that tell labels}.
    """

    folder: str
    listed: Mapping[str, str]
    tables: dict[str, list[formats.Source]]

    @functools.cached_property
    def changed(self) -> frozenset[str]:
        """The names of its files of these kinds that were changed or removed since it wrote them."""
        listed = self.listed.items()
        return frozenset(
            n for n, checksum in listed if _kind(n) in self.tables and _is_changed(self.folder, n, checksum)
        )


def settled(sources: Iterable[formats.Source]) -> list[formats.Source]:
    """The files, without labels whose second name a person has changed into one of no other label.

    If the second name is that of another label, the row may also have got a new label, and the old name was left: the
    label counts, with a warning. Names of which no other row tells the usual one contradict nothing.
    """
    sources = list(sources)
    _warn_of_raven(sources)
    pairs = collections.Counter(_pair(row) for source in sources for row in source.rows if row.second_name)
    usual = _usual(pairs)
    owned = set(usual.values())
    doubtful: list[str] = []

    def one(row: rows.Row) -> rows.Row:
        label, second = _pair(row)
        if not (row.second_name and label in usual and not _are_alike(usual[label], second)):
            return row
        told = f"{row.labels.species[0]!r} beside {row.second_name[:100]!r}"
        if second in owned:
            doubtful.append(f"{row.where} ({told})")
            return row
        problem = f"it names two species, {told}; which one is right? write it as class_id, or into Species in Raven"
        return dataclasses.replace(row, problem=row.problem or problem)

    if not usual:
        return sources
    found = [dataclasses.replace(source, rows=tuple(map(one, source.rows))) for source in sources]
    if doubtful:
        logging.warning(
            "%d rows name two species, the first: %s; class_id counts, and Species in Raven tables",
            len(doubtful), doubtful[0],
        )  # fmt: skip
    return found


def of_one_format(sources: Iterable[formats.Source]) -> tuple[list[formats.Source], list[skips.Skip]]:
    """Chooses one of the formats in which the folder of a prediction tells the same: the one that was changed.

    Returns:
        The files, and those of other formats, which are not used.

    Raises:
        InputError: tables of several formats were changed.
    """
    sources, others = list(sources), dict[str, str]()
    for prediction in _predictions(sources):
        folder, kinds = prediction.folder, prediction.tables
        if len(kinds) < 2:
            continue
        changed = set(map(_kind, prediction.changed))
        if len(changed) > 1:
            first, second = (kinds[kind][0].path for kind in sorted(changed)[:2])
            raise config.InputError(
                f"{folder} tells one prediction in several formats, and {first} and {second} are of formats that were "
                "changed; move one of the formats away, or name the right table with --metadata"
            )
        kept = next(iter(changed), "") or min(kinds, key=lambda kind: ("detections" not in kind, kind))
        others |= {source.path: kept for kind, told in kinds.items() if kind != kept for source in told}
        logging.warning(
            "%s tells one prediction in several formats: only tables such as %s count%s", folder,
            os.path.basename(kinds[kept][0].path), " (some were changed)" if changed else "",
        )  # fmt: skip
    used = [source for source in sources if source.path not in others]
    return used, [(path, f"it tells the same prediction as {kept}") for path, kept in others.items()]


def of_persons(sources: Iterable[formats.Source]) -> tuple[list[formats.Source], list[skips.Skip]]:
    """Leaves out what a model said, where labels are to judge models: the tables of predictions that nobody changed.

    A prediction of which a table was changed or removed is one that a person has gone through.

    Returns:
        The other files, and those that are left out.
    """
    sources, untouched = list(sources), dict[str, str]()
    for prediction in _predictions(sources):
        folder, kinds = prediction.folder, prediction.tables
        if not prediction.changed:
            untouched |= {source.path: _UNTOUCHED for told in kinds.values() for source in told}
        paths = [source.path for kind in sorted(set(map(_kind, prediction.changed))) for source in kinds[kind]]
        same = [path for path in paths if files.name_below(folder, path) not in prediction.changed]
        if same:
            logging.warning(
                "%d of %d tables of %s are as bird_tf.predict wrote them, the first: %s; others were changed, so they "
                "count as gone through: leave out recordings that nobody listened to", len(same), len(paths), folder,
                same[0],
            )  # fmt: skip
    return [source for source in sources if source.path not in untouched], list(untouched.items())


def warn_of_untouched(left_out: Sequence[skips.Skip]) -> None:
    """Warns of tables that `of_persons` has left out, where other labels count."""
    if left_out:
        logging.warning("tables that a model wrote are left out: %d, the first: %s", len(left_out), left_out[0][0])


def refusal(left_out: Sequence[skips.Skip], *, may_be_folders: bool) -> str:
    """The message if `of_persons` has left out all labels; `may_be_folders`: folders could be labels instead."""
    of_folders = ", or --layout=folders for those of folders" if may_be_folders else ""
    return (
        f"{skips.named(left_out[0])}; correct it, or name the labels of a person{of_folders}; to compare two models, "
        "copy it to another folder"
    )


def _predictions(sources: Iterable[formats.Source]) -> list[_Prediction]:
    """The predictions of which some of the files are tables. Each list of results is read once."""
    listed, found = functools.cache(_listed), dict[str, _Prediction]()
    for source in sources:
        if source.is_labelling and (folder := _folder_of(source.path, listed)):
            prediction = found.setdefault(folder, _Prediction(folder, listed(folder), {}))
            prediction.tables.setdefault(_kind(source.path), []).append(source)
    return [*found.values()]


def _folder_of(path: str, listed: Callable[[str], Mapping[str, str]]) -> str:
    """The folder of the prediction that a file is of; empty if it is of none."""
    folder = os.path.dirname(path)
    while folder and files.name_below(folder, path) not in listed(folder):
        above = os.path.dirname(folder)
        folder = above if above != folder else ""
    return folder


def _listed(folder: str) -> dict[str, str]:
    """{name: checksum} of the result files of a folder."""
    path = os.path.join(folder, LIST)
    try:
        return dict(stored.read_json_lines(path, tuple[str, str])) if files.exists(path) else {}
    except config.InputError:  # something else of that name
        return {}


def _is_changed(folder: str, name: str, checksum: str) -> bool:
    path = files.below(folder, name)  # it has no checksum while it is written
    return bool(checksum) and not (files.exists(path) and files.checksum(path) == checksum)


def _kind(path: str) -> str:
    """What tables of one format have in common: the end of their name, or the name of one of all recordings."""
    name = os.path.basename(path)
    return next((end for end in _OF_RECORDINGS if name.endswith(end)), name)


def _warn_of_raven(sources: Iterable[formats.Source]) -> None:
    """Warns of Raven tables with names in a further column, as in Annotation beside Species."""
    of_column: dict[str, list[str]] = {}
    for source in sources:
        for name in source.unused_columns if source.format == raven.FORMAT.name else ():
            if columns.normal(name) in _NAMES:
                of_column.setdefault(name, []).append(source.path)
    for name, paths in of_column.items():
        logging.warning(
            "the column %s of %d Raven tables is not used, the first: %s; if it holds the species, say "
            "--columns=label=%s", name, len(paths), paths[0], name,
        )  # fmt: skip


def _pair(row: rows.Row) -> tuple[str, str]:
    """The keys of the label and the second name; "" of a row with another number of labels."""
    if len(row.labels.species) != 1:
        return "", ""
    return class_names.key(row.labels.species[0]), class_names.key(row.second_name)


def _usual(pairs: collections.Counter[tuple[str, str]]) -> dict[str, str]:
    """{label: the second name that most of its rows have}; without those that have two names equally often."""
    of_label: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for (label, second), count in pairs.items():
        if label:
            of_label[label][second] = count
    most = {label: counts.most_common(2) for label, counts in of_label.items()}
    return {label: first[0] for label, (first, *others) in most.items() if not others or others[0][1] < first[1]}


def _are_alike(name: str, other: str) -> bool:
    """Whether two names are equal, or Latin ones of a species and a subspecies."""
    return name.split()[:2] == other.split()[:2]
