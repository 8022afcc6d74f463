"""Which predictions a person is asked about: the clips of a review."""

from __future__ import annotations

import bisect
import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bird_tf import config, free_text
from bird_tf.labels import verdicts

DOUBTFUL, MOST_DOUBTFUL, HIGHEST, RANDOM = "doubtful", "most_doubtful", "highest", "random"
ORDERS = (DOUBTFUL, MOST_DOUBTFUL, HIGHEST, RANDOM)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChoiceConfig:
    """Which clips are asked about."""

    num_clips: int = config.option(200, "number of clips, at most; 0: all")
    order: str = config.option(
        DOUBTFUL,
        "which come first: those of a probability near 0.5, from each recording and species in turn; those nearest to "
        "0.5, wherever they are; the most probable; or any",
        choices=ORDERS,
    )
    sample: bool = config.option(
        False, "draw them at random from each band of probabilities: then the page estimates the precision"
    )
    bands: tuple[float, ...] = config.option(verdicts.BANDS, "edges of the bands of probabilities")
    species: tuple[str, ...] = config.option((), "only this class, by its id or name; may be repeated")
    seed: int = config.option(0, "another number gives other random clips")

    def __post_init__(self) -> None:
        if self.num_clips < 0:
            raise config.InputError(f"--num_clips={self.num_clips}: must be 0 (all) or more")
        config.check_seed("seed", self.seed)
        if list(self.bands) != sorted({*self.bands}) or not all(0 < edge < 1 for edge in self.bands):
            raise config.InputError(f"--bands={','.join(map(str, self.bands))}: need rising numbers between 0 and 1")
        config.refuse_without_effect({"--order with --sample": self.sample and self.order != DOUBTFUL})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
    """A span of a recording in which a species was predicted.

    Attributes:
        file: path of the recording below the folder of all, with `/`.
        start_seconds, end_seconds: the span.
        class_id, name: the species.
        score: probability of the prediction, or another number by which clips are sorted.
        clock_time, site: when and where, as far as it is known.
    """

    file: str
    start_seconds: float
    end_seconds: float
    class_id: str
    name: str
    score: float
    clock_time: str = ""
    site: str = ""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What tells it from other clips. Tables give times to a millisecond."""
        return self.file, f"{self.start_seconds:.3f}", f"{self.end_seconds:.3f}", self.class_id


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """The clips of a review.

    Attributes:
        clips: in the order in which they are asked about.
        edges: lower edges of the bands, the first one 0.
        sizes: {class id: [bands] number of predictions from which clips were drawn}; empty if they were not drawn by
            band.
    """

    clips: list[Clip]
    edges: tuple[float, ...]
    sizes: Mapping[str, list[int]]

    def band(self, clip: Clip) -> int:
        """The band of a clip."""
        return bisect.bisect_right(self.edges, clip.score) - 1 if clip.score >= 0 else 0

    def turns(self, drawn: Iterable[Clip]) -> list[tuple[int, int]]:
        """As the how-manieth of its band, and of its class in it, each clip comes."""
        num_before: collections.Counter[tuple[int, str]] = collections.Counter()
        found = []
        for clip in drawn:
            of_all, of_class = (self.band(clip), ""), (self.band(clip), clip.class_id)
            num_before.update((of_all, of_class))
            found.append((num_before[of_all], num_before[of_class]))
        return found


def shorten(clips: Iterable[Clip], seconds: float) -> tuple[list[Clip], int]:
    """Cuts long clips, so that a person hears all that a verdict is about.

    Returns:
        The clips, of at most `seconds` from their start, and the number of those that were cut.
    """
    found, num_cut = [], 0
    for clip in clips:
        is_long = clip.end_seconds - clip.start_seconds > seconds + 1e-3
        num_cut += is_long
        found.append(dataclasses.replace(clip, end_seconds=clip.start_seconds + seconds) if is_long else clip)
    return found, num_cut


def of_species(clips: Sequence[Clip], settings: ChoiceConfig) -> Sequence[Clip]:
    """The clips of the species that were asked for.

    Raises:
        InputError: of one of these there is no clip.
    """
    wanted = {name.casefold(): name for name in settings.species}
    if not wanted:
        return clips
    predicted = {c.name or c.class_id: None for c in clips}
    clips = [c for c in clips if {c.class_id.casefold(), c.name.casefold()} & {*wanted}]
    if unknown := {*wanted} - {name.casefold() for c in clips for name in (c.class_id, c.name)}:
        raise config.InputError(
            f"--species={wanted[min(unknown)]}: there is no prediction of it; there are predictions of "
            f"{len(predicted)} species{free_text.examples(sorted(predicted))}"
        )
    return clips


def choose(clips: Sequence[Clip], judged: Iterable[verdicts.Verdict], settings: ChoiceConfig) -> Choice:
    """Chooses clips by the flags, without those that were judged before.

    Raises:
        InputError: no clip is left; or clips were judged before and others shall be a sample.
    """
    clips = of_species(clips, settings)
    before = {(v.file, f"{v.start_seconds:.3f}", f"{v.end_seconds:.3f}", v.class_id) for v in judged}
    left = [c for c in clips if c.identity not in before]
    if settings.sample and len(left) < len(clips):
        raise config.InputError(
            "--verdicts with --sample: what is left after a review is no random sample; leave it out"
        )
    if not left:
        raise config.InputError(f"no prediction is left to review ({len(before)} were judged before)")
    edges = (0.0, *settings.bands)
    number = settings.num_clips or len(left)
    generator = np.random.default_rng(settings.seed)
    if settings.sample:
        return _sample(left, edges, number, generator)
    if settings.order == RANDOM:
        left = [left[i] for i in generator.permutation(len(left))]
    elif settings.order == HIGHEST:
        left.sort(key=lambda clip: -clip.score)
    else:
        left.sort(key=lambda clip: abs(clip.score - 0.5))
        left = _in_turn(left) if settings.order == DOUBTFUL else left
    return Choice(clips=left[:number], edges=edges, sizes={})


def _in_turn(clips: Sequence[Clip]) -> list[Clip]:
    """No recording twice before all others once, and among these no species twice before all others once.

    Clips of one recording are alike. So a model learns more from one clip of each than from the most doubtful ones,
    many of which are of few recordings.
    """
    of_recording: collections.Counter[str] = collections.Counter()
    of_species: collections.Counter[tuple[int, str]] = collections.Counter()
    turns: list[tuple[int, int]] = []
    for clip in clips:
        turn = of_recording[clip.file]
        turns.append((turn, of_species[turn, clip.class_id]))
        of_recording[clip.file] += 1
        of_species[turn, clip.class_id] += 1
    return [clips[i] for i in sorted(range(len(clips)), key=lambda i: (*turns[i], i))]


def _sample(clips: Sequence[Clip], edges: tuple[float, ...], number: int, generator: np.random.Generator) -> Choice:
    """Draws clips at random from each band in turn. So any first part of them is a sample of all bands too."""
    choice = Choice(clips=[], edges=edges, sizes={})
    of_band: dict[int, list[Clip]] = collections.defaultdict(list)
    sizes: dict[str, list[int]] = collections.defaultdict(lambda: [0] * len(edges))
    for clip in clips:
        of_band[choice.band(clip)].append(clip)
        sizes[clip.class_id][choice.band(clip)] += 1
    shuffled = [[of_band[band][i] for i in generator.permutation(len(of_band[band]))] for band in sorted(of_band)]
    longest = max(map(len, shuffled))
    turns = [members[turn] for turn in range(longest) for members in shuffled if turn < len(members)]
    return Choice(clips=turns[:number], edges=edges, sizes=dict(sizes))
