"""Rehearses a data set of BirdCLEF's size on invented clips: every stage, with its time, memory and disk.

Each of --recordings is rehearsed by itself. From two and more sizes follows what a stage costs for each further
recording, whether that rises with the size, and what 350 hours of sound would cost.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import numpy as np
import soundfile

from bird_tf import command_line, config, files

_ROOT = pathlib.Path(__file__).parent.parent
_VOICES = 64  # different noises, in which all clips sing
# of a stage whose cost for each recording rises by more than this factor with the size, the table says so
_RISE = 1.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Flags of the tool."""

    recordings: tuple[int, ...] = config.option((1000, 3000, 9000), "numbers of recordings, each a rehearsal")
    classes: int = config.option(1500, "number of classes")
    seconds: float = config.option(2.0, "length of a recording")
    rate_hz: int = config.option(32000, "sample rate of the recordings")
    test_share: float = config.option(0.25, "further recordings for prediction and run files, as a share")
    soundscape_minutes: float = config.option(10.0, "length of each of two soundscapes, for the second run file")
    records_flagfile: str = config.option("records-recommended.flags", "flagfile of the converter")
    train_flagfile: str = config.option("recommended.flags", "flagfile of the training, which takes one epoch")
    workers: int = config.option(2, "worker processes of the converter")
    hours: float = config.option(350.0, "sound for which the costs are extrapolated")
    only_check: bool = config.option(False, "nothing but `make_tfrecords.py --check`, as for 100 000 recordings")
    folder: str = config.option("", "where the data is made, and stays; empty: a temporary folder")


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a stage cost: seconds by the clock, the memory of its largest process and the disk, GiB."""

    seconds: float
    memory: float
    disk: float


def _make(folder: str, settings: Settings, count: int) -> None:
    """Writes recordings in BirdCLEF's shape: `count` for training, a share of it for tests, and two soundscapes."""
    generator = np.random.default_rng(0)
    length = round(settings.seconds * settings.rate_hz)
    noises = generator.normal(0, 800, (_VOICES, 2 * length)).astype(np.int16)
    times = np.arange(length) / settings.rate_hz

    def clip(number: int) -> np.ndarray:
        """A whistle, its pitch by the class, in a noise of its own."""
        pitch = 1000 + 8000 * (number % settings.classes) / settings.classes
        noise = noises[number % _VOICES, (start := number * 7919 % length) : start + length]
        return noise + (6000 * np.sin(2 * np.pi * pitch * times) * (np.sin(9 * times) > 0)).astype(np.int16)

    tests = round(settings.test_share * count)
    for number in range(count + tests):
        side = "test" if number >= count else "train"
        audio = os.path.join(folder, side, "audio", f"{number // 1000:03d}", f"R_{number}.wav")
        os.makedirs(os.path.dirname(audio), exist_ok=True)
        soundfile.write(audio, clip(number), settings.rate_hz)
        files.make_folder(os.path.join(folder, side, "xml"))
        pathlib.Path(folder, side, "xml", f"R_{number}.xml").write_text(
            f"<Audio><MediaId>{number}</MediaId><FileName>R_{number}.wav</FileName>"
            f"<ClassId>c{number % settings.classes:05d}</ClassId><AuthorID>author {number % 997}</AuthorID>"
            f"<BackgroundSpecies></BackgroundSpecies><Genus>Avis</Genus><Species>avis{number % settings.classes}"
            "</Species></Audio>\n"
        )
    os.makedirs(os.path.join(folder, "soundscapes"))
    for number in range(2):
        with soundfile.SoundFile(
            os.path.join(folder, "soundscapes", f"S_RN{number}.wav"), "w", settings.rate_hz, 1
        ) as file:
            for index in range(round(settings.soundscape_minutes * 60 / settings.seconds)):
                file.write(clip(7 * index + number))


