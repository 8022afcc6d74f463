"""Clips → a page on which a person judges them, with their sounds and pictures beside it.

Layout and script are in templates/. This module prepares the values for them.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from concurrent import futures

from bird_tf import config, executor, files, progress_bars, skips
from bird_tf.audio import channels, decode, own_clips
from bird_tf.evaluation import excerpts, pages
from bird_tf.inference import audio_files, result_files
from bird_tf.reviewing import clips

PAGE, FOLDER = "index.html", own_clips.FOLDER
_SOUND, _PICTURE = ".mp3", ".webp"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExcerptConfig:
    """How clips are cut."""

    context_seconds: float = config.option(1.0, "sound before and after a clip that is played with it, seconds")
    max_seconds: float = config.option(10.0, "of a longer detection, only so much is shown and judged, seconds")

    def __post_init__(self) -> None:
        if not 0 <= self.context_seconds <= 60:
            raise config.InputError(f"--context_seconds={self.context_seconds}: must be in [0, 60]")
        if not 0 < self.max_seconds <= 600:
            raise config.InputError(f"--max_seconds={self.max_seconds}: must be above 0 and at most 600")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """What is on the page besides its clips.

    Attributes:
        title: of the page.
        score: what the score of a clip is called.
        species: (class id, name) of those that the person can name.
        reference: a clip that the others are compared with; None without one.
        channel: what is heard of recordings with several channels, as --channel.
        scale: what probabilities are of, as in `prediction_folder.Summary`.
    """

    title: str
    score: str
    species: Sequence[tuple[str, str]]
    reference: tuple[str, float, float] | None = None  # path, start and end in seconds
    channel: str = channels.MIX
    scale: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Excerpt:
    """A part of a recording that becomes two files, `stem` with two suffixes."""

    path: str
    start: float
    end: float
    channel: str
    stem: str


def write(
    results: result_files.ResultFiles, root: str, choice: clips.Choice, page: Page, settings: ExcerptConfig
) -> list[tuple[str, str]]:  # fmt: skip
    """Writes index.html, and clips/ with a sound and a picture for each clip. Those that are there are kept.

    Args:
        results: the files of the page, while they are written.
        root: the folder of all recordings.
        choice: the clips.
        page: what else is on the page.
        settings: how clips are cut.

    Returns:
        (recording, reason) of the clips that are left out.

    Raises:
        InputError: no clip can be cut.
    """
    wanted = [_excerpt(files.below(root, clip.file), clip, settings, page.channel) for clip in choice.clips]
    reference = _stored(*page.reference, page.channel) if page.reference else None
    problems = _cut(results, [*wanted, *([reference] if reference else [])])
    shown = [(clip, excerpt) for clip, excerpt in zip(choice.clips, wanted, strict=True) if excerpt not in problems]
    skipped = [(clip.file, problems[e]) for clip, e in zip(choice.clips, wanted, strict=True) if e in problems]
    for skip in dict.fromkeys(skipped):
        skips.log(skip)
    if not shown:
        raise config.InputError(f"none of {len(wanted)} clips can be cut; the first: {skipped[0][1]}")
    turns = choice.turns(clip for clip, _ in shown)
    entries = [_entry(choice, *one, turn) for one, turn in zip(shown, turns, strict=True)]
    content = {
        "id": files.digest([list(clip.identity) for clip, _ in shown]),
        "score": page.score, "scale": page.scale,
        "sampled": bool(choice.sizes),
        "edges": list(choice.edges),
        "sizes": dict(choice.sizes),
        "species": [list(pair) for pair in page.species],
        "folder": FOLDER, "sound": _SOUND, "picture": _PICTURE,
        "clips": entries,
    }  # fmt: skip
    text = pages.render(
        "review.html.j2", title=page.title, content=content,
        reference=f"{FOLDER}/{reference.stem}" if reference else "", sound=_SOUND, picture=_PICTURE,
    )  # fmt: skip
    files.write_text(results.path(PAGE), text)
    return skipped


def _excerpt(path: str, clip: clips.Clip, settings: ExcerptConfig, channel: str) -> _Excerpt:
    start = max(0.0, clip.start_seconds - settings.context_seconds)
    return _stored(path, start, clip.end_seconds + settings.context_seconds, channel)


def _stored(path: str, start: float, end: float, channel: str) -> _Excerpt:
    """The excerpt, with a name for its files: a digest, so that no name from outside becomes a path."""
    source = audio_files.source(path) or path  # without such a file: told when it is cut
    stem = files.digest([source, start, end, channel])
    return _Excerpt(path=path, start=start, end=end, channel=channel, stem=stem[:16])


def _entry(
    choice: clips.Choice, clip: clips.Clip, excerpt: _Excerpt, turns: tuple[int, int]
) -> list[str | float]:  # fmt: skip
    """A clip as the script reads it; `turns` as of `Choice.turns`."""
    file, start, end, class_id = clip.identity
    return [
        excerpt.stem, file, start, end, class_id, clip.name, round(clip.score, 6), clip.clock_time, clip.site,
        round(excerpt.start, 3), round(excerpt.end, 3), *turns, choice.band(clip),
    ]  # fmt: skip


def _cut(results: result_files.ResultFiles, wanted: Sequence[_Excerpt]) -> dict[_Excerpt, str]:
    """Writes the files of all excerpts. Returns {excerpt: reason} of those that cannot be cut."""
    paths = {e: [results.path(f"{FOLDER}/{e.stem}{suffix}") for suffix in (_SOUND, _PICTURE)] for e in wanted}
    problems = {}
    todo = sorted((e for e, (sound, _) in paths.items() if not os.path.exists(sound)), key=lambda e: (e.path, e.start))
    with (
        progress_bars.start(len(todo), "clip", "cutting") as progress,
        futures.ThreadPoolExecutor(executor.num_cores()) as workers,
    ):
        for excerpt, reason in zip(todo, workers.map(lambda e: _cut_one(e, *paths[e]), todo), strict=True):
            if reason:
                problems[excerpt] = reason
            progress.update()
    return problems


def _cut_one(excerpt: _Excerpt, sound: str, picture: str) -> str:
    """Writes the two files of an excerpt, the sound last. Returns why it cannot be cut, or an empty text."""
    if not os.path.isfile(excerpt.path):
        return f"{excerpt.path}: no such recording"
    try:
        samples = excerpts.samples(excerpt.path, excerpts.RATE_HZ, excerpt.start, excerpt.end, excerpt.channel)
    except decode.UnreadableError as error:
        return str(error)
    if not len(samples):
        return f"{excerpt.path}: ends before {excerpt.start:.1f} s"
    files.write_bytes(picture, excerpts.picture(samples))
    files.write_bytes(sound, excerpts.mp3(samples))
    return ""
