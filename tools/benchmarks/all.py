"""Measures every subject with its defaults and prints one Markdown table for the README."""

from __future__ import annotations

import dataclasses
import datetime
import importlib
import importlib.metadata
import os
import pathlib
import platform
import sys
from typing import Any

from bird_tf import config

# for each subject the values that differ from its defaults: as usual, and with tiny sizes
_USUAL: dict[str, dict[str, Any]] = {
    "convert": {},
    "input": {"each": False},
    "train": {},
    "recipe": {},
    "predict": {"architectures": ("resnet", "attention")},
    "frontend": {},
}
_TINY: dict[str, dict[str, Any]] = {
    "convert": {"seconds": 4.0},
    "input": {"each": False, "batches": 2},
    "train": {"architecture": "baseline", "filters": (4, 8), "steps": 2},
    "recipe": {"recipe": "pi.flags", "steps": 2},
    "predict": {"seconds": 4.0, "num_classes": 4, "architectures": ("baseline",), "birdnet_seconds": 3.0},
    "frontend": {"seconds": 1.0},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Flags that all subjects share."""

    rounds: int = config.option(3, "repetitions of each measurement")
    tiny: bool = config.option(False, "tiny sizes that take seconds, to test the tool; the numbers mean nothing")


def machine() -> str:
    """One line with date, processor, cores and versions."""
    described = pathlib.Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    processor = next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("tensorflow", "keras", "numpy"))
    cores = len(os.sched_getaffinity(0))
    return f"{datetime.date.today()}, {processor}, {cores} cores, Python {platform.python_version()}, {versions}"


def main(settings: Settings) -> None:
    """Runs the subjects one after the other, then prints the table."""
    results = []
    for name, values in (_TINY if settings.tiny else _USUAL).items():
        print(f"\n{name}", flush=True)
        subject = importlib.import_module(f"{__package__}.{name}")
        results += subject.main(config.from_mapping(subject.Settings, {**values, "rounds": settings.rounds}))
    command = f"python tools/benchmark.py all {' '.join(sys.argv[1:])}".strip()
    print(f"\n{machine()}; `{command}`\n\n| measured | result | reference | ratio |\n|---|---|---|---|")
    for what, result, reference, ratio in results:
        print(f"| {what} | {result} | {reference} | {ratio:.2f} |")