def _stages(folder: str, settings: Settings) -> dict[str, list[str]]:
    """{name: command} in their order."""
    train, test = (os.path.join(folder, side) for side in ("train", "test"))
    records, run = os.path.join(folder, "records"), os.path.join(folder, "run")
    export = os.path.join(run, "export")

    def module(name: str, **flags: object) -> list[str]:
        given = [f"--{flag}={value}" if value is not True else f"--{flag}" for flag, value in flags.items()]
        return [sys.executable, "-m", f"bird_tf.{name}", *given]

    converter = {
        "flagfile": _ROOT / "configs" / settings.records_flagfile, "audio": os.path.join(train, "audio"),
        "metadata": os.path.join(train, "xml"), "output": records,
    }  # fmt: skip
    recipe = _ROOT / "configs" / settings.train_flagfile
    tested = {"model": export, "audio": os.path.join(test, "audio")}
    stages = {
        "check": module("convert", **converter, check=True),
        "convert": module("convert", **converter, workers=settings.workers),
        "train, one epoch": [
            *module("train", flagfile=recipe, records=records, run_dir=run, epochs=1, warmup_epochs=0), "--norefit",
        ],
        "evaluate --tune": module("evaluate", model=export, records=records, tune=True),
        "predict": module("predict", **tested, output=os.path.join(folder, "predictions"), format="csv"),
        "run file, monophone": module(
            "submission", **tested, task="monophone", metadata=os.path.join(test, "xml"),
            output=os.path.join(folder, "monophone.txt"),
        ),
        "run file, soundscape": module(
            "submission", model=export, audio=os.path.join(folder, "soundscapes"), task="soundscape",
            output=os.path.join(folder, "soundscape.txt"),
        ),
    }  # fmt: skip
    return {"check": stages["check"]} if settings.only_check else stages


def _disk(folder: str) -> float:
    """GiB of the files below a folder."""
    return sum(path.stat().st_size for path in pathlib.Path(folder).rglob("*") if path.is_file()) / 2**30


def _measure(command: Sequence[str], folder: str) -> Cost:
    """Runs a stage. Raises SystemExit with the end of what it said if it fails."""
    before, started = _disk(folder), time.monotonic()
    log = pathlib.Path(folder, "log.txt")
    with log.open("w") as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - started
    if process.returncode:
        sys.exit(f"error: {shlex.join(command)}\n{log.read_text()[-3000:]}")
    return Cost(seconds, usage.ru_maxrss / 2**20, _disk(folder) - before)


def rehearse(settings: Settings, count: int, folder: str) -> dict[str, Cost]:
    """Makes `count` recordings and runs all stages. Returns {stage: cost}."""
    started = time.monotonic()
    _make(folder, settings, count)
    print(f"\n{count} recordings of {settings.seconds:g} s, {settings.classes} classes", flush=True)
    costs = {"make": Cost(time.monotonic() - started, 0.0, _disk(folder))}
    for name, command in _stages(folder, settings).items():
        costs[name] = _measure(command, folder)
        cost = costs[name]
        print(f"{name:22}{cost.seconds:8.1f} s{cost.memory:8.2f} GiB memory{cost.disk:8.3f} GiB disk", flush=True)
    return costs


def _slope(counts: Sequence[int], values: Sequence[float]) -> float:
    """What each further recording costs between the last two sizes."""
    return (values[-1] - values[-2]) / (counts[-1] - counts[-2])


def extrapolate(counts: Sequence[int], costs: Sequence[dict[str, Cost]], wanted: float) -> list[tuple[str, ...]]:
    """Rows of the table: stage, seconds, memory and disk for `wanted` recordings, and what grows faster than them."""
    rows = []
    for stage in costs[-1]:
        expected, rising = [], []
        for name in ("seconds", "memory", "disk"):
            values = [getattr(cost[stage], name) for cost in costs]
            slope = max(0.0, _slope(counts, values))
            expected.append(values[-1] + slope * (wanted - counts[-1]))
            earlier = _slope(counts[:-1], values[:-1]) if len(counts) > 2 else slope
            # a difference that is small beside the whole is chance
            if slope > _RISE * max(0.0, earlier) and slope * (counts[-1] - counts[-2]) > 0.25 * values[-1]:
                rising.append(name)
        rows.append((stage, *(f"{value:.2f}" for value in expected), ", ".join(rising)))
    return rows


def main(settings: Settings) -> None:
    """Rehearses each size, and prints what follows for the wanted hours."""
    costs = []
    for count in settings.recordings:
        with tempfile.TemporaryDirectory() as temporary:
            folder = os.path.join(settings.folder or temporary, str(count))
            costs.append(rehearse(settings, count, folder))
    if len(costs) > 1:
        wanted = settings.hours * 3600 / settings.seconds
        print(f"\n{settings.hours:g} hours, {wanted:.0f} recordings:")
        print("| stage | seconds | memory, GiB | disk, GiB | grows faster than the data |\n|---|---|---|---|---|")
        for row in extrapolate(settings.recordings, costs, wanted):
            print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    command_line.run(main, Settings)
