"""The flags of self-training, and who teaches in which round."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from bird_tf import config, executor
from bird_tf.training import training_flags

# who teaches in a round, besides the number of a --teacher
FIRST, STUDENT, BOTH = "first", "student", "both"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelfTrainConfig(training_flags.TrainConfig):
    """The flags of a training, whose --run_dir holds all rounds, and those of self-training."""

    DEFAULT_FLAGFILE: ClassVar[str] = "selftrain.flags"

    unlabelled: str = config.option(
        "", "folder with unlabelled recordings, best from the recorders that the model is for", required=True
    )
    rounds: int = config.option(3, "the most rounds; each takes as long as a training")
    power: tuple[float, ...] = config.option(
        (1.0, 1.5, 1.8, 1.7), "label = probability to this power, in round 1, 2, …; later rounds take the last one"
    )
    least_total_label: float = config.option(
        0.2, "unlabelled chunks whose labels have a smaller sum in the first round are not written"
    )
    taught_by: tuple[str, ...] = config.option(
        (FIRST, STUDENT),
        "who teaches in round 1, 2, …, to exchange teachers of different kind; may be repeated, and later rounds take "
        "the last one: first (every --teacher), 1, 2, … (one of them), student (the best one so far), both",
        was=("keep_teachers",),
    )
    segments: str = config.option(
        "", "calls in --segments_audio, to judge rounds by: a CSV or annotations, as of bird_tf.evaluate"
    )
    segments_audio: str = config.option("", "folder with the recordings of --segments")
    columns: tuple[str, ...] = config.option(
        (), "WHAT=COLUMN, for other names of columns in --segments, as --columns of bird_tf.evaluate; may be repeated"
    )
    gate: bool = config.option(
        True, "judge each round, by --segments or else by mixtures, and keep the best; without it the last one is kept"
    )
    num_mixtures: int = config.option(20, "number of mixtures of a minute that rounds are judged by without --segments")
    shard_minutes: float = config.option(20.0, "unlabelled audio in one shard, minutes")
    place: executor.PlaceConfig

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.teachers.teacher:
            raise config.InputError("--teacher is missing: name an exported model, as runs/NAME/export")
        numbers = (self.rounds, self.num_mixtures, *(self.power or (0,)), self.least_total_label, self.shard_minutes)
        if not min(numbers) > 0:
            raise config.InputError(
                f"--rounds={self.rounds} --num_mixtures={self.num_mixtures} --power={','.join(map(str, self.power))} "
                f"--least_total_label={self.least_total_label} --shard_minutes={self.shard_minutes}: need numbers "
                "above 0"
            )
        if bool(self.segments) != bool(self.segments_audio):
            raise config.InputError("--segments and --segments_audio belong together: the calls and their recordings")
        config.refuse_without_effect(
            {
                "--segments with --nogate": self.segments and not self.gate,
                "--columns without --segments": self.columns and not self.segments,
                "--pseudo_labels": self.pseudo.pseudo_labels,
            }
        )
        known = {FIRST, STUDENT, BOTH, *map(str, range(1, len(self.teachers.teacher) + 1))}
        if not self.taught_by or (unknown := {*self.taught_by} - known):
            raise config.InputError(
                f"--taught_by={min(unknown) if self.taught_by else ''}: need {FIRST}, {STUDENT}, {BOTH}, or the number "
                f"of one of the {len(self.teachers.teacher)} teachers"
            )
        if self.taught_by[0] in (STUDENT, BOTH):
            raise config.InputError(
                f"--taught_by={self.taught_by[0]} comes first, but in round 1 there is no student yet"
            )

    def power_of(self, number: int) -> float:
        """The power of a round, from 1."""
        return self.power[min(number, len(self.power)) - 1]

    def teachers_of(self, number: int, first: tuple[str, ...], student: tuple[str, ...]) -> tuple[str, ...]:
        """The models that teach in a round, from 1.

        Args:
            number: of the round.
            first: the first teachers.
            student: the best student so far; empty while none is better than they are: then they teach in its place.
        """
        kind = self.taught_by[min(number, len(self.taught_by)) - 1]
        if kind.isdigit():
            return (first[int(kind) - 1],)
        return {FIRST: first, STUDENT: student or first, BOTH: (*first, *student)}[kind]
