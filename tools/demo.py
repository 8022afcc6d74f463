"""Runs the whole main job on generated recordings, with the commands that a user types; `make demo` calls it."""

from __future__ import annotations

import dataclasses
import os
import shlex
import subprocess
import sys
import time

from bird_tf import config, files
from bird_tf.labels import taxonomy


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Flags of the demo."""

    output: str = config.option("demo", "folder for all results; those of an earlier demo are replaced")


def _command(title: str, *arguments: str) -> None:
    """Shows a command, runs it, and ends the demo if it fails."""
    print(f"\n== {title}\n$ python {shlex.join(arguments)}", flush=True)
    if subprocess.run([sys.executable, *arguments], stderr=sys.stderr, check=False).returncode:
        sys.exit(f"error: the demo stops here: {title.lower()} failed (see above)")


def main(settings: DemoConfig) -> None:
    """Generates, converts, trains, evaluates, predicts, writes both run files, and prints a summary."""
    started = time.monotonic()

    def path(*parts: str) -> str:
        return os.path.join(settings.output, *parts)

    data, records, run, model = path("data"), path("records"), path("run"), path("run", "export")
    _command("Generate recordings", "tools/synthesise.py", f"--output={data}")
    _command(
        "Convert them to records",
        "tools/make_tfrecords.py",
        "--flagfile=configs/records-demo.flags",
        f"--audio={data}/train/wav",
        f"--metadata={data}/train/xml",
        f"--output={records}",
        "--overwrite",
    )
    _command(
        "Train and export",
        *("-m", "bird_tf.train", "--flagfile=configs/demo.flags", f"--records={records}", f"--run_dir={run}"),
        "--overwrite",
    )
    _command(
        "Evaluate on the validation recordings", "-m", "bird_tf.evaluate", f"--model={model}", f"--records={records}"
    )
    predictions = path("predictions")
    _command(
        "Predict the test recordings",
        *("-m", "bird_tf.predict", f"--model={model}", f"--audio={data}/test/wav", f"--output={predictions}"),
    )
    monophone, soundscape = path("monophone.txt"), path("soundscape.txt")
    for task, audio, output in (("monophone", "test", monophone), ("soundscape", "soundscape", soundscape)):
        _command(
            f"Write the {task} run",
            *("-m", "bird_tf.submission", f"--task={task}", f"--model={model}", f"--audio={data}/{audio}/wav"),
            f"--output={output}",
        )
    _command(
        "Compare the soundscape's segments with the truth",
        *("-m", "bird_tf.evaluate", f"--model={model}", f"--audio={data}/soundscape/wav"),
        *(f"--segments={data}/soundscape/truth.csv", f"--output={path('run', 'evaluation')}"),
    )
    evaluation = files.read_json(path("run", "evaluation", "summary.json"))
    classes = taxonomy.load(path("records", "classes.csv"))
    segments = files.read_json(path("run", "evaluation", "segments.json"))
    print(
        f"\nDone in {time.monotonic() - started:.0f} s.\n"
        f"  validation   MLRAP {evaluation['mlrap']:.3f} on {evaluation['num_recordings']} recordings of "
        f"{len(classes)} species (chance {evaluation['chance_mlrap']:.3f})\n"
        f"  soundscape   c-mAP {segments['cmap']:.3f} over {segments['num_segments']} segments\n"
        f"  records      {records}/\n  model        {model}/\n  report       {run}/evaluation/report.html\n"
        f"  predictions  {predictions}/recordings.csv, chunks.csv\n  run files    {monophone}, {soundscape}\n"
        f"  TensorBoard  .venv/bin/tensorboard --logdir {run}"
    )


if __name__ == "__main__":
    config.run(main, DemoConfig)
