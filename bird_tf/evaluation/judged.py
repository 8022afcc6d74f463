"""Verdicts on predictions → precision and recall by band of probabilities, and thresholds fitted anew.

The clips of `bird_tf.review --sample` were drawn from each band, so a verdict counts for as many predictions as its
band has for each verdict in it.
"""

from __future__ import annotations

import bisect
import collections
import dataclasses
import math
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from bird_tf import config, csv_files, files
from bird_tf.labels import taxonomy, verdicts
from bird_tf.scores import calibration, decisions, stratified, thresholds

SUMMARY = "verdicts.json"
_SHARES = ("precision_in_band", "precision", "recall")
BAND_COLUMNS = (
    "class_id", "band_lowest", "band_size", "judged", "right",
    *(f"{share}{bound}" for share in _SHARES for bound in ("", "_lowest", "_highest")),
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judged:
    """Verdicts that say yes or no to a class.

    Attributes:
        scores: [n] probability of the prediction.
        right: [n] bool.
        classes: [n] index of the predicted class.
        edges: for each, the lower edge of the band that its prediction was drawn from.
        sizes: {class: {lower edge: number of predictions}} of the bands, under None of all classes; NaN where it is not
            known.
        chosen: as from `verdicts.chosen_bands`.
        is_sample: whether they were drawn at random from their bands. Otherwise, all predictions are those that were
            judged.
        scales: for each, what its probability is of, as in `prediction_folder.Summary`.
    """

    scores: np.ndarray
    right: np.ndarray
    classes: np.ndarray
    edges: Sequence[float]
    sizes: Mapping[int | None, Mapping[float, float]]
    chosen: Collection[tuple[int | None, float]]
    is_sample: bool
    scales: Sequence[str]

    @property
    def weights(self) -> np.ndarray:
        """[n] how many predictions each stands for, scaled so that the sum is the number of verdicts of equal weight
        that would tell as much (Kish 1965)."""
        judged = collections.Counter(self.edges)
        weights = np.array([self.sizes[None][edge] / judged[edge] for edge in self.edges])
        return np.asarray(weights * weights.sum() / np.sum(weights**2))

    def bands(self, index: int | None = None) -> list[stratified.Band]:
        """The bands with predictions, lowest first, of one class or of all."""
        mine = [i for i, own in enumerate(self.classes) if index in (None, int(own))]
        judged = collections.Counter(self.edges[i] for i in mine)
        right = collections.Counter(self.edges[i] for i in mine if self.right[i])
        return [
            stratified.Band(
                lowest=edge, size=size, judged=judged[edge], positives=right[edge],
                at_random=(index, edge) not in self.chosen,
            )
            for edge, size in sorted(self.sizes[index].items()) if size
        ]  # fmt: skip

    @property
    def open_bands(self) -> str:
        """The lower edges of the bands of all classes whose verdicts tell nothing of them, in words."""
        return ", ".join(f"{band.lowest:g}" for band in self.bands() if not band.is_known)


def read(path: str, classes: taxonomy.Taxonomy) -> Judged:
    """Reads the verdicts that say yes, no or other to a class of the model.

    Raises:
        InputError: there is none, or one has no probability, or the similarity of a search; or they are of several
            reviews.
    """
    rows = verdicts.read(path)
    try:
        predicted = verdicts.predicted(rows, classes)
    except config.InputError as error:
        raise config.InputError(f"--verdicts={path}: {error}") from error
    used = [v for v in predicted if v.is_present is not None]
    if not used:
        raise config.InputError(
            f"--verdicts={path}: none of {len(rows)} rows says yes, no or other to a class of the model"
        )
    if missing := [v for v in used if math.isnan(v.probability)]:
        raise config.InputError(
            f"--verdicts={path}: {len(missing)} verdicts have no probability, the first on {missing[0].file}; the page "
            "of bird_tf.review saves it"
        )
    if negative := [v for v in used if v.probability < 0]:
        raise config.InputError(
            f"--verdicts={path}: {len(negative)} verdicts have similarities of bird_tf.search, which are no "
            f"probabilities, the first on {negative[0].file} at {negative[0].start_seconds:g} s: "
            f"{negative[0].probability:g}; name the verdicts of a bird_tf.review"
        )
    if len(used) < len(rows):
        logging.info(
            "%d of %d verdicts say neither yes nor no to a class of the model", len(rows) - len(used), len(rows)
        )
    indices = [predicted[v] for v in used]
    is_sample = all(v.band_size for v in used)
    edges = [v.band_lowest for v in used]
    if not is_sample:
        logging.warning(
            "%s: not all clips were drawn at random (bird_tf.review --sample): precision and recall are those of the "
            "clips that were judged, not of all predictions", path,
        )  # fmt: skip
        all_edges = (0.0, *verdicts.BANDS)
        edges = [all_edges[bisect.bisect_right(all_edges, v.probability) - 1] for v in used]
    try:
        sizes = _sizes(rows, used, indices) if is_sample else _counts(edges, indices)
    except config.InputError as error:
        raise config.InputError(f"--verdicts={path}: {error}") from error
    found = Judged(
        scores=np.array([v.probability for v in used]),
        right=np.array([bool(v.is_present) for v in used]),
        classes=np.array(indices),
        edges=edges,
        sizes=sizes,
        chosen=verdicts.chosen_bands(rows, classes) if is_sample else (),
        is_sample=is_sample,
        scales=[v.scale for v in used],
    )
    if found.open_bands:
        logging.warning(
            "%s: what the predictions in the bands from %s up count in is unknown: they have no verdict, or more of "
            "their clips were passed over than judged", path, found.open_bands,
        )  # fmt: skip
    return found


def _counts(edges: Sequence[float], indices: Sequence[int]) -> dict[int | None, dict[float, float]]:
    """`Judged.sizes`, where there are no other predictions than those that were judged."""
    counts = collections.Counter(zip(indices, edges, strict=True))
    return {
        index: {edge: sum(n for (i, own), n in counts.items() if own == edge and index in (None, i)) for edge in edges}
        for index in (None, *indices)
    }


def _sizes(
    rows: Sequence[verdicts.Verdict], used: Sequence[verdicts.Verdict], indices: Sequence[int]
) -> dict[int | None, dict[float, float]]:
    """`Judged.sizes` of a sample: of all verdicts, of which those that are used are on classes of these indices.

    Tables of earlier versions tell the sizes of the bands with verdicts alone. There, the part of a class is that of
    the verdicts in the band, and what is below the lowest band is not known.

    Raises:
        InputError: the verdicts are of several reviews.
    """
    of_all: dict[float, float] = {**verdicts.bands((v for v in rows if v.band_size), of_class=False)}
    if 0.0 not in of_all:
        of_all[0.0] = math.nan
    judged = collections.Counter(v.band_lowest for v in used)
    found: dict[int | None, dict[float, float]] = {None: of_all}
    for index in set(indices):
        own = [v for v, i in zip(used, indices, strict=True) if i == index]
        if told := [v for v in own if v.class_sizes]:
            found[index] = {**verdicts.bands(told, of_class=True)}
            continue
        counts = collections.Counter(v.band_lowest for v in own)
        found[index] = {
            edge: max(counts[edge], round(size * counts[edge] / judged[edge]))
            if counts[edge] or judged[edge] == size else math.nan
            for edge, size in of_all.items() if size
        }  # fmt: skip
    return found


def check_scale(judged: Judged, scale: str, source: str, *, tunes: bool) -> None:
    """Warns of probabilities of another model, or of this one before it was tuned, which have another scale.

    Args:
        judged: the verdicts.
        scale: of the model, as `Ensemble.scale`.
        source: the name of the verdicts.
        tunes: whether thresholds are fitted to them.

    Raises:
        InputError: there are such probabilities, and thresholds shall be fitted to them.
    """
    told = [own.partition(" ") for own in judged.scales if own]
    if others := sum(own != scale for own, _, _ in told):
        problem = (
            f"--verdicts={source}: {others} of {len(judged.scales)} verdicts are on predictions of another model, or "
            "of this one before it was tuned: its probabilities have another scale now"
        )
        if tunes:
            raise config.InputError(f"{problem}, so --tune needs verdicts on new predictions")
        logging.warning("%s. What is told is how good those predictions were", problem)
    if tunes and len(told) < len(judged.scales):
        logging.warning(
            "%s does not say of %d of %d verdicts which model and calibration their probabilities are of: the "
            "thresholds are right only if the predictions were made with these", source,
            len(judged.scales) - len(told), len(judged.scales),
        )  # fmt: skip
    if combined := sorted({further for _, _, further in told if further}):
        logging.warning(
            "%s: probabilities were combined with %s: what is told, and thresholds, hold for predictions with the same "
            "only", source, " or ".join(combined),
        )  # fmt: skip


def refit(before: decisions.Decisions, judged: Judged, precision: float, source: str) -> decisions.Decisions:
    """Fits the thresholds on chunks of the classes that were judged. Those of the others stay.

    As in `thresholds.fit`, a class with few positives rests on all classes. No threshold is below the least probability
    that was predicted.

    Raises:
        InputError: the verdicts are no sample, so that they say nothing of the rest, or not of all bands.
    """
    if not judged.is_sample:
        raise config.InputError(
            f"--tune with --verdicts={source}: thresholds need clips that were drawn at random: bird_tf.review --sample"
        )
    if math.isnan(sum(judged.sizes[None].values())):
        raise config.InputError(
            f"--tune with --verdicts={source}: an earlier version wrote it, and it does not tell how many predictions "
            "are in each band; make the page anew from the same predictions, load the file there, and save it"
        )
    if judged.open_bands:
        raise config.InputError(
            f"--tune with --verdicts={source}: thresholds need verdicts on each band of probabilities, as its clips "
            f"come; the bands from {judged.open_bands} up have none, or more of their clips were passed over than "
            "judged: judge them on the page, or draw anew with fewer --bands"
        )
    weights = judged.weights
    common = thresholds.CommonCurve(judged.scores, judged.right, weights)
    common_f1 = thresholds.best_f1(judged.scores, judged.right, weights)
    fitted = {rule: before.answers.thresholds[rule].copy() for rule in thresholds.RULES}
    for index in np.unique(judged.classes).tolist():
        own = judged.classes == index
        of_class = (judged.scores[own], judged.right[own])
        is_known = all(band.is_known for band in judged.bands(index))
        enough = is_known and judged.right[own].sum() >= thresholds.MIN_POSITIVES
        fitted["f1"][index] = thresholds.best_f1(*of_class, weights[own]) if enough else common_f1
        fitted["precision"][index] = thresholds.for_precision(*of_class, precision, common, weights[own])
    verdicts_of = f"{len(judged.right)} verdicts of {source}"
    answers: calibration.Calibration = dataclasses.replace(before.answers, thresholds=fitted)
    after = dataclasses.replace(before, precision=precision)
    if before.in_context:
        sources = decisions.joined_sources(before.context_fitted_on, verdicts_of)
        return dataclasses.replace(after, in_context=answers, context_fitted_on=sources)
    return dataclasses.replace(after, chunk=answers, fitted_on=decisions.joined_sources(before.fitted_on, verdicts_of))


def write(
    output: str, source: str, judged: Judged, classes: taxonomy.Taxonomy, before: decisions.Decisions,
    after: decisions.Decisions, made_by: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Writes verdict_bands.csv, verdict_species.csv and verdicts.json.

    Returns:
        The content of the last; `made_by` is what it tells of the command, as from `provenance`.
    """
    indices = np.unique(judged.classes).tolist()
    of_all = _band_rows("", judged.bands())
    rows = [*of_all, *(row for i in indices for row in _band_rows(classes.class_ids[i], judged.bands(i)))]
    cells = [["" if value != value else _cell(value) for value in row.values()] for row in rows]
    csv_files.write(os.path.join(output, "verdict_bands.csv"), BAND_COLUMNS, cells)
    names = [f"{rule}_{when}" for when in ("before", "after") for rule in thresholds.RULES]
    species = [
        (
            classes.class_ids[i], classes.names[i], int(np.sum(judged.classes == i)),
            int(np.sum(judged.right[judged.classes == i])),
            *(f"{decided.answers.thresholds[rule][i]:.6g}" for decided in (before, after) for rule in thresholds.RULES),
        )
        for i in indices
    ]  # fmt: skip
    columns = ("class_id", "name", "judged", "right", *names)
    csv_files.write(os.path.join(output, "verdict_species.csv"), columns, species)
    summary = {
        "verdicts": source, "num_verdicts": len(judged.right), "num_right": int(judged.right.sum()),
        "num_classes": len(indices), "is_sample": judged.is_sample, "bands": [files.defined(row) for row in of_all],
        "tuned_on_these": after is not before, "output": output, **(made_by or {}),
    }  # fmt: skip
    files.write_json(os.path.join(output, SUMMARY), summary)
    return summary


def _cell(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value


def _band_rows(class_id: str, bands: Sequence[stratified.Band]) -> list[dict[str, Any]]:
    """A row of `BAND_COLUMNS` for each band: precision in it; precision and recall with its lower edge as threshold."""
    found = []
    for i, band in enumerate(bands):
        row = dict(zip(BAND_COLUMNS, (class_id, band.lowest, band.size, band.judged, band.positives), strict=False))
        shares = (stratified.share([band]), stratified.share(bands[i:]), stratified.recall(bands[i:], bands[:i]))
        for name, share in zip(_SHARES, shares, strict=True):
            row |= {name: share.estimate, f"{name}_lowest": share.lowest, f"{name}_highest": share.highest}
        found.append(row)
    return found


def log(summary: Mapping[str, Any]) -> None:
    """Logs precision and recall by threshold in one line."""
    shown = "; ".join(
        f"from {band['band_lowest']:g} up {_in_words(band, 'precision')}, {_in_words(band, 'recall')}"
        for band in summary["bands"]
    )
    logging.info(
        "%d verdicts, %d right: %s; %s",
        summary["num_verdicts"], summary["num_right"], shown, os.path.join(summary["output"], "verdict_bands.csv"),
    )  # fmt: skip


def _in_words(band: Mapping[str, Any], name: str) -> str:
    if band[name] is None:
        return f"{name} unknown"
    return f"{name} {band[name]:.2f} ({band[f'{name}_lowest']:.2f} to {band[f'{name}_highest']:.2f})"
