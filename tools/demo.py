"""Runs the whole main job on generated recordings, with the commands that a user types; `make demo` calls it."""

from __future__ import annotations

import dataclasses
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from bird_tf import command_line, config, files, locks, next_steps, stored
from bird_tf.labels import taxonomy


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Flags of the demo."""

    output: str = config.option("demo", "folder for all results; those of an earlier demo are replaced")


def _run(title: str, program: Sequence[str], command: str) -> None:
    """Shows a command as a user types it, runs its program, and ends the demo if it fails."""
    print(f"\n== {title}\n$ {command}", flush=True)
    # the flags are those that are shown
    flags = [word for word in shlex.split(command) if word.startswith("--")]
    if subprocess.run([sys.executable, *program, *flags], stderr=sys.stderr, check=False).returncode:
        sys.exit(f"error: the demo stops here: {title.lower()} failed (see above)")


def _command(title: str, name: str, **flags: str | bool) -> None:
    """Runs a command of the package."""
    _run(title, ["-m", f"bird_tf.{name}"], next_steps.command(name, **flags))


def main(settings: DemoConfig) -> None:
    """Generates, converts, trains, evaluates, predicts, writes both run files, and prints a summary."""
    with locks.held(settings.output, work="demo", flag="--output"):
        _demonstrate(settings)


def _demonstrate(settings: DemoConfig) -> None:
    started = time.monotonic()

    def path(*parts: str) -> str:
        return os.path.join(settings.output, *parts)

    data, records, run, model = path("data"), path("records"), path("run"), path("run", "export")
    generator = os.path.join(os.path.dirname(__file__), "synthesise.py")
    _run("Generate recordings", [generator], shlex.join(["python", os.path.relpath(generator), f"--output={data}"]))
    source = {"audio": f"{data}/train/wav", "metadata": f"{data}/train/xml"}
    flagfiles = {name: f"configs/{name}.flags" for name in ("records-demo", "demo")}
    _command(
        "Convert them to records",
        "convert",
        flagfile=flagfiles["records-demo"],
        **source,
        output=records,
        overwrite=True,
    )
    _command("Train and export", "train", flagfile=flagfiles["demo"], records=records, run_dir=run, overwrite=True)
    _command("Evaluate on the validation recordings", "evaluate", model=model, records=records)
    predictions = path("predictions")
    _command("Predict the test recordings", "predict", model=model, audio=f"{data}/test/wav", output=predictions)
    monophone, soundscape = path("monophone.txt"), path("soundscape.txt")
    for task, audio, output in (("monophone", "test", monophone), ("soundscape", "soundscape", soundscape)):
        audio = f"{data}/{audio}/wav"
        _command(f"Write the {task} run", "submission", task=task, model=model, audio=audio, output=output)
    _command(
        "Compare the soundscape's segments with the truth",
        "evaluate",
        model=model,
        audio=f"{data}/soundscape/wav",
        segments=f"{data}/soundscape/truth.csv",
        output=path("run", "evaluation"),
    )
    evaluation = stored.read_json(path("run", "evaluation", files.SUMMARY), dict[str, Any])
    classes = taxonomy.load(path("records", "classes.csv"))
    segments = stored.read_json(path("run", "evaluation", "segments.json"), dict[str, Any])
    print(
        f"\nDone in {time.monotonic() - started:.0f} s.\n"
        f"  validation   MLRAP {evaluation['mlrap']:.3f} on {evaluation['num_recordings']} recordings of "
        f"{len(classes)} species (chance {evaluation['chance_mlrap']:.3f})\n"
        f"  soundscape   c-mAP {segments['cmap']:.3f} over {segments['num_segments']} segments\n"
        f"  records      {records}/\n  model        {model}/\n  report       {run}/evaluation/report.html\n"
        f"  predictions  {predictions}/detections.csv, recordings.csv, chunks.csv, about.txt\n"
        f"  run files    {monophone}, {soundscape}\n"
        f"  TensorBoard  tensorboard --logdir {run}\n"
        f"next:\n  open {run}/evaluation/report.html in a browser\n"
        f"  {next_steps.command('review', predictions=predictions, output=path('review'))}\n"
        f"  {next_steps.command('convert', audio='YOUR_RECORDINGS', output='tfrecords/mine')}"
    )


def run() -> None:
    """Entry point of `bird-tf-demo`."""
    command_line.run(main, DemoConfig)


if __name__ == "__main__":
    run()
