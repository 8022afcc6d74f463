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
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from bird_tf import config, csv_files, files
from bird_tf.evaluation import clips
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
        strata: for each, lower edge and size of the band that its prediction was drawn from.
        is_sample: whether they were drawn at random from their bands. Otherwise, all predictions are those that were
            judged.
        scales: for each, what its probability is of, as in `clips.Prediction`.
    """

    scores: np.ndarray
    right: np.ndarray
    classes: np.ndarray
    strata: Sequence[tuple[float, int]]
    is_sample: bool
    scales: Sequence[str]

    @property
    def weights(self) -> np.ndarray:
        """[n] how many predictions each stands for, scaled so that the sum is the number of verdicts of equal weight
        that would tell as much (Kish 1965)."""
        judged = collections.Counter(self.strata)
        weights = np.array([size / judged[lowest, size] for lowest, size in self.strata])
        return np.asarray(weights * weights.sum() / np.sum(weights**2))

    def bands(self, index: int | None = None) -> list[stratified.Band]:
        """The bands, lowest first, of one class or of all. The verdicts tell the size of a class's part of a band."""
        judged = collections.Counter(self.strata)
        found = []
        for lowest, size in sorted(judged):
            mine = [
                i for i, own in enumerate(self.strata)
                if own == (lowest, size) and index in (None, int(self.classes[i]))
            ]  # fmt: skip
            part = max(len(mine), round(size * len(mine) / judged[lowest, size]))
            positives = int(self.right[mine].sum())
            found.append(stratified.Band(lowest=lowest, size=part, judged=len(mine), positives=positives))
        return [band for band in found if band.size]


def read(path: str, classes: taxonomy.Taxonomy) -> Judged:
    """Reads the verdicts that say yes, no or other to a class of the model.

    Raises:
        InputError: there is none, or one has no probability, or the similarity of a search.
    """
    rows = verdicts.read(path)
    used = [v for v in rows if v.is_present is not None and classes.resolve([v.class_id])]
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
    is_sample = all(v.band_size for v in used)
    strata = [(v.band_lowest, v.band_size) for v in used]
    if not is_sample:
        logging.warning(
            "%s: not all clips were drawn at random (bird_tf.review --sample): precision and recall are those of the "
            "clips that were judged, not of all predictions", path,
        )  # fmt: skip
        edges = (0.0, *clips.ChoiceConfig().bands)
        lowest = [edges[bisect.bisect_right(edges, v.probability) - 1] for v in used]
        sizes = collections.Counter(lowest)
        strata = [(edge, sizes[edge]) for edge in lowest]
    return Judged(
        scores=np.array([v.probability for v in used]),
        right=np.array([bool(v.is_present) for v in used]),
        classes=np.array([classes.resolve([v.class_id])[0] for v in used]),
        strata=strata,
        is_sample=is_sample,
        scales=[v.scale for v in used],
    )


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
        InputError: the verdicts are no sample, so that they say nothing of the rest.
    """
    if not judged.is_sample:
        raise config.InputError(
            f"--tune with --verdicts={source}: thresholds need clips that were drawn at random: bird_tf.review --sample"
        )
    weights = judged.weights
    common = thresholds.CommonCurve(judged.scores, judged.right, weights)
    common_f1 = thresholds.best_f1(judged.scores, judged.right, weights)
    fitted = {rule: before.answers.thresholds[rule].copy() for rule in thresholds.RULES}
    for index in np.unique(judged.classes).tolist():
        own = judged.classes == index
        of_class = (judged.scores[own], judged.right[own])
        enough = judged.right[own].sum() >= thresholds.MIN_POSITIVES
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
    after: decisions.Decisions,
) -> dict[str, Any]:  # fmt: skip
    """Writes verdict_bands.csv, verdict_species.csv and verdicts.json. Returns the content of the last."""
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
        "tuned_on_these": after is not before, "output": output,
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
