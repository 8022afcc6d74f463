"""Place and time of a recording → factors for the odds of each class.

Three sources: a list of species, a table of their frequencies by place and week, and the prior that the model learned
from its training recordings. Only this module combines them with scores.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from absl import logging

from bird_tf import config, free_text
from bird_tf.inference import ensembles, occurrence_table
from bird_tf.labels import clock, given_table, metadata, taxonomy
from bird_tf.labels.layouts import reader


@dataclasses.dataclass(frozen=True, kw_only=True)
class OccurrenceConfig:
    """Which species are probable at a place and time. By default, all of it is off."""

    species_list: str = config.option(
        "",
        "text file with one class id or scientific name a line, or BirdNET's Latin_Common; all other species get "
        "probability 0",
    )
    occurrence: str = config.option(
        "", "CSV: latitude, longitude, week (1 … 52; empty: the whole year), class_id (or scientific name), frequency"
    )
    occurrence_weeks: int = config.option(
        0, "weeks of a year in --occurrence: 52, or 48 (four a month, as BirdNET and eBird count); 0: 48 if its last "
        "week is 48, else 52"
    )  # fmt: skip
    occurrence_use: str = config.option(
        "filter",
        "filter: species below --least_frequency get probability 0; multiplier: odds are multiplied by frequency",
        choices=("filter", "multiplier"),
    )
    least_frequency: float = config.option(
        0.01, "with --occurrence: the frequency that the filter requires; the multiplier raises lower ones to it"
    )
    prior: str = config.option(
        "none",
        "learned: odds are multiplied by factors of place and time that the model learned from its training recordings",
        choices=("none", "learned"),
    )
    prior_weight: float = config.option(
        1.0, "exponent of the factors that odds are multiplied by; below 1: the sound counts more"
    )
    latitude: float | None = config.option(None, "degrees, for recordings without a place in the metadata")
    longitude: float | None = config.option(None, "degrees, for recordings without a place in the metadata")
    date: str = config.option("", "YYYY-MM-DD, for recordings without a date in the metadata")

    def __post_init__(self) -> None:
        place = self.latitude is not None and self.longitude is not None
        if not place and (self.latitude, self.longitude) != (None, None):
            raise config.InputError("--latitude and --longitude need each other: give both, or neither")
        if place and not (abs(self.latitude or 0) <= 90 and abs(self.longitude or 0) <= 180):
            raise config.InputError(f"--latitude={self.latitude} --longitude={self.longitude}: not a place on earth")
        if self.date and not free_text.date(self.date):
            raise config.InputError(f"--date={self.date}: must be a date such as 2024-05-31")
        if self.occurrence_weeks not in (0, *occurrence_table.YEARS):
            raise config.InputError(f"--occurrence_weeks={self.occurrence_weeks}: must be 0, 48 or 52")
        if not 0 < self.least_frequency < 1:
            raise config.InputError(f"--least_frequency={self.least_frequency}: must be between 0 and 1")
        if self.prior_weight <= 0:
            raise config.InputError(f"--prior_weight={self.prior_weight}: must be above 0; --prior=none leaves it out")
        multiplies = self.prior != "none" or (self.occurrence and self.occurrence_use == "multiplier")
        unused_weight = self.prior_weight != 1 and not multiplies
        config.refuse_without_effect(
            {
                "--latitude and --longitude without --occurrence or --prior": place and not self.needs_place,
                "--date without --occurrence or --prior": self.date and not self.needs_place,
                "--occurrence_use without --occurrence": self.occurrence_use != "filter" and not self.occurrence,
                "--occurrence_weeks without --occurrence": self.occurrence_weeks and not self.occurrence,
                "--least_frequency without --occurrence": self.least_frequency != 0.01 and not self.occurrence,
                "--prior_weight without --prior=learned or --occurrence_use=multiplier": unused_weight,
            }
        )

    @property
    def needs_place(self) -> bool:
        """Whether place and time of a recording are used."""
        return bool(self.occurrence) or self.prior != "none"

    @property
    def active(self) -> bool:
        """Whether scores change."""
        return self.needs_place or bool(self.species_list)


def multiply_odds(scores: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Multiplies the odds p / (1 − p) of scores.

    Args:
        scores: [..., classes] in [0, 1].
        factors: [classes], at least 0.

    Returns:
        [..., classes] scores of the same type. A factor of 1 changes nothing; a factor of 0 gives 0.
    """
    multiplied = scores * factors
    total = (1 - scores) + multiplied
    return np.asarray(np.divide(multiplied, total, out=np.zeros_like(multiplied), where=total > 0), scores.dtype)


