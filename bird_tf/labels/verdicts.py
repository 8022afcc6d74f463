"""Verdicts: what a person says of predictions, one row for each in verdicts.csv, which a review page saves."""

from __future__ import annotations

import collections
import dataclasses
import math
import re
from collections.abc import Iterable, Sequence

from absl import logging

from bird_tf import config, csv_files, files, free_text, next_steps
from bird_tf.labels import given_table, label_cells, taxonomy

COLUMNS = ("file", "start_seconds", "end_seconds", "class_id", "verdict")
# columns that may be missing: the species of the verdict `other`, the prediction, and the band it was drawn from
FURTHER_COLUMNS = ("species", "probability", "band_lowest", "band_size")
# verdicts of earlier versions do not have them
LATER_COLUMNS = ("scale", "band_turn", "band_sizes", "class_turn", "class_sizes")
YES, NO, OTHER, UNSURE, SKIP = "yes", "no", "other", "unsure", "skip"
ANSWERS = (YES, NO, OTHER, UNSURE, SKIP)
_OF_KEYS = {answer[0]: answer for answer in ANSWERS}  # the keys of the page
BANDS = (0.1, 0.25, 0.5, 0.75, 0.9)  # edges of the bands of probabilities that clips are drawn from
# lower edges of bands, with numbers of predictions
_SIZES = re.compile(r"\d[\d.e-]*=\d{1,15}(?:;\d[\d.e-]*=\d{1,15})*", re.ASCII)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a species is to be heard in a span of a recording.

    Attributes:
        file: path of the recording below the folder of all, with `/`.
        start_seconds, end_seconds: the span.
        class_id: the predicted class.
        answer: one of `ANSWERS`; `no`: none of the classes is there; `other`: another species is there, and not the
            predicted one.
        species: with `other`, the class id or name of the species that is there; empty if it is not known.
        probability: of the prediction; NaN if it is not known.
        band_lowest, band_size: of the band of probabilities that the prediction was drawn from, its lower edge and its
            number of predictions; NaN and 0 if it was not drawn at random.
        scale: what the probability is of, as in `prediction_folder.Summary`; empty if it is not known.
        band_turn, class_turn: as the how-manieth clip of its band, and of the predicted class in it, it was drawn; 0 if
            it is not known.
        band_sizes, class_sizes: (lower edge, number of predictions) of all bands of its review, of all classes and of
            the predicted one; empty if they are not known.
    """

    file: str
    start_seconds: float
    end_seconds: float
    class_id: str
    answer: str
    species: str = ""
    probability: float = math.nan
    band_lowest: float = math.nan
    band_size: int = 0
    scale: str = ""
    band_turn: int = 0
    class_turn: int = 0
    band_sizes: tuple[tuple[float, int], ...] = ()
    class_sizes: tuple[tuple[float, int], ...] = ()

    @property
    def is_present(self) -> bool | None:
        """Whether the predicted class is there; None if the person does not say."""
        return {YES: True, NO: False, OTHER: False}.get(self.answer)

    @property
    def label(self) -> str:
        """The species that is there, as far as the person says."""
        return {YES: self.class_id, OTHER: self.species}.get(self.answer, "")


def read(path: str) -> list[Verdict]:
    """Reads verdicts.csv, without rows in which nobody gave a verdict. Of several on one span and class, one counts.

    If one is unsure, the others count. If they say different things, as where two people disagree, none of them counts,
    and a warning tells how many.

    Raises:
        InputError: no such table, or a row that cannot be read.
    """
    if not files.exists(path):
        raise config.InputError(f"{path}: no such file; the page of {next_steps.command('review')} saves verdicts.csv")
    found: dict[tuple[str, float, float, str], Verdict] = {}
    said: dict[tuple[str, float, float, str], set[tuple[str, str]]] = collections.defaultdict(set)
    for row in given_table.read_own(path, COLUMNS):
        verdict = _parse(row)
        if verdict.answer == SKIP:
            continue
        clip = (verdict.file, verdict.start_seconds, verdict.end_seconds, verdict.class_id)
        if verdict.is_present is not None:
            said[clip].add((verdict.answer, verdict.label))
        if verdict.is_present is not None or clip not in said:
            found[clip] = verdict
    if contradictory := [clip for clip, different in said.items() if len(different) > 1]:
        file, start, _, class_id = contradictory[0]
        logging.warning(
            "%s: the verdicts on %d clips contradict each other, the first: %s at %g s, %s; they are not used, keep "
            "one row of each", path, len(contradictory), file, start, class_id,
        )  # fmt: skip
    return [verdict for clip, verdict in found.items() if len(said[clip]) < 2]


def _parse(row: csv_files.Row) -> Verdict:
    # R writes NA into empty cells
    cells = {c: "" if c not in COLUMNS and label_cells.is_missing(text) else text for c, text in row.cells.items()}
    row = dataclasses.replace(row, cells=cells)
    said = row.cells["verdict"].strip().casefold()
    answer = _OF_KEYS.get(said, said)
    start, end = row.number("start_seconds", 0), row.number("end_seconds", 0)
    if not start < end:
        raise row.error("need a span in seconds")
    if answer not in ANSWERS:
        raise row.error(
            f"need a verdict out of {', '.join(ANSWERS)}, not {answer[:40]!r}; write {SKIP} if nobody gave one"
        )
    class_id, species = row.text("class_id"), row.cells.get("species", "").strip()
    if answer == OTHER and species == class_id:
        raise row.error(f"{OTHER} names {class_id[:40]!a}, which was predicted; write {YES} if it is to be heard")
    if species and answer in (YES, NO) and not (_is_none(species) or (answer == YES and species == class_id)):
        raise row.error(
            f"{answer} beside the species {species[:40]!a}; write {OTHER} if that is to be heard in place of "
            f"{class_id[:40]!a}, or leave species empty"
        )
    return Verdict(
        file=row.text("file"),
        start_seconds=start,
        end_seconds=end,
        class_id=class_id,
        answer=answer,
        species=species,
        probability=row.number("probability", -1, 1),  # a similarity, on the page of a search
        band_lowest=row.number("band_lowest"),
        band_size=row.count("band_size", 0),
        scale=row.cells.get("scale", "").strip(),
        band_turn=row.count("band_turn", 0),
        class_turn=row.count("class_turn", 0),
        band_sizes=_sizes(row, "band_sizes"),
        class_sizes=_sizes(row, "class_sizes"),
    )


def _is_none(species: str) -> bool:
    """Whether a name says that there is no species."""
    try:
        return label_cells.parse(species).negative
    except ValueError:
        return False


def _sizes(row: csv_files.Row, column: str) -> tuple[tuple[float, int], ...]:
    cell = row.cells.get(column, "").strip()
    if not cell:
        return ()
    try:
        if not _SIZES.fullmatch(cell):
            raise ValueError
        found = tuple((float(edge), int(size)) for edge, size in (part.split("=") for part in cell.split(";")))
    except ValueError:
        raise row.error(f"{column} must be edges and numbers, as 0=85;0.5=12, not {cell[:40]!a}") from None
    if row.number("band_lowest") not in dict(found):
        raise row.error(f"{column} has no band from band_lowest up")
    return found


def predicted(given: Sequence[Verdict], classes: taxonomy.Taxonomy) -> dict[Verdict, int]:
    """{verdict: index of the class that it is on}, without those on classes that the model does not have.

    Raises:
        InputError: a verdict names this class as the other species, by another of its names.
    """
    found: dict[Verdict, int] = {}
    strangers = collections.Counter[str]()
    for verdict in given:
        for index in classes.resolve([verdict.class_id]):
            found[verdict] = index
            if verdict.answer == OTHER and index in classes.resolve([verdict.species]):
                raise config.InputError(
                    f"{verdict.file} at {verdict.start_seconds:g} s: {OTHER} names {verdict.species[:40]!a}, which is "
                    f"{verdict.class_id[:40]!a}, which was predicted; write {YES} if it is to be heard"
                )
        strangers[verdict.class_id] += verdict not in found
    if told := +strangers:
        logging.warning(
            "%d of %d verdicts are on classes that the model does not have, and are not used%s; where a class was "
            "renamed, write its name of now as class_id", told.total(), len(given), free_text.examples(sorted(told)),
        )  # fmt: skip
    return found


def sizes_cell(sizes: Iterable[tuple[float, int]]) -> str:
    """The cell of `band_sizes` or `class_sizes`."""
    return ";".join(f"{edge}={size}" for edge, size in sizes)


def bands(drawn: Iterable[Verdict], *, of_class: bool) -> dict[float, int]:
    """{lower edge: number of predictions} of the bands that clips were drawn from, as far as their verdicts tell.

    Args:
        drawn: verdicts on clips that were drawn by band; with `of_class` of one class, and with its sizes.
        of_class: whether the predictions of that class are meant, and not all of the review.

    Raises:
        InputError: they are of several reviews.
    """
    found: dict[float, int] = {}
    complete: set[tuple[tuple[float, int], ...]] = set()
    for verdict in drawn:
        told = verdict.class_sizes if of_class else verdict.band_sizes
        complete |= {told} - {()}
        for edge, size in told or ((verdict.band_lowest, verdict.band_size),):
            if found.setdefault(edge, size) != size or len(complete) > 1:
                advice = "; where you changed a class_id, restore it, and write other and the species" * of_class
                raise config.InputError(
                    f"its verdicts are of several reviews: one drew from {found[edge]} predictions from a probability "
                    f"of {edge:g} up, another one from {size}, or by other bands; name those of one review{advice}"
                )
    return found


def chosen_bands(given: Iterable[Verdict], classes: taxonomy.Taxonomy) -> set[tuple[int | None, float]]:
    """(index of a class, or None for all, and lower edge) of the bands of which a person chose what to judge.

    Of these, more clips were passed over than judged, as where those of one species or site alone were judged: they are
    no random sample of the band. The page of a review says the same.
    """
    turns: dict[tuple[int | None, float], list[int]] = collections.defaultdict(list)
    for verdict in given:
        turns[None, verdict.band_lowest].append(verdict.band_turn)
        for index in classes.resolve([verdict.class_id]):
            turns[index, verdict.band_lowest].append(verdict.class_turn)
    return {band for band, of_band in turns.items() if 2 * len(of_band) < max(of_band)}