def read_species(path: str, classes: taxonomy.Taxonomy) -> np.ndarray:
    """[classes] bool: the classes in a species list. Lines that begin with # are comments.

    Raises:
        InputError: no line is a class of the model.
    """
    names = given_table.lines(path, comment="#")
    unknown = [name for name in names if not classes.resolve([name])]
    if len(unknown) == len(names):
        raise config.InputError(
            f"--species_list={path}: none of {len(names)} lines is a class of the model{free_text.examples(names)}; it "
            f"knows {len(classes)} species{free_text.examples(classes.names)}"
        )
    if unknown:
        logging.info("%s: %d species are no classes of the model, for example %s", path, len(unknown), unknown[0])
    listed = np.zeros(len(classes), bool)
    listed[classes.resolve(names)] = True
    return listed


class OddsFactors:
    """The factors for an ensemble's classes, from all sources that the flags name."""

    def __init__(self, settings: OccurrenceConfig, ensemble: ensembles.Ensemble) -> None:
        """Reads the files that the flags name.

        Raises:
            InputError: unusable list or table, or a model that learned no prior.
        """
        self._settings, classes = settings, ensemble.classes
        self._prior = ensemble.prior
        if settings.prior == "learned" and not self._prior.informed:
            raise config.InputError(
                f"--prior=learned: {ensemble.models[0].path} learned no prior: place and time of its training "
                "recordings are unknown, or did not help; leave --prior out"
            )
        self._listed = read_species(settings.species_list, classes) if settings.species_list else None
        self._table = (
            occurrence_table.Table(settings.occurrence, classes, settings.occurrence_weeks)
            if settings.occurrence
            else None
        )
        self._warned = False

    @property
    def need_place(self) -> bool:
        """Whether place and time of a recording change its factors."""
        return self._settings.needs_place

    def factors(self, recording: metadata.Recording) -> np.ndarray:
        """[classes] factors of the odds. An unknown place or time gives factors of 1."""
        settings = self._settings
        if settings.latitude is not None and settings.longitude is not None and math.isnan(recording.latitude):
            recording = dataclasses.replace(recording, latitude=settings.latitude, longitude=settings.longitude)
        day = free_text.date(settings.date)
        if day and math.isnan(recording.day_of_year):  # which alone would be another date of a leap year
            recording = dataclasses.replace(recording, date=day.isoformat(), day_of_year=free_text.day_of_year(day))
        factors = np.ones(len(self._prior.class_ids))
        if settings.prior == "learned":
            factors *= np.exp(settings.prior_weight * self._prior.log_ratios(recording))
        if self._table is not None:
            frequencies = self._table.at(recording)
            if frequencies is None:
                self._warn_once(recording)
            elif settings.occurrence_use == "filter":
                factors *= frequencies >= settings.least_frequency
            else:
                raised = np.maximum(frequencies, settings.least_frequency)
                factors *= (raised / raised.sum() / self._prior.frequencies) ** settings.prior_weight
        return factors if self._listed is None else factors * self._listed

    def _warn_once(self, recording: metadata.Recording) -> None:
        if not self._warned:
            logging.warning(
                "%s: its place is unknown, so --occurrence does not change its scores; the same holds for all other "
                "recordings without a place", recording.path,
            )  # fmt: skip
        self._warned = True

    def describe(self) -> str:
        """The sources, in words for a report."""
        settings = self._settings
        parts = [f"species list {settings.species_list}"] if settings.species_list else []
        if settings.occurrence:
            parts.append(f"occurrence table {settings.occurrence} as {settings.occurrence_use}")
        if settings.prior == "learned":
            exponents = ", ".join(f"{name} {value:.2f}" for name, value in self._prior.exponents.items() if value > 0)
            parts.append(f"learned prior with weight {settings.prior_weight:g} (exponents: {exponents})")
        return "; ".join(parts)


def factors_by_id(
    odds_factors: OddsFactors,
    recordings: Sequence[tuple[str, str]],
    root: str,
    metadata_path: str,
    clock_settings: clock.ClockConfig,
) -> Callable[[str], np.ndarray]:
    """Reads the metadata of recordings (id, path) below `root`. Returns the function recording id → [classes] factors.

    Without a use of place and time, nothing is read.

    Raises:
        InputError: as `reader.describe`.
    """
    if not odds_factors.need_place:
        factors = odds_factors.factors(metadata.Recording(recording_id="", path=""))
        return lambda _: factors
    by_path = reader.describe([path for _, path in recordings], root, metadata_path, clock_settings)
    paths = dict(recordings)
    return lambda recording_id: odds_factors.factors(by_path[paths[recording_id]])
